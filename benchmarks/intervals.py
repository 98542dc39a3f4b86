"""The few statistics that tables of seeds need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from random import Random
from statistics import mean, stdev

import numpy as np

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


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b of paired values: ties count for neither order. NaN where one of them does not vary."""
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.asarray(a), np.asarray(b)))
    size = sqrt(float(np.abs(x).sum()) * float(np.abs(y).sum()))
    return float((x * y).sum()) / size if size else float("nan")


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's correlation of the ranks of paired values, equal ones sharing theirs. NaN where one does not vary."""
    x, y = (np.sign(np.subtract.outer(v, v)).sum(1) for v in (np.asarray(a), np.asarray(b)))
    size = sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / size if size else float("nan")


def bootstrap(statistic: Callable[[list[int]], float], count: int, draws: int = 1000) -> tuple[float, float]:
    """The middle 95 % of a statistic over so many samples of ``count`` things, as many and with replacement.

    ``statistic`` is given the places of those that were drawn. Samples for which it is NaN are left out.
    """
    rng = Random(0)
    values = sorted(v for _ in range(draws) if (v := statistic(rng.choices(range(count), k=count))) == v)
    return values[round(0.025 * (len(values) - 1))], values[round(0.975 * (len(values) - 1))]
