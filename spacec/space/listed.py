"""The least and the largest cost of a space whose architectures are few enough to rate them all, exactly.

For spaces whose costs couple decisions too much for a diagram of them, though the architectures can be counted.
This module imports numpy, so it is imported where it is needed. Guarantees bounded work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spacec.diagnostics.model import SpacecError
from spacec.space.algebra import algebra, unrank_batch
from spacec.space.architecture import Architecture
from spacec.space.cost import compiled_cost, evaluate_cost
from spacec.space.cost_batch import costs_of
from spacec.space.decisions import DecisionTable
from spacec.space.sample import UNCOUNTED
from spacec.space.values import Number, Value

STEPS = 4
"""Steps of work that rating one architecture is taken for."""


@dataclass(frozen=True)
class Listed:
    """The ends of a cost, and the first architectures that attain them."""

    least: Number
    most: Number
    found: tuple[Architecture, Architecture]

    def attained(self, table: DecisionTable, end: int) -> Mapping[str, Value]:
        """The values of an architecture of ``table`` that has the least (``end`` 0) or the largest cost."""
        return self.found[end].values


def listed(table: DecisionTable, cost: str, where: bool, limit: int, sizes: Mapping[str, int]) -> Listed | None:
    """Both ends over all valid architectures.

    ``None`` where they are too many for ``limit`` steps or cannot be counted, and for sums of measurements: these are
    compared exactly, and rated in bulk as floats.
    """
    if compiled_cost(table, cost).measured:
        return None
    try:
        total = algebra(table, where, limit=limit).total
    except SpacecError as error:
        if error.diagnostics[0].code not in UNCOUNTED:
            raise
        return None
    if not 0 < total * STEPS <= limit:
        return None
    every = unrank_batch(table, range(total), where)
    rated = costs_of(table, every, cost, sizes)
    low, high = every[int(rated.argmin())], every[int(rated.argmax())]
    least, most = (evaluate_cost(table, cost, each.values, sizes) for each in (low, high))
    return Listed(least, most, (low, high))
