"""Fronts, crowding and hypervolume against what their definitions say, by brute force."""

from __future__ import annotations

from itertools import product
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.search.pareto import crowding, dominates, front, fronts, hypervolume, minimised

CLOSE = settings(max_examples=60, deadline=None)


def clouds(dimensions: int, most: int = 12) -> st.SearchStrategy[list[tuple[int, ...]]]:
    """Points of small whole numbers: many are equal somewhere."""
    return st.lists(st.tuples(*[st.integers(0, 5)] * dimensions), max_size=most)


def peeled(points: list[tuple[int, ...]], violations: list[int]) -> list[list[int]]:
    """Fronts by the definition: what nothing that is left dominates is taken away, again and again."""

    def beats(p: int, q: int) -> bool:
        if violations[p] or violations[q]:
            return violations[p] < violations[q]
        no_worse = all(x <= y for x, y in zip(points[p], points[q], strict=True))
        return no_worse and points[p] != points[q]

    left, found = list(range(len(points))), []
    while left:
        found.append([q for q in left if not any(beats(p, q) for p in left)])
        left = [q for q in left if q not in found[-1]]
    return found


@CLOSE
@given(st.integers(1, 4).flatmap(clouds), st.data())
def test_fronts_are_what_the_definition_peels_off(points: list[tuple[int, ...]], data: st.DataObject) -> None:
    violations = data.draw(st.lists(st.integers(0, 2), min_size=len(points), max_size=len(points)))
    assert fronts(points, violations) == peeled(points, violations)
    free = peeled(points, [0] * len(points))
    assert fronts(points) == free
    assert front(points) == (free[0] if points else [])


@CLOSE
@given(clouds(2).filter(bool))
def test_crowding_is_the_distance_of_the_neighbours(points: list[tuple[int, ...]]) -> None:
    found = crowding(points)
    for k, p in enumerate(points):
        for m in range(2):
            column = sorted(q[m] for q in points)
            if column.count(p[m]) == 1 and p[m] in (column[0], column[-1]):
                assert found[k] == inf
    if len(set(points)) == len(points) == len({p[0] for p in points}) == len({p[1] for p in points}):
        for k, p in enumerate(points):
            total = 0.0
            for m in range(2):
                column = sorted(q[m] for q in points)
                at = column.index(p[m])
                ends = at in (0, len(column) - 1)
                total += inf if ends else (column[at + 1] - column[at - 1]) / (column[-1] - column[0])
            assert found[k] == pytest.approx(total)


@CLOSE
@given(st.integers(1, 4).flatmap(lambda n: clouds(n, 7)))
def test_hypervolume_counts_the_unit_boxes(points: list[tuple[int, ...]]) -> None:
    """Of whole numbers the dominated volume is a number of unit boxes."""
    dimensions = len(points[0]) if points else 2
    reference = (4,) * dimensions
    boxes = product(range(4), repeat=dimensions)
    covered = sum(any(all(x <= low for x, low in zip(p, box, strict=True)) for p in points) for box in boxes)
    assert hypervolume(points, reference) == pytest.approx(covered)


def test_hypervolume_of_known_fronts() -> None:
    assert hypervolume([], (1, 1)) == 0
    assert hypervolume([(0.25, 0.5), (0.5, 0.25), (0.75, 0.75)], (1, 1)) == pytest.approx(0.5)
    corners = [(0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    assert hypervolume(corners, (1, 1, 1)) == pytest.approx(3 * 0.25 - 3 * 0.125 + 0.125)
    assert hypervolume([(2, 0)], (1, 1)) == 0, "a point beyond the reference dominates nothing before it"


def test_less_is_better() -> None:
    assert minimised((90.0, 5.0), ("max", "min")) == (-90.0, 5.0)
    assert dominates((0, 1), (0, 2))
    assert not dominates((0, 1), (0, 1))
    assert not dominates((0, 2), (1, 1))
