"""How a cost is distributed over the architectures of a space.

Exact where the generating function of the cost takes a bounded amount of work; else least, largest,
mean and variance are exact, as far as a decision diagram of the cost can be made, and the rest is
estimated from uniform samples and says so.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import ceil

from spacec.diagnostics.model import SpacecError
from spacec.space.algebra import count
from spacec.space.cost import check_sizes
from spacec.space.costed import Costed, costed
from spacec.space.decisions import DecisionTable
from spacec.space.diagram import DEAD, LIMIT, Diagram, TooManyStates
from spacec.space.estimates import Share
from spacec.space.extent import path_extent
from spacec.space.measures import at_sizes
from spacec.space.sample import no_architecture
from spacec.space.spread import spread
from spacec.space.values import Number

BINS = 100_000
"""Bins that a number may ask for."""

SampleCosts = Callable[[int], Sequence[Number]]
"""The costs of so many uniform samples."""


@dataclass(frozen=True)
class Distribution:
    """The numbers of architectures by cost.

    ``counts[i]`` architectures have ``edges[i] <= cost < edges[i + 1]`` (the last bin has its upper edge too).
    """

    cost: str
    total: int | None
    """Of architectures; ``None`` where they cannot be counted."""
    edges: tuple[Number, ...]
    counts: tuple[int | None, ...]
    """Per bin; exact, or estimated by its share of the samples (``None`` where ``total`` is)."""
    shares: tuple[float, ...]
    """Per bin, of all architectures."""
    intervals: tuple[tuple[float, float], ...]
    """Per bin, what its share lies between with 95 % confidence (Wilson's interval; exact: twice the share)."""
    low: Number
    high: Number
    mean: float
    variance: float
    samples: int
    """How many the shares and quantiles are estimated from; 0 where they are exact."""
    moments_exact: bool
    """Whether ``low``, ``high``, ``mean`` and ``variance`` are those of all architectures."""
    support: tuple[Number, ...]
    """The costs that occur (among the samples), ascending."""
    upto: tuple[int, ...]
    """Per cost that occurs, how many architectures (or samples) cost no more."""

    @property
    def estimated(self) -> bool:
        return self.samples > 0

    def quantile(self, share: float | Fraction) -> Number:
        """The least cost that at least this share of the architectures does not exceed. ``ValueError`` beyond 0..1."""
        if not 0 <= share <= 1:
            raise ValueError(f"a share between 0 and 1, not {share}")
        wanted = ceil(Fraction(share) * self.upto[-1])
        return self.support[bisect_left(self.upto, max(wanted, 1))]

    def share_within(self, limit: Number | float) -> float:
        """The share of the architectures that cost no more than ``limit``."""
        return self._within(limit) / self.upto[-1]

    def _within(self, limit: Number | float) -> int:
        place = bisect_right(self.support, limit)
        return self.upto[place - 1] if place else 0


def distribution(
    table: DecisionTable,
    cost: str,
    draw: SampleCosts,
    bins: int | Sequence[Number] = 20,
    sizes: Mapping[str, int] | None = None,
    samples: int = 10_000,
    limit: int = LIMIT,
) -> Distribution:
    """The distribution of a cost over the valid architectures; ``bins`` of equal width, or their edges.

    Raises :class:`SpacecError`: E0512 as :func:`spacec.space.cost.cost` does, E0511 where there is no architecture.
    """
    check_sizes(table, cost, sizes or {})
    terms = at_sizes(table.costs[cost], sizes or {})
    try:
        found = costed(table, terms, True, limit)
    except TooManyStates:
        return _sampled(table, cost, draw, bins, samples, None)
    if found is None:
        raise SpacecError(no_architecture(table, "no architecture satisfies the constraints"))
    exact = spread(found.diagram, limit)
    if exact is None:
        return _sampled(table, cost, draw, bins, samples, found)
    support = tuple(number for number, _ in exact)
    return _described(cost, support, [ways * found.rest for _, ways in exact], bins, _moments(found.diagram), 0, None)


def _sampled(
    table: DecisionTable, cost: str, draw: SampleCosts, bins: int | Sequence[Number], samples: int, found: Costed | None
) -> Distribution:
    drawn = sorted(draw(samples))
    support = sorted(set(drawn))
    ways = [bisect_right(drawn, x) - bisect_left(drawn, x) for x in support]
    try:
        total = count(table) if found is None else found.rest * found.diagram.counts()[found.diagram.root]
    except TooManyStates:
        total = None
    moments = None if found is None else _moments(found.diagram)
    return _described(cost, tuple(support), ways, bins, moments, len(drawn), total)


@dataclass(frozen=True)
class _Moments:
    low: Number
    high: Number
    mean: Fraction
    variance: Fraction


def _described(
    cost: str,
    support: tuple[Number, ...],
    ways: Sequence[int],
    bins: int | Sequence[Number],
    moments: _Moments | None,
    samples: int,
    total: int | None,
) -> Distribution:
    upto = tuple(accumulate(ways))
    known = moments or _moments_of(support, ways)
    edges = _edges(known.low, known.high, bins)
    found = _binned(support, upto, edges)
    shares = tuple(n / upto[-1] for n in found)
    if samples:
        counts = tuple(None if total is None else round(Fraction(n, samples) * total) for n in found)
        intervals = tuple(Share(n, samples).interval for n in found)
    else:
        counts, intervals, total = tuple(found), tuple((s, s) for s in shares), upto[-1]
    return Distribution(
        cost,
        total,
        edges,
        counts,
        shares,
        intervals,
        known.low,
        known.high,
        float(known.mean),
        float(known.variance),
        samples,
        not samples or moments is not None,
        support,
        upto,
    )


def _binned(support: Sequence[Number], upto: Sequence[int], edges: Sequence[Number]) -> list[int]:
    """How many lie in each bin; the last one has both its edges."""
    places = [bisect_left(support, edge) for edge in edges[:-1]] + [bisect_right(support, edges[-1])]
    below = [upto[place - 1] if place else 0 for place in places]
    return [b - a for a, b in pairwise(below)]


def _edges(low: Number, high: Number, bins: int | Sequence[Number]) -> tuple[Number, ...]:
    if not isinstance(bins, int):
        edges = tuple(bins)
        if len(edges) < 2 or any(a >= b for a, b in pairwise(edges)):
            raise ValueError("edges of bins: two or more numbers, ascending")
        return edges
    if not 1 <= bins <= BINS:
        raise ValueError(f"from one bin to {BINS:,}")
    if low == high:
        return low, high
    return tuple(_plain(low + (high - low) * Fraction(k, bins)) for k in range(bins + 1))


def _moments(diagram: Diagram) -> _Moments:
    """Of all paths, exactly: numbers, sums and sums of squares below each node."""
    rows: list[tuple[int, Number, Number]] = [(1, 0, 0)]
    for step, children, deltas in zip(diagram.steps[1:], diagram.children[1:], diagram.deltas[1:], strict=True):
        assert step is not None
        n: int = 0
        first: Number = 0
        second: Number = 0
        for kind, (child, (more,)) in enumerate(zip(children, deltas, strict=True)):
            if child == DEAD:
                continue
            assert more is not None, "a cost names no decision itself, so it is never void"
            times = step.classes.count(kind)
            ways, one, two = rows[child]
            n += times * ways
            first += times * (one + more * ways)
            second += times * (two + 2 * more * one + more * more * ways)
        rows.append((n, first, second))
    n, first, second = rows[diagram.root]
    (start,) = diagram.offset
    assert start is not None
    low, high = path_extent(diagram)
    mean = Fraction(first) / n
    return _Moments(low, high, mean + start, Fraction(second) / n - mean * mean)


def _moments_of(support: Sequence[Number], ways: Sequence[int]) -> _Moments:
    n = sum(ways)
    mean = sum((Fraction(x) * k for x, k in zip(support, ways, strict=True)), start=Fraction(0)) / n
    square = sum((Fraction(x) ** 2 * k for x, k in zip(support, ways, strict=True)), start=Fraction(0)) / n
    return _Moments(support[0], support[-1], mean, square - mean * mean)


def _plain(number: Number) -> Number:
    return int(number) if number == int(number) else number
