"""Points that no other point beats: fronts, crowding, hypervolume; exact, for any number of objectives.

A point is a sequence of finite numbers of which *less is better*; :func:`minimised` turns values of metrics into one.
Sorting and crowding are those of Deb, Pratap, Agarwal and Meyarivan, A Fast and Elitist Multiobjective Genetic
Algorithm: NSGA-II (IEEE Transactions on Evolutionary Computation 6, 2002), sections III and VI.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, prod

from spacec.space.benchmark import Direction

Point = Sequence[float]


def minimised(values: Sequence[float], directions: Sequence[str]) -> tuple[float, ...]:
    """``values`` with the sign of those turned whose direction is ``max``."""
    return tuple(-v if d == "max" else v for v, d in zip(values, directions, strict=True))


def direction_of(text: str) -> Direction:
    """``max`` where that is what the text says, else ``min``."""
    return "max" if text == "max" else "min"


def dominates(a: Point, b: Point) -> bool:
    """Whether ``a`` is nowhere worse than ``b`` and somewhere better."""
    better = False
    for x, y in zip(a, b, strict=True):
        if x > y:
            return False
        better = better or x < y
    return better


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that none dominates, in their order; of equal points all.

    Of two objectives in O(n log n): the latest found then has the least second value, and dominates whatever any does.
    """
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda k: tuple(points[k])):  # what dominates a point stands before it
        if not any(dominates(points[k], points[i]) for k in (found[-1:] if len(points[i]) == 2 else found)):
            found.append(i)
    return sorted(found)


def fronts(points: Sequence[Point], violations: Sequence[float] | None = None) -> list[list[int]]:
    """Fast non-dominated sort (section III-A): F_1 holds the points that none dominates, F_2 those after F_1 is gone, …

    ``violations``: by point, by how much it breaks its constraints (0: not at all). Then domination is constrained
    (section VI, definition 1): what breaks less dominates what breaks more, and objectives count among those that
    break nothing.
    """
    n = len(points)
    dominated: list[list[int]] = [[] for _ in range(n)]  # S_p
    left = [0] * n  # n_p: how many dominate p
    for p in range(n):
        for q in range(p + 1, n):
            over, under = _order(points, violations, p, q)
            if over:
                dominated[p].append(q)
                left[q] += 1
            elif under:
                dominated[q].append(p)
                left[p] += 1
    found, current = [], [p for p in range(n) if left[p] == 0]
    while current:
        found.append(current)
        following = []
        for p in current:
            for q in dominated[p]:
                left[q] -= 1
                if left[q] == 0:
                    following.append(q)
        current = sorted(following)
    return found


def _order(points: Sequence[Point], violations: Sequence[float] | None, p: int, q: int) -> tuple[bool, bool]:
    """Whether p dominates q, and q dominates p, with constraints."""
    if violations is not None and (violations[p] > 0 or violations[q] > 0):
        return violations[p] < violations[q], violations[q] < violations[p]
    return dominates(points[p], points[q]), dominates(points[q], points[p])


def crowding(points: Sequence[Point]) -> list[float]:
    """Crowding distances of the points of one front (section III-B).

    Per objective, the distance between the two neighbours of a point as a share of the range; infinite at both ends.
    """
    distance = [0.0] * len(points)
    for m in range(len(points[0]) if points else 0):
        order = sorted(range(len(points)), key=lambda k: points[k][m])
        low, high = points[order[0]][m], points[order[-1]][m]
        distance[order[0]] = distance[order[-1]] = inf
        if high > low:
            for before, k, after in zip(order, order[1:], order[2:], strict=False):
                distance[k] += (points[after][m] - points[before][m]) / (high - low)
    return distance


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The volume that ``points`` dominate up to ``reference``, exactly; 0 without points better than it everywhere.

    Two objectives are swept in order of the first; more are added up point by point, each with what it alone
    dominates (While, Bradstreet and Barone, A Fast Way of Calculating Exact Hypervolumes, IEEE Transactions on
    Evolutionary Computation 16, 2012).
    """
    inside = [tuple(p) for p in points if all(x < r for x, r in zip(p, reference, strict=True))]
    best = sorted({inside[k] for k in front(inside)})
    return _swept(best, reference) if len(reference) <= 2 else _added(best, reference)


def _swept(ordered: Sequence[Point], reference: Point) -> float:
    """Of a front of one or two objectives, in order of the first."""
    if len(reference) == 1:
        return sum(reference[0] - p[0] for p in ordered)
    rights = [*(p[0] for p in ordered), reference[0]]
    return sum(
        (right - left) * (reference[1] - p[1]) for (left, right), p in zip(pairwise(rights), ordered, strict=True)
    )


def _added(ordered: Sequence[Point], reference: Point) -> float:
    """The sum over points of what each dominates and no later one does."""
    total = 0.0
    for k, p in enumerate(ordered):
        limited = [tuple(map(max, p, q)) for q in ordered[k + 1 :]]
        total += prod(r - x for x, r in zip(p, reference, strict=True)) - hypervolume(limited, reference)
    return total
