"""Placed pieces to text."""

from __future__ import annotations

from spacec.syntax.tables import END
from spacec.syntax.tidy.align import COMMENT_GAP, Aligned
from spacec.syntax.tidy.outline import Outline
from spacec.syntax.tidy.place import INDENT


def written(found: Outline, where: Aligned) -> str:
    """The text, each line ended by a line break."""
    lines: list[str] = []
    for i, piece in enumerate(found.pieces):
        column = where.columns[i]
        if not piece.breaks:
            between = ";" if i in found.statements and i - 1 not in found.blocks else ""
            lines[-1] = (lines[-1] + between).ljust(column) + piece.text
        else:
            margin = " " * (column + (INDENT if _closes_lines(found, i) else 0))
            for comment, blank in piece.comments:
                lines += [""] * blank + [margin + comment]
            lines += [""] * (piece.blank and piece.kind != END)
            lines += [" " * column + piece.text] if piece.kind != END else []
        if piece.trailing:
            lines[-1] = lines[-1].ljust(where.comments.get(i, len(lines[-1]) + COMMENT_GAP)) + piece.trailing
    return "".join(line + "\n" for line in lines)


def _closes_lines(found: Outline, i: int) -> bool:
    opener = found.partner.get(i)
    return opener is not None and opener < i and (opener in found.blocks or found.hanging(opener))
