"""What uniform samples say of a space where an exact answer takes too long: shares with their confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from random import Random

from spacec.space.algebra import algebra
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import DecisionTable
from spacec.space.sample import uniform
from spacec.space.values import Value
from spacec.space.wide import wide

CONFIDENCE = 1.959964
"""Standard deviations of a two-sided 95 % confidence interval."""


@dataclass(frozen=True)
class Share:
    """A share estimated from ``hits`` among ``samples`` independent uniform samples."""

    hits: int
    samples: int

    @property
    def estimate(self) -> float:
        return self.hits / self.samples

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval (Wilson, Journal of the American Statistical Association, 1927)."""
        n, z = self.samples, CONFIDENCE
        centre = self.hits + z * z / 2
        half = z * sqrt(self.hits * (n - self.hits) / n + z * z / 4)
        return max(0.0, (centre - half) / (n + z * z)), min(1.0, (centre + half) / (n + z * z))

    def of(self, whole: int) -> tuple[int, int, int]:
        """The least, the estimated and the largest number out of ``whole``, rounded; exact in large numbers."""
        low, high = self.interval
        low, most = (round(Fraction(part) * whole) for part in (low, high))
        return low, whole * self.hits // self.samples, most


def samples_of(table: DecisionTable, n: int, seed: int = 0, where: bool = True) -> Iterator[dict[str, Value]]:
    """``n`` uniform and independent architectures, as the values of their active decisions, lazily and without arrays.

    Raises E0510 where they cannot be counted. There must be one.
    """
    rng, exact = Random(seed), algebra(table, where)
    return (uniform(exact, rng) for _ in range(n))


def affordable(table: DecisionTable) -> int:
    """How many architectures of a table a few seconds suffice to draw and to rate."""
    return max(200, min(2_000, 1_000_000 // max(1, len(table.decisions))))


def count_valid(table: DecisionTable, samples: int | None = None, seed: int = 0) -> tuple[Share, tuple[int, int, int]]:
    """How many architectures satisfy the constraints: the share of a wider set, and of its size the least, the
    estimated and the largest number (95 %).

    The set (:mod:`spacec.space.wide`) holds all of them and little more, so that also a small share of the space is
    told closely. By default from as many samples as a few seconds allow. Raises E0510 where not even the space without
    constraints can be counted.
    """
    samples, rng, wider = samples or affordable(table), Random(seed), wide(table)
    if wider.total == 0:
        return Share(0, samples), (0, 0, 0)
    found = Share(sum(all_satisfied(table, uniform(wider, rng)) for _ in range(samples)), samples)
    return found, found.of(wider.total)
