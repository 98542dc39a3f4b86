"""How many paths of a decision diagram have each sum: its generating function, exactly.

The sums below a node are a polynomial whose exponents are sums and whose coefficients are counts. Where
sums lie close on a grid the polynomial is one large integer with room for a count at each place
(Kronecker's substitution), so that adding and shifting are single operations; where they are few and far apart it is a
mapping. Guarantees bounded work: beyond it there is no answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from spacec.space.diagram import DEAD, END, LIMIT, Diagram
from spacec.space.values import Number

BYTES = 2_000
"""Of large integers: adding up so many is a step of work."""
ENTRIES = 4
"""Of mappings: so many make a step of work."""
PLACES = 1_000_000
"""Of the grid of all sums."""

Spread = list[tuple[Number, int]]
"""Sums that occur, ascending, and how many paths have each."""


def spread(diagram: Diagram, limit: int = LIMIT) -> Spread | None:
    """The sums of the one column of a diagram; ``None`` where they take more than ``limit`` steps of work.

    The diagram must have a path, and its column no void entry.
    """
    grid = _grid(diagram)
    found = _as_mappings(grid, limit)
    if found is None:
        found = _as_integers(grid, limit)
    (start,) = diagram.offset
    assert start is not None, "a cost names no decision itself, so it is never void"
    scale = Fraction(grid.step, grid.scale)
    base = start + Fraction(grid.lows[diagram.root], grid.scale)
    return None if found is None else [(_tidy(base + scale * place), ways) for place, ways in found]


@dataclass(frozen=True)
class _Grid:
    """Sums as whole numbers: those from a node are ``lows[node] + step * place``, over ``scale``."""

    diagram: Diagram
    scale: int
    step: int
    lows: list[int]
    widths: list[int]
    """Per node, how many places its sums range over."""
    ways: list[list[tuple[int, int, int]]]
    """Per node: child, shift by places, how many outcomes."""


def _grid(diagram: Diagram) -> _Grid:
    scale = lcm(*{Fraction(d[0] or 0).denominator for row in diagram.deltas for d in row})
    lows, highs, raw = [0], [0], [[(0, 0, 0)]]
    for step, children, deltas in zip(diagram.steps[1:], diagram.children[1:], diagram.deltas[1:], strict=True):
        assert step is not None
        own: list[tuple[int, int, int]] = []
        for kind, (child, (more,)) in enumerate(zip(children, deltas, strict=True)):
            if child != DEAD:
                assert more is not None
                own.append((child, int(more * scale), step.classes.count(kind)))
        raw.append(own)
        lows.append(min(more + lows[child] for child, more, _ in own))
        highs.append(max(more + highs[child] for child, more, _ in own))
    shifted = [[(c, more + lows[c] - low, n) for c, more, n in own] for own, low in zip(raw, lows, strict=True)]
    unit = gcd(*(more for own in shifted[1:] for _, more, _ in own)) or 1
    ways = [[(c, more // unit, n) for c, more, n in own] for own in shifted]
    widths = [(high - low) // unit + 1 for low, high in zip(lows, highs, strict=True)]
    return _Grid(diagram, scale, unit, lows, widths, ways)


def _as_mappings(grid: _Grid, limit: int) -> list[tuple[int, int]] | None:
    known: list[dict[int, int]] = [{0: 1}]
    entries = 0
    for own in grid.ways[1:]:
        sums: dict[int, int] = {}
        entries += sum(len(known[child]) for child, _, _ in own)
        if entries > limit * ENTRIES:
            return None
        for child, shift, outcomes in own:
            for place, ways in known[child].items():
                sums[place + shift] = sums.get(place + shift, 0) + ways * outcomes
        known.append(sums)
    return sorted(known[grid.diagram.root].items())


def _as_integers(grid: _Grid, limit: int) -> list[tuple[int, int]] | None:
    root, room = grid.diagram.root, max(grid.diagram.counts()).bit_length() // 8 + 1
    moved = sum(grid.widths[child] for own in grid.ways[1:] for child, _, _ in own)
    if grid.widths[root] > PLACES or moved * room > limit * BYTES:
        return None
    waiting = [0] * len(grid.ways)
    for own in grid.ways[1:]:
        for child, _, _ in own:
            waiting[child] += 1
    known = {END: 1}
    for node, own in enumerate(grid.ways[1:], start=1):
        total = 0
        for child, shift, outcomes in own:
            total += known[child] * outcomes << 8 * room * shift
            waiting[child] -= 1
            if not waiting[child]:
                del known[child]
        known[node] = total
    return list(_places(known[root], room))


def _places(number: int, room: int) -> Iterator[tuple[int, int]]:
    """The coefficients that are not zero, by place."""
    data = number.to_bytes((number.bit_length() // (8 * room) + 1) * room, "little")
    for place in range(len(data) // room):
        ways = int.from_bytes(data[place * room : (place + 1) * room], "little")
        if ways:
            yield place, ways


def _tidy(number: Fraction | int) -> Number:
    return int(number) if number == int(number) else Fraction(number)
