"""What stands below each other in the text goes on doing so.

A gap wider than it need be is taken as meant where it brings a piece to the column of a piece on the line before or
after (a comment: to that of the last comment in the paragraph); the two are then kept in one column, the leftmost that
both can reach. Types of neighbouring inputs and outputs always stand in one column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spacec.syntax.tidy.outline import Outline
from spacec.syntax.tidy.place import Placer, gap

COMMENT_GAP = 2
PORTS = ("input", "output")
_OPERANDS = frozenset({"NUMBER", "STRING", "(", "[", "dag", "let", "tied", "elastic", "from", "pick"})
ROUNDS = 30
"""More columns than one line has are not aligned with each other."""


@dataclass(frozen=True)
class Aligned:
    """Columns of the pieces, and of the comments that end lines by the piece before them."""

    columns: list[int]
    comments: Mapping[int, int]


@dataclass(frozen=True)
class _Line:
    """Pieces ``first`` to before ``stop``; ``apart`` from the line before by a comment or an empty line."""

    first: int
    stop: int
    apart: bool


def aligned(found: Outline, width: int) -> Aligned:
    """The columns of everything, in which no line is longer for an alignment than ``width``."""
    lines = list(_lines(found))
    groups = _groups(found, lines)
    plain = _place(found, {})
    while True:
        placer, comments = _solved(found, groups)
        stretched = {
            i
            for line in lines
            if placer.end(line.stop - 1) > max(width, plain.end(line.stop - 1))
            for i in range(line.first, line.stop)
        }
        kept = [group for group in groups if not stretched.intersection(group)]
        if len(kept) == len(groups):
            return Aligned(placer.columns, comments)
        groups = kept


def _lines(found: Outline) -> Iterator[_Line]:
    first = 0
    for i in range(1, len(found.pieces)):
        piece = found.pieces[first]
        if found.pieces[i].breaks:
            yield _Line(first, i, piece.blank or piece.forced)
            first = i


def _groups(found: Outline, lines: list[_Line]) -> list[list[int]]:
    """Places that share a column: indices of pieces; a comment is the inverted index of the piece before it."""
    parent: dict[int, int] = {}

    def root(place: int) -> int:
        while parent.setdefault(place, place) != place:
            place = parent[place]
        return place

    above: dict[tuple[int, int, str], tuple[int, bool]] = {}
    comment: dict[int, tuple[int, bool]] = {}
    port: int | None = None
    for line in lines:
        here = {} if line.apart else above
        comment = {} if line.apart else comment
        own: dict[tuple[int, int, str], tuple[int, bool]] = {}
        for place, row, column, wide in _places(found, line):
            kind = _kind(found, place)
            own[row, column, kind] = (place, wide)
            other = comment.get(column) if place < 0 else here.get((row - 1, column, kind))
            if other is not None and (wide or other[1]):
                parent[root(place)] = root(other[0])
            if place < 0:
                comment = {column: (place, wide)}
        type_ = line.first + 3 if found.pieces[line.first].kind in PORTS else None
        if type_ is not None and port is not None and not line.apart:
            parent[root(type_)] = root(port)
        above, port = own, type_
    groups: dict[int, list[int]] = {}
    for place in parent:
        groups.setdefault(root(place), []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def _kind(found: Outline, place: int) -> str:
    """What may stand below each other: equal words and signs, operands of any kind, comments."""
    if place < 0:
        return "#"
    kind = found.pieces[place].kind
    return "NAME" if kind in _OPERANDS else kind


def _places(found: Outline, line: _Line) -> Iterator[tuple[int, int, int, bool]]:
    """Of what could be aligned on a line: its place, row and column in the text, and whether its gap is wide.

    Only pieces that blanks stand before, of one row, and those of a port after its type: columns then grow along each
    line, and no two groups can each wait for the other.
    """
    start = found.pieces[line.first]
    row = found.source.position(start.start)[0]
    for i in range(line.first, line.stop):
        piece, before = found.pieces[i], found.pieces[i - 1]
        free = i > line.first + (3 if start.kind in PORTS else 0)
        here, column = found.source.position(piece.start)
        least = gap(found, i)
        if free and least and piece.end > piece.start and here == row:
            yield i, row, column, piece.start - before.end > least
        here, column = found.source.position(piece.trailing_start)
        if piece.trailing and here == row:
            yield ~i, row, column, piece.trailing_start - piece.end > COMMENT_GAP


def _place(found: Outline, least: Mapping[int, int]) -> Placer:
    placer = Placer(found, least)
    placer.run(0, len(found.pieces) - 1)
    return placer


def _solved(found: Outline, groups: list[list[int]]) -> tuple[Placer, dict[int, int]]:
    """Every group in the leftmost column that all its members can reach.

    Columns only grow from round to round. A group that would grow for ever (one of its members begins where a line does
    that goes on from another) is given up.
    """
    least: dict[int, int] = {}
    rounds = 0
    while True:
        placer = _place(found, least)

        def natural(place: int, placer: Placer = placer) -> int:
            return placer.natural[place] if place >= 0 else placer.end(~place) + COMMENT_GAP

        wanted = {place: max(map(natural, group)) for group in groups for place in group}
        if wanted == least:
            return placer, {~place: column for place, column in wanted.items() if place < 0}
        rounds += 1
        if rounds > ROUNDS:
            groups = [group for group in groups if wanted[group[0]] == least.get(group[0])]
            wanted, rounds = {}, 0
        least = wanted
