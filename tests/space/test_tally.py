"""Counting by sums where no diagram can be made: the same numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import spacec
from spacec.space import algebra
from spacec.space.components import components
from spacec.space.constraints import linear_limit, needed
from spacec.space.decisions import DecisionTable
from spacec.space.diagram import TooManyStates
from spacec.space.tally import tally
from tests.space.tables import brute_force, tables


def refusing(*_: object) -> algebra.Algebra:
    raise TooManyStates(0)


@settings(max_examples=300, deadline=None)
@given(tables(constrained=True))
def test_against_every_assignment(table: DecisionTable) -> None:
    limits = [*map(needed, table.needs), *(linear_limit(table, c) for c in table.constraints)]
    total: int | None = 1
    for decisions, own in components(table.decisions, limits):
        found = tally(decisions, own)
        free = algebra.count(DecisionTable("part", "0", tuple(decisions)))
        total = None if total is None or (found is None and own) else total * (free if found is None else found)
    assert total in (None, len(brute_force(table)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(algebra, "algebra", refusing)
        assert algebra.count(table) == len(brute_force(table))


def test_a_space_of_ten_to_the_twenty_under_a_limit() -> None:
    """Once-for-all: its diagram has millions of nodes under this limit, its sums lie on half a million places."""
    space = spacec.load("grammars/ofa.space")
    found = space.distribution("params")
    limit = found.quantile(0.001)
    count = space.count(where=f"params <= {limit}")
    assert count == next(n for cost, n in zip(found.support, found.upto, strict=True) if cost == limit)
    assert 0.001 <= count / space.count() < 0.00101
    with pytest.raises(TooManyStates):
        algebra.algebra(space.where(f"params <= {limit}").table)
