"""Random architectures: uniform over architectures, or decision by decision. The two are not the same.

Both depend only on the table and the seed, not on hash seeds or the version of Python.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.activity import walk
from spacec.space.algebra import Algebra, algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.diagram import TooManyStates
from spacec.space.values import Value, value_at

TRIES = 10_000
"""Assignments that sampling by rejection draws, per architecture that it returns, before it gives up."""

Draw = Callable[[], dict[str, Value]]


def sample(table: DecisionTable, n: int = 1, seed: int = 0) -> list[Architecture]:
    """``n`` architectures, independent and uniform over the valid ones.

    Where the constraints make the diagram too large, architectures are drawn uniformly without
    them and those that violate one are rejected: slower, and just as uniform. Raises
    :class:`SpacecError`: E0511 where there is no valid architecture, or where rejection finds none.
    """
    rng = Random(seed)
    try:
        exact = algebra(table)
    except TooManyStates:
        free = algebra(table, where=False)
        return [architecture_of(table, accepted(table, lambda: uniform(free, rng))) for _ in range(n)]
    if exact.total == 0:
        raise SpacecError(no_architecture(table, "no architecture satisfies the constraints"))
    return [architecture_of(table, uniform(exact, rng)) for _ in range(n)]


def sample_decisions(table: DecisionTable, n: int = 1, seed: int = 0, priors: bool = True) -> list[Architecture]:
    """``n`` valid architectures whose active decisions are drawn one by one, in order.

    Each takes its candidates with their prior weights (``priors``) or uniformly, a subset decision
    any of its subsets uniformly. Invalid outcomes are drawn again, as a whole. Large branches of a
    space are drawn no more often than small ones, so this is not uniform over architectures.
    """
    rng = Random(seed)

    def draw() -> dict[str, Value]:
        return walk(table, lambda d: draw_value(d, rng, priors))

    return [architecture_of(table, accepted(table, draw)) for _ in range(n)]


def uniform(compiled: Algebra, rng: Random) -> dict[str, Value]:
    """One assignment, uniformly; there must be one."""
    return compiled.assignment(rng.randrange(compiled.total))


def draw_value(decision: Decision, rng: Random, priors: bool = False) -> Value:
    """A value of one decision, by its prior weights or uniformly."""
    if not priors or decision.priors is None:
        return value_at(decision, rng.randrange(decision.cardinality))
    point = rng.random() * sum(decision.priors)
    for index, weight in enumerate(decision.priors):
        if point < weight:
            return index
        point -= weight
    return max(i for i, weight in enumerate(decision.priors) if weight > 0)  # rounding ran past the last one


def accepted(table: DecisionTable, draw: Draw) -> dict[str, Value]:
    """The first drawn assignment that satisfies the constraints; E0511 after :data:`TRIES`."""
    for _ in range(TRIES):
        chosen = draw()
        if all_satisfied(table, chosen):
            return chosen
    raise SpacecError(no_architecture(table, f"none of {TRIES:,} random architectures satisfies the constraints"))


def no_architecture(table: DecisionTable, headline: str) -> Diagnostic:
    """E0511, pointing at the first constraint."""
    span = table.constraints[0].span if table.constraints and table.constraints[0].text else None
    return Diagnostic("E0511", headline, span)
