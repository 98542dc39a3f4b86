"""Exact counting, ranking and enumeration of the architectures of a space.

Decisions that no condition and no constraint couples fall into components; each is compiled into
its own decision diagram, and counts multiply. Architectures are ordered by component (in the order
of their first decisions), then by the outcomes of the steps of its diagram: a total order that
depends only on the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from math import prod
from typing import TYPE_CHECKING

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.memory import no_collection
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.arrange import arranged
from spacec.space.components import Component, components, concerns
from spacec.space.constraints import Linear, LinearLimit, compare, linear_limit, linear_parts, needed
from spacec.space.decisions import DecisionTable
from spacec.space.diagram import DEAD, LIMIT, Allowed, Diagram, Meter, TooManyStates, assignment
from spacec.space.explore import explore
from spacec.space.extremes import range_of
from spacec.space.impose import impose
from spacec.space.planner import plan
from spacec.space.schedule import IN, OUT, Step
from spacec.space.tally import tally
from spacec.space.validate import validate
from spacec.space.values import Value

if TYPE_CHECKING:
    from spacec.space.batch import Batch

FEW = 16
"""So many architectures are listed one by one, which needs no numpy, before blocks of them are."""

BLOCK = 1 << 18
"""Codes of architectures that are made ahead where they are asked for one by one."""


class NoSuchRank(SpacecError, IndexError):
    """E0520: a rank outside the space."""


@dataclass(frozen=True)
class Algebra:
    """The diagrams of a table, over the outcomes that ``allowed`` admits (``None``: all).

    ``counts[i]`` are the path counts of ``diagrams[i]`` per node.
    """

    diagrams: tuple[Diagram, ...]
    counts: tuple[list[int], ...]
    allowed: Allowed | None = None

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        pairs = zip(self.diagrams, self.counts, strict=True)
        return tuple(0 if d.root == DEAD else c[d.root] for d, c in pairs)

    @cached_property
    def total(self) -> int:
        """Number of assignments."""
        return prod(self.sizes)

    def assignment(self, rank: int) -> dict[str, Value]:
        """The values of the active decisions at a rank below :attr:`total`."""
        chosen: dict[str, Value] = {}
        for diagram, counts, size in list(zip(self.diagrams, self.counts, self.sizes, strict=True))[::-1]:
            rank, own = divmod(rank, size)
            chosen.update(assignment(diagram.path(counts, own, self.allowed)))
        return chosen

    def rank(self, chosen: Mapping[str, Value]) -> int:
        """The rank of an assignment; ``ValueError`` where it is none of this algebra's."""

        def outcome(step: Step) -> int:
            value = chosen[step.decision]
            if step.element is None:
                return step.domain.index(value)
            return IN if isinstance(value, tuple) and step.element in value else OUT

        total = 0
        for diagram, counts, size in zip(self.diagrams, self.counts, self.sizes, strict=True):
            total = total * size + diagram.rank(counts, outcome, self.allowed)
        return total

    def best(self, score: Callable[[Step, int], float]) -> dict[str, Value]:
        """The assignment with the largest sum of scores; there must be one."""
        chosen: dict[str, Value] = {}
        for diagram in self.diagrams:
            chosen.update(assignment(diagram.best(score)))
        return chosen

    def restricted(self, allowed: Allowed) -> Algebra:
        """The assignments whose every step has an allowed outcome."""
        return Algebra(self.diagrams, tuple(d.counts(allowed) for d in self.diagrams), allowed)


def algebra(table: DecisionTable, where: bool = True, owner: str | None = None, limit: int = LIMIT) -> Algebra:
    """The compiled algebra of a table (once per table and arguments).

    ``where=False`` leaves the constraints out; ``owner`` keeps the decisions of one owner, see
    :func:`count`. Raises :class:`TooManyStates` (E0510) beyond ``limit`` steps of work, and E0512 or E0513
    where a constraint cannot be counted under.
    """
    owner = None if table.owners == (owner,) else owner
    key = ("algebra", where and bool(table.constraints), owner, limit)
    if key not in table.memo:
        try:
            with no_collection():
                table.memo[key] = _compiled(table, where, owner, limit)
        except TooManyStates as error:
            table.memo[key] = error.text  # finding this out takes long: not twice
    found: Algebra | str = table.memo[key]
    if isinstance(found, str):
        raise TooManyStates(limit, found)
    return found


def count(table: DecisionTable, owner: str | None = None, where: bool = True) -> int:
    """Number of valid architectures: of assignments of the active decisions.

    ``owner``: number of ways to decide what one owner owns, in a network that uses it wherever the
    space does: conditions on other owners' decisions count as met, and constraints that also concern
    other owners say nothing.
    """
    try:
        return algebra(table, where, owner).total
    except TooManyStates:
        key = ("tally", where, owner)
        if key not in table.memo:
            with no_collection():
                table.memo[key] = _tallied(table, where, owner)
        if table.memo[key] is None:
            raise
        return int(table.memo[key])


def rank(table: DecisionTable, arch: Architecture, where: bool = True) -> int:
    """The place of an architecture in the order of :func:`enumerate_architectures`.

    Raises :class:`SpacecError` where it is not a valid architecture of the table.
    """
    validate(table, arch, where)
    return algebra(table, where).rank(arch.values)


def unrank(table: DecisionTable, rank: int, where: bool = True) -> Architecture:
    """The architecture at a place. Raises :class:`NoSuchRank` outside ``range(count(table))``."""
    compiled = algebra(table, where)
    _check(table, compiled, rank)
    return architecture_of(table, compiled.assignment(rank))


def unrank_batch(table: DecisionTable, ranks: Iterable[int], where: bool = True) -> Batch:
    """The architectures at these places (whole numbers, or an array of them), in their order."""
    compiled = algebra(table, where)
    numbers = [int(rank) for rank in ranks]
    if numbers:
        _check(table, compiled, min(numbers))
        _check(table, compiled, max(numbers))
    return _batch(table, compiled, numbers)


def enumerate_architectures(
    table: DecisionTable, where: bool = True, start: int = 0, stop: int | None = None, step: int = 1
) -> Iterator[Architecture]:
    """The architectures at ranks ``range(start, stop, step)``, lazily; ``stop=None`` is the end of the space.

    It may begin anywhere: a place is found without a walk through those before it.

    Raises :class:`NoSuchRank` for a start or stop outside 0 to the count, ``ValueError`` for a step below one.
    """
    compiled = algebra(table, where)
    stop = compiled.total if stop is None else stop
    for place in (start, stop):
        _check(table, compiled, place, compiled.total + 1)
    if step < 1:
        raise ValueError(f"the step is {step}: ranks are listed upwards")
    return _listed(table, compiled, range(start, stop, step))


def _listed(table: DecisionTable, compiled: Algebra, places: range) -> Iterator[Architecture]:
    waiting = iter(places)
    for place in islice(waiting, FEW):
        yield architecture_of(table, compiled.assignment(place))
    size, most = 2 * FEW, max(1, BLOCK // max(1, len(table.decisions)))
    while block := list(islice(waiting, size)):
        yield from _batch(table, compiled, block)
        size = min(2 * size, most)


def _batch(table: DecisionTable, compiled: Algebra, ranks: list[int]) -> Batch:
    from spacec.space.batch import Batch  # numpy is not needed for a few
    from spacec.space.unrank import unranker

    return Batch(table, unranker(table, compiled).codes(ranks))


def _check(table: DecisionTable, compiled: Algebra, rank: int, end: int | None = None) -> None:
    if not 0 <= rank < (compiled.total if end is None else end):
        ranks = f"ranks 0 to {compiled.total - 1:,}" if compiled.total else "no ranks"
        raise NoSuchRank(
            Diagnostic("E0520", f"{table.space} has no architecture of rank {rank:,}", notes=(f"it has {ranks}",))
        )


def _tallied(table: DecisionTable, where: bool, owner: str | None) -> int | None:
    """The number of assignments, without a diagram of each part; ``None`` where that takes too long as well."""
    total = 1
    for decisions, limits in _parts(table, where, owner):
        found = None
        with suppress(TooManyStates):
            found = tally(decisions, limits)
        try:
            total *= found if found is not None else _size(_diagram((decisions, limits), Meter(LIMIT)))
        except TooManyStates:
            return None
    return total


def _size(diagram: Diagram) -> int:
    return 0 if diagram.root == DEAD else diagram.counts()[diagram.root]


def _parts(table: DecisionTable, where: bool, owner: str | None) -> list[Component]:
    """The components of a table, or of what one owner decides, with their constraints."""
    decisions = [d for d in table.decisions if owner in (None, d.owner)]
    constraints: list[LinearLimit] = [needed(n) for n in table.needs]
    if where:
        constraints += [linear_limit(table, c) for c in table.constraints]
    if owner is not None:
        own = {d.id for d in decisions}
        constraints = [c for c in constraints if own.issuperset(concerns(c, table.by_id))]
    return components(decisions, constraints)


def _effective(table: DecisionTable) -> DecisionTable:
    """The table without the constraints that no architecture can violate, as far as little work tells."""
    kept = tuple(c for c in table.constraints if not _never_violated(table, linear_limit(table, c)))
    return table if len(kept) == len(table.constraints) else replace(table, constraints=kept)


def _never_violated(table: DecisionTable, limit: LinearLimit) -> bool:
    if not isinstance(limit, Linear) or limit.op not in ("<=", "<"):
        return False
    found = range_of(table, limit.terms)
    return found is not None and compare(found[1], limit.op, 0)


def _compiled(table: DecisionTable, where: bool, owner: str | None, limit: int) -> Algebra:
    try:
        return _of_parts(_parts(table, where, owner), limit)
    except TooManyStates:
        effective = _effective(table) if where and owner is None else table
        if effective is table:
            raise
        return _of_parts(_parts(effective, where, owner), limit)


def _of_parts(parts: Sequence[Component], limit: int) -> Algebra:
    meter = Meter(limit)
    diagrams = tuple(_diagram(component, meter) for component in parts)
    return Algebra(diagrams, tuple(d.counts() for d in diagrams))


def _diagram(component: Component, meter: Meter) -> Diagram:
    decisions, limits = component
    sums = [part for each in limits for part in linear_parts(each)]
    diagram = explore(plan(arranged(decisions, sums), sums, meter), meter)
    for each in limits:
        diagram = impose(diagram, each, meter)
    return diagram
