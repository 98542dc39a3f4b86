"""Mutation with a number of changes or a rate, and a neighbour drawn uniformly.

Everything returned is valid. Random outcomes depend on the table, the parent and the generator only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.space.activity import walk
from spacec.space.algebra import Algebra, algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.diagram import TooManyStates
from spacec.space.sample import draw_value, no_architecture
from spacec.space.schedule import Step
from spacec.space.values import Value
from spacec.space.variation import TRIES, agreeing, agrees, other_value

WORK = 5_000_000
"""Steps of diagrams that are counted for one neighbour."""

Choose = Callable[[], list[Decision]]


def mutate_several(
    table: DecisionTable,
    arch: Architecture,
    rng: Random,
    changes: int = 1,
    rate: float | None = None,
    within: Iterable[str] = (),
) -> Architecture:
    """Change several active decisions at once, each to another value, uniformly.

    ``changes``: so many different ones, drawn uniformly. ``rate``: each one with this probability, so that ``arch``
    itself may come back. ``within`` allows only these decisions, or those of these owners. Of the decisions that are
    active in both, exactly the drawn ones differ; one that becomes active is drawn uniformly, one that a change
    makes inactive is gone (and counts as no change). Where the constraints forbid :data:`TRIES` tries, outcomes come
    from the decision diagram. Raises :class:`SpacecError`: E0603 for an unknown name, E0511 where no valid change is
    found.
    """
    names = named(table, within)
    free = [d for d in table.decisions if d.id in arch and d.cardinality > 1 and d.id in names]
    if rate is None and changes > len(free):
        raise SpacecError(_too_many(table, changes, len(free)))

    def choose() -> list[Decision]:
        if rate is None:
            return rng.sample(free, changes)
        return [d for d in free if rng.random() < rate]

    for _ in range(TRIES):
        chosen = choose()
        told = _changed(table, arch, {d.id for d in chosen}, rng)
        if _is_change(arch, told, chosen, rate) and all_satisfied(table, told):
            return architecture_of(table, told)
    return _from_diagram(table, arch, rng, choose, rate)


def named(table: DecisionTable, within: Iterable[str]) -> set[str]:
    """The ids of decisions that names of decisions and owners stand for; all for no name. E0603 for an unknown one."""
    wanted = [within] if isinstance(within, str) else list(within)
    known = {*table.by_id, *table.owners}
    for name in wanted:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else ""
            raise SpacecError(Diagnostic("E0603", f"{table.space} has no decision or owner {name!r}", help=hint))
    return {d.id for d in table.decisions if not wanted or d.id in wanted or d.owner in wanted}


def _changed(table: DecisionTable, arch: Architecture, chosen: set[str], rng: Random) -> dict[str, Value]:
    def value(decision: Decision) -> Value:
        if decision.id in chosen:
            return other_value(decision, arch[decision.id], rng)
        return arch[decision.id] if decision.id in arch else draw_value(decision, rng)

    return walk(table, value)


def _is_change(arch: Architecture, told: dict[str, Value], chosen: list[Decision], rate: float | None) -> bool:
    """With a number of changes, all of them must still be active."""
    return rate is not None or sum(told.get(d.id, arch[d.id]) != arch[d.id] for d in chosen) == len(chosen)


def _from_diagram(
    table: DecisionTable, arch: Architecture, rng: Random, choose: Choose, rate: float | None
) -> Architecture:
    """A valid change of drawn decisions, uniformly among those that the diagram has for them."""
    try:
        compiled = algebra(table)
    except TooManyStates:
        raise SpacecError(no_architecture(table, f"none of {TRIES} mutations satisfies the constraints")) from None
    for _ in range(TRIES):
        chosen = choose()
        if not chosen and all_satisfied(table, arch.values):
            return arch
        ids = {d.id for d in chosen}

        def allowed(step: Step, outcome: int, ids: set[str] = ids) -> bool:
            if step.decision not in arch or (step.decision in ids and step.element is not None):
                return True
            return agrees(step, outcome, arch[step.decision]) != (step.decision in ids)

        near = compiled.restricted(allowed)
        for _ in range(TRIES if near.total else 0):
            told = near.assignment(rng.randrange(near.total))
            if all(told.get(d.id, arch[d.id]) != arch[d.id] or (rate is not None and d.id not in told) for d in chosen):
                return architecture_of(table, told)
    raise SpacecError(no_architecture(table, "no valid mutation of so many decisions was found"))


def _too_many(table: DecisionTable, changes: int, free: int) -> Diagnostic:
    headline = f"{changes} changes are asked for, and {free} decisions can change"
    note = f"they are active decisions of {table.space} with more than one value, as `within` allows"
    return Diagnostic("E0511", headline, notes=(note,))


def neighbour(table: DecisionTable, arch: Architecture, rng: Random) -> Architecture:
    """One of :func:`spacec.space.variation.neighbours`, uniformly, by counting them.

    Raises :class:`SpacecError`: E0511 where there is none, E0510 where the space cannot be counted.
    """
    compiled = algebra(table)
    active = [d for d in table.decisions if d.id in arch and d.cardinality > 1]
    nears = _Nears(compiled, arch)
    work = sum(nears.size(d) for d in active)
    if work > WORK:
        headline = f"drawing a neighbour uniformly takes more than {WORK:,} steps here"
        raise SpacecError(Diagnostic("E0510", headline, help="`mutate` draws the decision first, then its value"))
    own = arch.values if all_satisfied(table, arch.values) else None
    sizes = [(d, nears.total(d) - (own is not None)) for d in active]
    total = sum(size for _, size in sizes)
    if total == 0:
        raise SpacecError(no_architecture(table, "no valid architecture is one change away"))
    place = rng.randrange(total)
    for decision, size in sizes:
        if place < size:
            near = compiled.restricted(agreeing(arch, decision))
            return architecture_of(table, near.assignment(place + (own is not None and place >= near.rank(own))))
        place -= size
    raise AssertionError("the sizes add up to the total")


class _Nears:
    """How many valid architectures agree with one but for a decision: only that decision's diagram is counted anew."""

    def __init__(self, compiled: Algebra, arch: Architecture) -> None:
        self.compiled, self.arch = compiled, arch
        self.diagram = {s.decision: i for i, d in enumerate(compiled.diagrams) for s in d.steps if s is not None}
        self.wrong = {i for i in range(len(compiled.diagrams)) if not self._count(i, None)}
        """Diagrams that do not have the architecture's own outcome: it is not valid itself."""

    def size(self, decision: Decision) -> int:
        """Steps of its diagram."""
        return len(self.compiled.diagrams[self.diagram[decision.id]].steps)

    def total(self, decision: Decision) -> int:
        at = self.diagram[decision.id]
        return self._count(at, decision) if self.wrong <= {at} else 0

    def _count(self, at: int, but: Decision | None) -> int:
        return Algebra((self.compiled.diagrams[at],), ()).restricted(agreeing(self.arch, but)).total
