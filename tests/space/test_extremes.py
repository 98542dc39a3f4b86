"""Least and largest costs against brute force, and on the published spaces."""

from __future__ import annotations

from hypothesis import given, settings

from spacec.space.cost import evaluate_cost
from spacec.space.decisions import DecisionTable
from spacec.space.extremes import extremes
from tests.space.tables import brute_force, tables, tabular


@settings(max_examples=300, deadline=None)
@given(tables())
def test_extremes_are_those_of_all_architectures(table: DecisionTable) -> None:
    for where in (True, False):
        listed = [evaluate_cost(table, "params", chosen) for chosen in brute_force(table, where)]
        expected = (min(listed), max(listed)) if listed else None
        assert extremes(table, "params", where) == expected


def test_the_limit_of_a_constraint_bounds_the_cost() -> None:
    found = extremes(tabular(), "params")
    assert found is not None
    assert found[1] <= 41_153 < (extremes(tabular(), "params", where=False) or (0, 0))[1]
    assert extremes(tabular(), "params", limit=10) is None
