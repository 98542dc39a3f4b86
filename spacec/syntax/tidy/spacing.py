"""Blanks between two pieces of one line."""

from __future__ import annotations

from spacec.syntax.tables import END
from spacec.syntax.tidy.outline import Outline, Piece

_GLUED = frozenset({")", "]", "}", ",", ":", ".", "..", "^"})
"""Nothing stands between these and what is before them."""
_GLUING = frozenset({"(", "[", "{", ".", "..", "^"})
"""Nor between these and what is after them."""
_OPERANDS = frozenset({"NAME", "NUMBER", "STRING", ")", "]", "}", "any", "dag", "let", "tied"})
"""After these a bracket is a call or an index."""


def settle_gaps(found: Outline) -> None:
    """Sets ``gap`` of every piece, as if all of them were on one line."""
    pieces = found.pieces
    for i in range(1, len(pieces)):
        pieces[i].gap = 0 if pieces[i].kind == END else _gap(found, i)


def _gap(found: Outline, i: int) -> int:
    before, piece = found.pieces[i - 1], found.pieces[i]
    if i in found.statements:
        return 1 if i - 1 in found.blocks else 3
    if i - 1 in found.blocks or found.partner.get(i) in found.blocks:
        return 1
    if i in found.signs or i - 1 in found.signs:
        return 0 if found.signs.get(i, False) or found.signs.get(i - 1, False) else 1
    if before.kind == "input":
        return 2
    if piece.kind in _GLUED or before.kind in _GLUING or _is_prefix(found, i - 1):
        return 0
    if piece.kind in ("(", "["):
        return 0 if _is_operand(found, i - 1, before) else 1
    return 1


def _is_prefix(found: Outline, i: int) -> bool:
    """Whether a sign stands before one operand only."""
    return found.pieces[i].kind in ("-", "*") and i not in found.signs


def _is_operand(found: Outline, i: int, piece: Piece) -> bool:
    if piece.kind == "pick":  # the name of an op in `default pick(…)`
        return found.pieces[i - 1].kind == "default"
    if piece.kind == "in":  # a name, unless it stands between two operands
        left = i - 2 if found.pieces[i - 1].kind == "not" else i - 1
        return not _is_operand(found, left, found.pieces[left])
    return piece.kind in _OPERANDS
