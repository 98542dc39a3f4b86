"""How the best value of a search grows with its trials, and where half of many searches are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Protocol


class Ordered(Protocol):
    """A metric, as far as it says what is better."""

    def better(self, a: float, b: float) -> bool: ...


@dataclass(frozen=True)
class Quartiles:
    """Of one number over many runs."""

    low: float
    median: float
    high: float


def incumbents(values: Sequence[float | None], metric: Ordered) -> list[float]:
    """The best value after each trial; NaN before the first that succeeded (``None``, or NaN: one that did not)."""
    best, found = float("nan"), []
    for value in values:
        if value is not None and value == value and (best != best or metric.better(value, best)):
            best = value
        found.append(best)
    return found


def quartiles(values: Sequence[float]) -> Quartiles:
    """Median and quartiles, interpolated between ranks; of one value, that value."""
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    low, median, high = quantiles(values, n=4, method="inclusive")
    return Quartiles(low, median, high)


def medians(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each name over the tables that have it."""
    names = dict.fromkeys(name for values in tables for name in values)
    return {name: median([values[name] for values in tables if name in values]) for name in names}


def by_trial(curves: Sequence[Sequence[float]]) -> list[tuple[int, Quartiles]]:
    """Number of trials (from 1) and quartiles over the curves, as far as all of them go and have a value."""
    columns = enumerate(zip(*curves, strict=False), 1)
    return [(n, quartiles(values)) for n, values in columns if all(v == v for v in values)]
