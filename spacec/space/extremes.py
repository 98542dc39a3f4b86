"""The least and the largest cost over all valid architectures, and architectures that have them, exactly.

Decisions that depend on nothing but their being asked are settled first (:mod:`spacec.space.eliminate`); what is
left falls into components, each of which is searched by its decision diagram. Where that takes too long, the
architectures of a small space are all listed. All within a bounded amount of work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Literal, get_args

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.dims import Dim, Poly
from spacec.memory import no_collection
from spacec.space.activity import walk
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.arrange import arranged
from spacec.space.components import components, concerns
from spacec.space.constraints import Linear, LinearLimit, linear_limit, linear_parts, needed
from spacec.space.cost import check_sizes, free_sizes
from spacec.space.decisions import CostTerm, Decision, DecisionTable
from spacec.space.diagram import DEAD, LIMIT, QUICK, Diagram, Meter, TooManyStates, assignment
from spacec.space.eliminate import Best, eliminate
from spacec.space.explore import explore
from spacec.space.impose import impose
from spacec.space.measures import at_sizes
from spacec.space.planner import plan, told_apart
from spacec.space.schedule import Step
from spacec.space.values import Number, Value

if TYPE_CHECKING:
    from spacec.space.listed import Listed

End = Literal["min", "max"]

LARGEST = 5_000
"""Decisions and amounts of a component for which a plan is made: planning takes work before any is counted."""

_SAME = frozenset[str]()


def extremes(
    table: DecisionTable,
    cost: str,
    where: bool = True,
    limit: int = QUICK,
    sizes: Mapping[str, int] | None = None,
) -> tuple[Number, Number] | None:
    """Least and largest ``cost`` (a name of the table's costs) of a valid architecture, at input ``sizes``.

    ``None`` where it depends on a size of an input that is not given, where there is no valid architecture, or
    where it is clear that more than ``limit`` steps of work are needed.
    """
    if set(free_sizes(table, cost)) - set(sizes or ()):
        return None
    try:
        found = _solved(table, cost, where, limit, sizes or {})
    except TooManyStates:
        return None
    return None if found is None else (found.least, found.most)


def extreme(
    table: DecisionTable,
    cost: str,
    end: End,
    where: bool = True,
    limit: int = LIMIT,
    sizes: Mapping[str, int] | None = None,
) -> Architecture:
    """A valid architecture whose ``cost`` is the least (``"min"``) or the largest (``"max"``) of all.

    Raises :class:`SpacecError`: E0510 where finding it takes more than ``limit`` steps of work, E0511 where there is
    no valid architecture, E0512 for an unknown cost or a missing size.
    """
    if end not in get_args(End):
        raise ValueError(f"an end is 'min' or 'max', not {end!r}")
    check_sizes(table, cost, sizes or {})
    try:
        found = _solved(table, cost, where, limit, sizes or {})
    except TooManyStates as error:
        word = "least" if end == "min" else "largest"
        raise SpacecError(
            replace(
                error.diagnostics[0],
                headline=f"finding the {word} {cost} exactly takes more than {limit:,} steps",
                help=f'`space.distribution("{cost}")` tells how it spreads, from uniform samples',
            )
        ) from None
    if found is None:
        raise SpacecError(Diagnostic("E0511", "no architecture satisfies the constraints"))
    return architecture_of(table, found.attained(table, ("min", "max").index(end)))


def range_of(table: DecisionTable, terms: tuple[CostTerm, ...], limit: int = QUICK) -> tuple[Number, Number] | None:
    """Least and largest sum of terms before constraints; ``None`` where finding them takes over ``limit`` steps."""
    try:
        found = _solve(table, terms, False, limit)
    except TooManyStates:
        return None
    return None if found is None else (found.least, found.most)


@dataclass(frozen=True)
class _Part:
    """A component's diagram, whose last columns are the least and the most that the cost adds (or both in one).

    ``sums``: per node and column, the best that is reached from there.
    """

    diagram: Diagram
    sums: tuple[list[Number | None], list[Number | None]] | None
    columns: int

    def ends(self) -> tuple[Number, Number]:
        if self.sums is None:
            return 0, 0
        low, high = (column[self.diagram.root] for column in self.sums)
        start = self.diagram.offset
        assert low is not None
        assert high is not None
        return low + _told(start[0]), high + _told(start[self.columns - 1])

    def path(self, end: int) -> dict[str, Value]:
        """What a best path decides."""
        found: list[tuple[Step, int]] = []
        node, diagram = self.diagram.root, self.diagram
        while (step := diagram.steps[node]) is not None:
            found.append((step, self.best_outcome(node, step, end)))
            node = diagram.children[node][step.classes[found[-1][1]]]
        return assignment(found)

    def best_outcome(self, node: int, step: Step, end: int) -> int:
        children, deltas = self.diagram.children[node], self.diagram.deltas[node]
        column = 0 if end == 0 else self.columns - 1
        alive = [k for k, kind in enumerate(step.classes) if children[kind] != DEAD]
        if self.sums is None:
            return alive[0]
        sums, sign = self.sums[end], 1 if end == 0 else -1

        def total(outcome: int) -> Number:
            kind = step.classes[outcome]
            return sign * (_told(sums[children[kind]]) + _told(deltas[kind][column]))

        return min((k for k in alive if sums[children[step.classes[k]]] is not None), key=total)


@dataclass(frozen=True)
class _Solved:
    least: Number
    most: Number
    parts: tuple[_Part, ...]
    best: dict[str, Best]

    def attained(self, table: DecisionTable, end: int) -> Mapping[str, Value]:
        chosen: dict[str, Value] = {}
        for part in self.parts:
            chosen.update(part.path(end))

        def choose(decision: Decision) -> Value:
            known = chosen.get(decision.id)
            return self.best[decision.id][end] if known is None else known

        return walk(table, choose)


def _solved(
    table: DecisionTable, cost: str, where: bool, limit: int, sizes: Mapping[str, int]
) -> _Solved | Listed | None:
    """The extremes with what attains them, found once for each question."""
    key = ("extremes", cost, where and bool(table.constraints), limit, tuple(sorted(sizes.items())))
    if key not in table.memo:
        try:
            with no_collection():
                table.memo[key] = _solve(table, at_sizes(table.costs[cost], sizes), where, limit)
        except TooManyStates as error:
            from spacec.space.listed import listed  # numpy, and what counts with the help of this module

            table.memo[key] = listed(table, cost, where, limit, sizes) or error.text
    found: _Solved | Listed | str | None = table.memo[key]
    if isinstance(found, str):
        raise TooManyStates(limit, found)
    return found


def _solve(table: DecisionTable, terms: tuple[CostTerm, ...], where: bool, limit: int) -> _Solved | None:
    limits: list[LinearLimit] = [needed(n) for n in table.needs]
    limits += [linear_limit(table, c) for c in table.constraints] if where else []
    spoken = {name for each in limits for name in concerns(each, table.by_id)}
    apart = (CostTerm(*part) for t in terms for part in told_apart(t.when, t.amount, table.by_id))
    left = eliminate(table.decisions, apart, spoken)
    goals = [Linear("<=", (CostTerm(t.when, t.amount), CostTerm(t.when, t.amount)), _SAME) for t in left.sized]
    goals += [
        Linear("<=", (CostTerm(when, _dim(low)), CostTerm(when, _dim(high))), _SAME) for when, (low, high) in left.terms
    ]
    sought = {id(goal) for goal in goals}
    meter, parts = Meter(limit), list[_Part]()
    for decisions, own in components(left.decisions, [*limits, *goals]):
        imposed = [each for each in own if id(each) not in sought]
        own_goals = [each for each in own if isinstance(each, Linear) and id(each) in sought]
        part = _searched(decisions, imposed, own_goals, meter)
        if part is None:
            return None
        parts.append(part)
    ends = [part.ends() for part in parts]
    return _Solved(sum(low for low, _ in ends), sum(high for _, high in ends), tuple(parts), left.best)


def _searched(decisions: list[Decision], imposed: list[LinearLimit], goals: list[Linear], meter: Meter) -> _Part | None:
    """The diagram of a component; ``None`` where nothing in it is valid."""
    if len(decisions) + len(goals) > LARGEST:
        raise TooManyStates(meter.limit)
    ends = [tuple(goal.terms[end] for goal in goals) for end in (0, 1)]
    sought = [Linear("<=", terms, _SAME) for terms in (ends[:1] if ends[0] == ends[1] else ends)] if goals else []
    parts = [part for each in imposed for part in linear_parts(each)]
    diagram = explore(plan(arranged(decisions, parts), [*parts, *sought]), meter)
    for each in imposed:
        diagram = impose(diagram, each, meter)
    if diagram.root == DEAD:
        return None
    if not sought:
        return _Part(diagram, None, 0)
    return _Part(diagram, (_path_sums(diagram, 0, 1), _path_sums(diagram, len(sought) - 1, -1)), len(sought))


def _path_sums(diagram: Diagram, column: int, sign: int) -> list[Number | None]:
    """Per node, the least (``sign`` 1) or largest sum of a column over the paths to the end; ``None`` for no path."""
    sums: list[Number | None] = [0]
    for children, deltas in zip(diagram.children[1:], diagram.deltas[1:], strict=True):
        best: Number | float = inf
        for child, delta in zip(children, deltas, strict=True):
            if child == DEAD or (rest := sums[child]) is None:
                continue
            best = min(best, sign * (rest + _told(delta[column])))
        sums.append(None if isinstance(best, float) else sign * best)
    return sums


def _told(number: Number | None) -> Number:
    assert number is not None, "a cost names no decision itself, so it is never void"
    return number


def _dim(number: Number) -> Dim:
    return number if isinstance(number, int) else Poly((((), number),))
