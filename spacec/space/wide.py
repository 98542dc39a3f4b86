"""A little more than the valid architectures, where those themselves are too much for a decision diagram.

Sums under a limit are rounded down to a grid, so that few of them differ. Every architecture within
the limit stays, and only some just beyond it come along: what is drawn uniformly from the wider set
and kept where it is valid is uniform over the valid ones, and most of it is kept. Constraints that are no sums, and
those whose sums have too many states even so, are left out. Guarantees bounded work.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf

from spacec.diagnostics.model import SpacecError
from spacec.memory import no_collection
from spacec.space.algebra import Algebra
from spacec.space.arrange import arranged
from spacec.space.components import Component, components
from spacec.space.constraints import Linear, LinearLimit, linear_limit, linear_parts, needed
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.diagram import DEAD, END, LIMIT, Builder, Delta, Diagram, Meter, TooManyStates
from spacec.space.explore import explore
from spacec.space.impose import impose
from spacec.space.planner import plan
from spacec.space.values import Number

GRIDS = (8_192, 2_048, 512, 128)
"""Places of the grid over the range of a sum, the finest first."""


def wide(table: DecisionTable, limit: int = LIMIT) -> Algebra:
    """Diagrams of a set of architectures that holds all valid ones; once per table.

    ``limit`` are the steps of work for each part of the space and each grid. Raises :class:`TooManyStates` where even
    the space without constraints takes more.
    """
    found: Algebra | None = table.memo.get(("wide", limit))
    if found is None:
        with no_collection():
            needs: list[LinearLimit] = [needed(n) for n in table.needs]
            parts = components(table.decisions, [*needs, *_linear(table)])
            diagrams = tuple(_wide(part, needs, limit) for part in parts)
        found = table.memo["wide", limit] = Algebra(diagrams, tuple(d.counts() for d in diagrams))
    return found


def _linear(table: DecisionTable) -> list[LinearLimit]:
    """The constraints that are sums."""
    found: list[LinearLimit] = []
    for constraint in table.constraints:
        try:
            found.append(linear_limit(table, constraint))
        except SpacecError as error:
            if error.diagnostics[0].code != "E0513":
                raise
    return found


def _wide(part: Component, needs: Sequence[LinearLimit], limit: int) -> Diagram:
    decisions, limits = part
    found = _rounded(decisions, limits, limit)
    if found is not None:
        return found
    kept = [each for each in limits if each in needs]
    diagram = _exact(decisions, kept, limit)
    for each in limits:  # what is too much together may not be so alone
        if each not in needs and (found := _rounded(decisions, [*kept, each], limit // 4)) is not None:
            kept, diagram = [*kept, each], found
    return diagram


def _exact(decisions: Sequence[Decision], limits: Sequence[LinearLimit], limit: int) -> Diagram:
    meter = Meter(limit)
    diagram = explore(plan(decisions, [part for each in limits for part in linear_parts(each)], meter), meter)
    for each in limits:
        diagram = impose(diagram, each, meter)
    return diagram


def _rounded(decisions: Sequence[Decision], limits: Sequence[LinearLimit], limit: int) -> Diagram | None:
    """The diagram on the finest grid that takes no more than ``limit`` steps; ``None`` where none does."""
    sums = [part for each in limits for part in linear_parts(each)]
    try:
        meter = Meter(limit)
        whole = explore(plan(arranged(decisions, sums), sums, meter), meter)
    except TooManyStates:
        return None
    for places in GRIDS:
        meter, diagram = Meter(limit), rounded(whole, sums, places)
        try:
            for each in limits:
                diagram = impose(diagram, each, meter)
        except TooManyStates:
            continue
        return diagram
    return None


def rounded(diagram: Diagram, sums: Sequence[Linear], places: int) -> Diagram:
    """The same paths, with every sum that is only to stay below a limit no larger than it was, on a grid.

    What all ways on from a node have in common is not rounded, so that a path loses less than one place of the grid
    at each of its nodes.
    """
    spans = _spans(diagram, len(sums))
    grid = [
        span / Fraction(places) if s.op in ("<=", "<") else Fraction(0) for s, span in zip(sums, spans, strict=True)
    ]
    builder, nodes = Builder(), [END]
    common: list[tuple[Number, ...]] = [(0,) * len(sums)]
    for step, children, deltas in zip(diagram.steps[1:], diagram.children[1:], diagram.deltas[1:], strict=True):
        assert step is not None
        full = [d if c == DEAD else _plus(d, common[c]) for c, d in zip(children, deltas, strict=True)]
        alive = [d for c, d in zip(children, full, strict=True) if c != DEAD]
        least = tuple(min((x for x in column if x is not None), default=0) for column in zip(*alive, strict=True))
        lower = tuple(
            tuple(None if x is None else _floor(x - low, unit) for x, low, unit in zip(d, least, grid, strict=True))
            for d in full
        )
        zero = (0,) * len(sums)
        targets = tuple(DEAD if c == DEAD else nodes[c] for c in children)
        kept = tuple(zero if c == DEAD else d for c, d in zip(children, lower, strict=True))
        nodes.append(builder.add(step, targets, kept))
        common.append(least)
    if diagram.root == DEAD:
        return diagram
    return builder.build(nodes[diagram.root], _plus(diagram.offset, common[diagram.root]))


def _plus(a: Delta, b: tuple[Number, ...]) -> Delta:
    return tuple(None if x is None else x + y for x, y in zip(a, b, strict=True))


def _floor(number: Number, unit: Fraction) -> Number:
    """The next multiple of the unit below; a unit of zero keeps the number."""
    if not unit:
        return number
    place = number // unit * unit
    return int(place) if place.denominator == 1 else place


def _spans(diagram: Diagram, sums: int) -> list[Number]:
    """Per sum, how far apart the least and the largest one are over the paths on which it is not void."""
    lows: list[list[float | Number]] = [[0] * sums]
    highs: list[list[float | Number]] = [[0] * sums]
    for children, deltas in zip(diagram.children[1:], diagram.deltas[1:], strict=True):
        low: list[float | Number] = [inf] * sums
        high: list[float | Number] = [-inf] * sums
        for child, delta in zip(children, deltas, strict=True):
            if child == DEAD:
                continue
            for j, more in enumerate(delta):
                if more is not None:
                    low[j], high[j] = min(low[j], more + lows[child][j]), max(high[j], more + highs[child][j])
        lows.append(low)
        highs.append(high)
    if diagram.root == DEAD:
        return [0] * sums
    pairs = zip(lows[diagram.root], highs[diagram.root], strict=True)
    return [0 if isinstance(a, float) or isinstance(b, float) else b - a for a, b in pairs]
