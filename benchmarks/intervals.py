"""The few statistics that tables of seeds need."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev

T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Student's t that 2.5 % exceed, by degrees of freedom."""


def interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Mean of paired differences, and the ends of its 95 % interval by Student's t; of 2 to 10 pairs."""
    n, middle = len(differences), mean(differences)
    reach = T95[n - 1] * stdev(differences) / sqrt(n)
    return middle, middle - reach, middle + reach


def ranks(values: Sequence[float]) -> list[float]:
    """1 for the largest; equal values share the mean of their ranks."""
    return [1 + sum(w > v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values]


def concordance(judges: Sequence[Sequence[float]]) -> float:
    """Kendall's W of the ranks that each of ``judges`` gives the same things: 1 agreement, 1/m expected of chance."""
    m, n = len(judges), len(judges[0])
    sums = [sum(one) for one in zip(*(ranks(j) for j in judges), strict=True)]
    return 12 * sum((s - mean(sums)) ** 2 for s in sums) / (m * m * (n**3 - n))
