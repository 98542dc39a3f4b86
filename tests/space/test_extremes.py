"""Least and largest costs against brute force, and on the published spaces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import Has, Is, both
from spacec.space import algebra
from spacec.space.architecture import architecture_of
from spacec.space.cost import cost, evaluate_cost
from spacec.space.decisions import CostTerm, Decision, DecisionTable
from spacec.space.eliminate import eliminate
from spacec.space.extremes import extreme, extremes
from spacec.space.listed import listed
from spacec.space.validate import validate
from spacec.testing.generate import random_space
from tests.grammars.record import GRAMMARS, NAMES
from tests.space.tables import brute_force, tables, tabular


@settings(max_examples=300, deadline=None)
@given(tables())
def test_extremes_are_those_of_all_architectures(table: DecisionTable) -> None:
    for where in (True, False):
        listed = [evaluate_cost(table, "params", chosen) for chosen in brute_force(table, where)]
        expected = (min(listed), max(listed)) if listed else None
        assert extremes(table, "params", where) == expected
        if expected is None:
            with pytest.raises(SpacecError) as caught:
                extreme(table, "params", "min", where)
            assert caught.value.diagnostics[0].code == "E0511"
            continue
        for end, value in zip(("min", "max"), expected, strict=True):
            found = extreme(table, "params", end, where)  # type: ignore[arg-type]  # a literal of the two
            validate(table, found, where)
            assert evaluate_cost(table, "params", found.values) == value


def test_the_limit_of_a_constraint_bounds_the_cost() -> None:
    found = extremes(tabular(), "params")
    assert found is not None
    assert found[1] <= 41_153 < (extremes(tabular(), "params", where=False) or (0, 0))[1]
    assert extremes(tabular(), "params", limit=10) is None


@settings(max_examples=60, deadline=None)
@given(tables())
def test_listing_finds_the_same_extremes(table: DecisionTable) -> None:
    found = {where: listed(table, "params", where, 10**6, {}) for where in (True, False)}
    assert {w: f and (f.least, f.most) for w, f in found.items()} == {w: extremes(table, "params", w) for w in found}
    for where, each in found.items():
        for end, ends in enumerate((each.least, each.most) if each else ()):
            assert each is not None
            arch = architecture_of(table, each.attained(table, end))
            validate(table, arch, where)
            assert evaluate_cost(table, "params", arch.values) == ends


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_extremes_of_random_spaces(seed: int) -> None:
    space = spacec.loads(random_space(seed))
    if space.count() > 2_000:
        return
    for name in space.table.costs:
        listed = [cost(space.table, a, name) for a in space.enumerate()]
        assert extremes(space.table, name) == (min(listed), max(listed))
        assert space.cost(space.extreme(name, "min"), name) == min(listed)
        assert space.cost(space.extreme(name, "max"), name) == max(listed)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("hierarchical", "nas_bench_101")])
def test_extremes_of_shipped_spaces_are_attained(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space")
    sizes = {"H": 7, "W": 7, "T": 64}
    drawn = space.sample(5, seed=0)
    for cost_name in ("params", "macs", "activations", "nodes"):
        low, high = (space.extreme(cost_name, end, **sizes) for end in ("min", "max"))
        for each in (low, high):
            space.validate(each)
        ends = [space.cost(each, cost_name, **sizes) for each in (low, high)]
        assert all(ends[0] <= space.cost(a, cost_name, **sizes) <= ends[1] for a in drawn)
        assert tuple(ends) == extremes(space.table, cost_name, limit=700_000, sizes=sizes)


def test_a_space_of_28_329_decisions() -> None:
    """Hierarchical NAS-Bench-201: the least network has no convolution in any cell, as NAS-Bench-201's."""
    space = spacec.load(GRAMMARS / "hierarchical.space")
    assert extremes(space.table, "params") == (73_306, 5_286_106)
    for end, params in (("min", 73_306), ("max", 5_286_106)):
        assert space.params(space.extreme("params", end)) == params  # type: ignore[arg-type]  # a literal of the two


def test_trees_vanish() -> None:
    """A free decision under a pick under a choice: nothing is left to search."""
    decisions = (
        Decision("a", "net", "op", ("x", "y")),
        Decision("p", "net", "subset", low=1, high=2, size=3, active=Is("a", frozenset({1}))),
        Decision("b", "net", "op", ("u", "v"), active=Has("p", 0)),
    )
    chosen = both(Is("a", frozenset({1})), Has("p", 0))
    terms = [
        CostTerm(Is("a", frozenset({0})), 9),
        CostTerm(both(Is("a", frozenset({1})), Has("p", 1)), 4),
        CostTerm(both(Is("a", frozenset({1})), Has("p", 2)), 3),
        CostTerm(both(chosen, Is("b", frozenset({0}))), 5),
        CostTerm(both(chosen, Is("b", frozenset({1}))), 6),
    ]
    left = eliminate(decisions, terms, ())
    assert (left.decisions, left.terms, left.sized) == ((), ((both(), (3, 10)),), ())
    assert left.best == {"b": (0, 1), "p": ((2,), (0, 1)), "a": (1, 1)}
    table = DecisionTable("s", "0", decisions, (), {"params": tuple(terms)})
    listed = [cost(table, a, "params") for a in algebra.enumerate_architectures(table)]
    assert (min(listed), max(listed)) == (3, 10)


def test_an_end_is_least_or_largest() -> None:
    with pytest.raises(ValueError, match="'min' or 'max', not 'largest'"):
        extreme(tabular(), "params", "largest")  # type: ignore[arg-type]  # a user's mistake
