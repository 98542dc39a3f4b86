"""Variation for evolutionary and local search: mutation, crossover, neighbours.

Everything returned is valid: conditions and constraints hold. Random outcomes depend on the table,
the parents and the generator only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from spacec.diagnostics.model import SpacecError
from spacec.space.activity import walk
from spacec.space.algebra import Algebra, algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.diagram import Allowed, TooManyStates
from spacec.space.sample import Draw, accepted, draw_value, no_architecture, uniform
from spacec.space.schedule import IN, Step
from spacec.space.values import Value, position_of, value_at, values

TRIES = 64
"""Random variations that are tried before the decision diagram is asked for one."""

Fresh = Callable[[Decision], Value]


def mutate(table: DecisionTable, arch: Architecture, rng: Random | int = 0) -> Architecture:
    """Change one active decision to another value, both drawn uniformly.

    Decisions that stay active keep their values; newly active ones are drawn uniformly. Where the
    constraints forbid :data:`TRIES` tries, the outcome comes from the decision diagram: uniform
    over the valid changes of a random decision that has any, and where no decision has, uniform
    over the space. A space of one architecture gives that one. ``rng``: a generator, or a seed.
    """
    rng = Random(rng) if isinstance(rng, int) else rng
    valid = all_satisfied(table, arch.values)
    free = [d for d in table.decisions if d.id in arch and d.cardinality > 1]
    if not free:
        return arch

    def draw() -> dict[str, Value]:
        decision = free[rng.randrange(len(free))]
        value = other_value(decision, arch[decision.id], rng)
        return walk(table, _keeping(arch, decision, value, lambda d: draw_value(d, rng)))

    def exact(compiled: Algebra) -> dict[str, Value]:
        while free:
            decision = free.pop(rng.randrange(len(free)))
            near = compiled.restricted(agreeing(arch, decision))
            if near.total > valid:
                rank = rng.randrange(near.total - valid)
                return near.assignment(rank + (valid and rank >= near.rank(arch.values)))
        return uniform(compiled, rng)

    return _valid(table, draw, exact)


def crossover(table: DecisionTable, a: Architecture, b: Architecture, rng: Random | int = 0) -> Architecture:
    """Each active decision takes its value from one of the parents in which it is active, by a fair coin.

    A decision that is active in neither is drawn uniformly. Where the constraints forbid
    :data:`TRIES` tries, the child is drawn uniformly from the valid architectures whose every
    decision, and for a subset every element, agrees with a parent. ``rng``: a generator, or a seed.
    """
    rng = Random(rng) if isinstance(rng, int) else rng

    def choose(decision: Decision) -> Value:
        found = [p[decision.id] for p in (a, b) if decision.id in p]
        return found[rng.randrange(len(found))] if found else draw_value(decision, rng)

    def from_a_parent(step: Step, outcome: int) -> bool:
        found = [p[step.decision] for p in (a, b) if step.decision in p]
        return not found or any(agrees(step, outcome, value) for value in found)

    def exact(compiled: Algebra) -> dict[str, Value]:
        near = compiled.restricted(from_a_parent)
        return uniform(near if near.total else compiled, rng)  # none only where the parents are invalid themselves

    return _valid(table, lambda: walk(table, choose), exact)


def neighbours(table: DecisionTable, arch: Architecture) -> Iterator[Architecture]:
    """Every valid architecture one change away, lazily.

    One change: exactly one decision that is active in both differs, the others that are active in
    both agree, and those that the change makes active take any values. In order of the changed
    decision, its value, and the values of the newly active ones.
    """
    for decision in table.decisions:
        if decision.id not in arch:
            continue
        for value in values(decision):
            if value == arch[decision.id]:
                continue
            odometer = _Odometer()
            while odometer.running:
                chosen = walk(table, _keeping(arch, decision, value, odometer.next_value))
                odometer.advance()
                if all_satisfied(table, chosen):
                    yield architecture_of(table, chosen)


class _Odometer:
    """Steps through all answers to questions that depend on earlier answers, one walk at a time."""

    def __init__(self) -> None:
        self.running = True
        self.answers: list[tuple[int, int]] = []
        """Per question of the walk: the index answered, and how many there are."""
        self.asked = 0

    def next_value(self, decision: Decision) -> Value:
        if self.asked == len(self.answers):
            self.answers.append((0, decision.cardinality))
        self.asked += 1
        return value_at(decision, self.answers[self.asked - 1][0])

    def advance(self) -> None:
        """On to the next walk."""
        self.asked = 0
        while self.answers:
            index, size = self.answers.pop()
            if index + 1 < size:
                self.answers.append((index + 1, size))
                return
        self.running = False


def _keeping(arch: Architecture, changed: Decision, value: Value, fresh: Fresh) -> Fresh:
    """Answers of ``arch`` but for one decision; ``fresh`` for decisions that it does not answer."""

    def choose(decision: Decision) -> Value:
        if decision.id == changed.id:
            return value
        return arch[decision.id] if decision.id in arch else fresh(decision)

    return choose


def other_value(decision: Decision, value: Value, rng: Random) -> Value:
    """A value other than ``value``, uniformly."""
    index = rng.randrange(decision.cardinality - 1)
    return value_at(decision, index + (index >= position_of(decision, value)))


def agreeing(arch: Architecture, but: Decision | None) -> Allowed:
    """Outcomes that agree with ``arch`` wherever it has an answer, but for one decision."""
    free = None if but is None else but.id

    def allowed(step: Step, outcome: int) -> bool:
        return step.decision == free or step.decision not in arch or agrees(step, outcome, arch[step.decision])

    return allowed


def agrees(step: Step, outcome: int, value: Value) -> bool:
    """Whether an outcome of a step is that of a value of its decision."""
    if step.element is None:
        return step.domain[outcome] == value
    return (outcome == IN) == (isinstance(value, tuple) and step.element in value)


def _valid(table: DecisionTable, draw: Draw, exact: Callable[[Algebra], dict[str, Value]]) -> Architecture:
    """A drawn assignment that satisfies the constraints, after :data:`TRIES` one from the diagram."""
    for _ in range(TRIES):
        chosen = draw()
        if all_satisfied(table, chosen):
            return architecture_of(table, chosen)
    try:
        compiled = algebra(table)
    except TooManyStates:
        return architecture_of(table, accepted(table, draw))
    if compiled.total == 0:
        raise SpacecError(no_architecture(table, "no architecture satisfies the constraints"))
    return architecture_of(table, exact(compiled))
