"""Where lines end: the author's breaks, kept where the layout has a place for them, and those that must be."""

from __future__ import annotations

from spacec.syntax.lexer import OPENERS
from spacec.syntax.tidy.outline import TOP, Outline

LEADING = frozenset({"|", ">>", "->", "@", "when", "and", "or"})
"""A line may begin with these, and with signs between operands; a break after one moves before it."""


def settle_breaks(found: Outline) -> None:
    """Sets ``breaks`` and ``blank`` of every piece as the text has them, made regular."""
    pieces = found.pieces
    pieces[0].breaks = True
    for i in range(1, len(pieces) - 1):
        if i not in found.statements:
            _inside(found, i)
    for opener, closer in found.partner.items():
        if opener not in found.blocks and opener + 1 < closer and found.hanging(opener):
            pieces[closer].breaks = True
    for opener in sorted(found.blocks, key=lambda i: found.partner[i]):  # inner ones first
        _block(found, opener)
    for i, owner in found.statements.items():
        if owner == TOP:
            pieces[i].breaks = True
    for i in range(len(pieces)):
        _empty_lines(found, i)
    pieces[-1].breaks = True


def _inside(found: Outline, i: int) -> None:
    """A break within a statement."""
    pieces = found.pieces
    piece, before = pieces[i], pieces[i - 1]
    if not piece.breaks:
        return
    if leads(found, i - 1) and not before.breaks:
        before.breaks, piece.breaks = True, False
        before.comments, piece.comments = piece.comments, []
        pieces[i - 2].trailing, before.trailing = before.trailing, ""
        pieces[i - 2].trailing_start = before.trailing_start
    if piece.forced or before.trailing or piece.kind == "else" or i - 1 in found.blocks:
        return
    if piece.kind in OPENERS.values():
        piece.breaks = found.partner[i] in found.blocks
    else:
        piece.breaks = leads(found, i) or before.kind == "," or before.kind in OPENERS


def leads(found: Outline, i: int) -> bool:
    """Whether a line may begin with this sign."""
    return i in found.signs or found.pieces[i].kind in LEADING


def _block(found: Outline, opener: int) -> None:
    """A block with a break in it has one after its ``{`` and one before its ``}``."""
    pieces, closer = found.pieces, found.partner[opener]
    several = any(pieces[i].breaks for i in range(opener + 1, closer + 1))
    if closer > opener + 1:
        pieces[opener + 1].breaks = several
    pieces[closer].breaks = several if closer > opener + 1 else pieces[closer].forced or bool(pieces[opener].trailing)
    after = pieces[closer + 1]
    if after.kind == "else" and several:
        after.breaks = after.forced or bool(pieces[closer].trailing)


def _empty_lines(found: Outline, i: int) -> None:
    """Empty lines stand between statements, never at the start of a file or a block."""
    piece = found.pieces[i]
    if i not in found.statements and i < len(found.pieces) - 1:
        piece.blank = False
        piece.comments = [(text, False) for text, _ in piece.comments]
    elif i == 0 or i - 1 in found.blocks:
        if piece.comments:
            piece.comments[0] = (piece.comments[0][0], False)
        else:
            piece.blank = False
