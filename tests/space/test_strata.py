"""Strata of a cost: they part the space, their sizes are exact, and each is drawn from uniformly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.dims import Symbol, poly
from spacec.space import algebra
from spacec.space.cost import evaluate_cost
from spacec.space.decisions import CostTerm, DecisionTable
from spacec.space.diagram import TooManyStates
from spacec.space.sample import Law, RejectionWarning
from spacec.space.strata import Stratum, sample_stratified
from tests.space.tables import brute_cost, brute_force, tables, tabular
from tests.space.test_sample import fits

NB201 = Path(__file__).parents[2] / "grammars/nas_bench_201.space"


def within(stratum: Stratum, cost: int | Fraction) -> bool:
    return (stratum.low is None or stratum.low <= cost) and (stratum.high is None or cost < stratum.high)


@settings(max_examples=80, deadline=None)
@given(tables(), st.sampled_from([{"bins": 3}, {"quantiles": 3}, {"cuts": [4, 0]}, {"cuts": [Fraction(7, 2)]}]))
def test_strata_part_the_space(table: DecisionTable, by: dict[str, object]) -> None:
    costs = [brute_cost(table, "params", chosen) for chosen in brute_force(table)]
    if not costs and "cuts" not in by:
        with pytest.raises(SpacecError) as caught:
            sample_stratified(table, 5, "params", **by)  # type: ignore[arg-type]  # one of the three
        assert caught.value.diagnostics[0].code == "E0511"
        return
    strata = sample_stratified(table, 5, "params", **by)  # type: ignore[arg-type]
    assert [s.size for s in strata] == [sum(within(s, c) for c in costs) for s in strata]
    assert sum(s.size or 0 for s in strata) == algebra.count(table)
    for stratum in strata:
        assert len(stratum.drawn) == (5 if stratum.size else 0)
        assert all(within(stratum, evaluate_cost(table, "params", a.values)) for a in stratum.drawn)


def test_each_stratum_is_uniform() -> None:
    table = tabular()
    for stratum in sample_stratified(table, 4_000, "params", bins=4, seed=2):
        inside = [tuple(c.items()) for c in brute_force(table) if within(stratum, brute_cost(table, "params", c))]
        assert stratum.size == len(inside)
        observed = Counter(a.choices for a in stratum.drawn)
        assert fits(observed, dict.fromkeys(inside, 4_000 / len(inside)))


def test_without_replacement_a_small_stratum_gives_all() -> None:
    strata = sample_stratified(tabular(), 200, "params", quantiles=4, law=Law(distinct=True))
    assert [len(set(s.drawn)) for s in strata] == [min(200, s.size or 0) for s in strata]


def test_quantiles_are_about_equal() -> None:
    space = spacec.load(NB201)
    sizes = [s.size or 0 for s in space.sample_stratified(2, "params", quantiles=3)]
    assert sum(sizes) == 15_625
    assert all(2_500 < size < 9_000 for size in sizes)
    whole = space.sample_stratified(2, "params", bins=1, seed=1)
    assert [(s.low, s.high, s.size) for s in whole] == [(None, None, 15_625)]
    assert space.sample_stratified(2, "params", bins=4, seed=1) == space.sample_stratified(2, "params", bins=4, seed=1)


def test_a_stratum_that_cannot_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is unknown, it is drawn from by rejection, and that is told; an empty one gives nothing."""
    exact = algebra.algebra

    def small(table: DecisionTable, where: bool = True) -> algebra.Algebra:
        if where and table.constraints:
            raise TooManyStates(10)
        return exact(table, where=False)

    for module in ("sample", "strata"):
        monkeypatch.setattr(f"spacec.space.{module}.algebra", small)
    space = spacec.load(NB201)
    with pytest.warns(RejectionWarning):
        low, high, none = space.sample_stratified(5, "params", cuts=[300_000, 10**9])
    assert low.size is high.size is None
    assert none.size == 0
    assert all(space.params(a) < 300_000 for a in low.drawn)
    assert (len(low.drawn), len(high.drawn), len(none.drawn)) == (5, 5, 0)
    assert low.rejection is not None
    assert 0 < low.rejection.rate <= 1


def test_costs_at_sizes() -> None:
    table = tabular(limit=10**9)
    area = poly(Symbol("H")) * poly(Symbol("net.linear[0].out"))
    table = replace(
        table, constraints=(), costs={**table.costs, "macs": (CostTerm(table.costs["params"][0].when, area),)}
    )
    with pytest.raises(SpacecError) as caught:
        sample_stratified(table, 1, "macs", cuts=[800])
    assert caught.value.diagnostics[0].code == "E0512"
    low, high = sample_stratified(table, 3, "macs", cuts=[800], sizes={"H": 100})
    assert (low.size, high.size) == (0, 8000)
    low, high = sample_stratified(table, 3, "macs", cuts=[801], sizes={"H": 100})
    assert (low.size, high.size) == (400, 7600)


def test_what_is_asked_for_wrongly() -> None:
    for by in ({}, {"bins": 2, "quantiles": 2}, {"bins": 2, "cuts": [1]}):
        with pytest.raises(ValueError, match="strata are given by"):
            sample_stratified(tabular(), 1, "params", **by)  # type: ignore[arg-type]
    with pytest.raises(SpacecError) as caught:
        sample_stratified(tabular(), 1, "colour", bins=2)
    assert caught.value.diagnostics[0].code == "E0512"


def test_more_strata_than_are_counted() -> None:
    for asked in ({"bins": 10**32}, {"quantiles": 10**32}):
        with pytest.raises(ValueError, match="at most 1,000 strata"):
            sample_stratified(tabular(), 1, "params", **asked)
