"""Costs of architectures, and their expectation under soft masks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import ALWAYS, Has, Is, both, either
from spacec.ir.dims import Poly, Symbol, poly, symbols
from spacec.space import algebra
from spacec.space.cost import cost, expected_cost
from spacec.space.decisions import CostTerm, Decision, DecisionTable, Slot
from spacec.space.derive import slots_of
from tests.space.tables import brute_cost, chosen_by, masks, tables, tabular


@settings(max_examples=250, deadline=None)
@given(tables(constrained=False))
def test_costs_are_brute_force(table: DecisionTable) -> None:
    for arch in algebra.enumerate_architectures(table):
        for name in table.costs:
            assert cost(table, arch, name) == brute_cost(table, name, arch.values)


def where_picked(table: DecisionTable, term: CostTerm) -> CostTerm:
    """An inactive pick and an empty one have the same index masks, so its length is asked only where it is active."""
    picks = (table.by_id[s.name] for s in symbols(term.amount))
    return replace(term, when=both(term.when, *(d.active for d in picks if d.kind == "subset")))


@settings(max_examples=250, deadline=None)
@given(tables(constrained=False))
def test_index_masks_give_the_exact_cost(table: DecisionTable) -> None:
    costs = {name: tuple(where_picked(table, t) for t in terms) for name, terms in table.costs.items()}
    table = replace(table, costs=costs)
    for arch in algebra.enumerate_architectures(table):
        for name in table.costs:
            assert expected_cost(table, slots_of(table, arch), name) == pytest.approx(cost(table, arch, name))


@settings(max_examples=250, deadline=None)
@given(tables(constrained=False), st.integers(0, 99))
def test_expected_costs_are_sums_over_all_slot_outcomes(table: DecisionTable, seed: int) -> None:
    given_masks = masks(table, seed)
    outcomes = list(product(*(range(s.size) for s in table.slots)))
    if len(outcomes) > 3_000:
        return
    for name in table.costs:
        total = 0.0
        for outcome in outcomes:
            indices = dict(zip((s.id for s in table.slots), outcome, strict=True))
            weight = prod(given_masks[s][k] for s, k in indices.items())
            total += weight * float(brute_cost(table, name, dict(chosen_by(table, indices))))
        assert expected_cost(table, given_masks, name) == pytest.approx(total)


def test_tabnas_numbers() -> None:
    table = tabular()
    arch = next(a for a in algebra.enumerate_architectures(table) if a.text() == "07ab07ab:net=32,144,24")
    assert cost(table, arch, "params") == 41_153


def test_sizes_of_inputs() -> None:
    op = Decision("net.op", "net", "op", ("small", "large"))
    area = poly(Symbol("H")) * poly(Symbol("W"))
    quarter = Poly(((((Symbol("H"), 1),), Fraction(1, 4)),))
    terms = (CostTerm(Is("net.op", frozenset({0})), area * 5), CostTerm(ALWAYS, area), CostTerm(ALWAYS, 7))
    costs = {"macs": terms, "odd": (CostTerm(ALWAYS, quarter),)}
    table = DecisionTable("s", "0", (op,), (Slot("net.op", op.labels, "net.op"),), costs)
    arch = algebra.unrank(table, 0)
    assert cost(table, arch, "macs", {"H": 8, "W": 4}) == 6 * 32 + 7
    assert expected_cost(table, {"net.op": (0.25, 0.75)}, "macs", {"H": 8, "W": 4}) == pytest.approx(2.25 * 32 + 7)
    for name, sizes, named in (("macs", {"H": 8}, "size W"), ("flops", {}, "macs, odd"), ("macs", {}, "sizes H, W")):
        with pytest.raises(SpacecError, match=named) as caught:
            cost(table, arch, name, sizes)
        assert caught.value.diagnostics[0].code == "E0512"
        with pytest.raises(SpacecError, match=named):
            expected_cost(table, {}, name, sizes)
    assert cost(table, arch, "odd", {"H": 8}) == 2
    with pytest.raises(SpacecError, match="no whole number"):
        cost(table, arch, "odd", {"H": 6})


def test_tensors_and_other_numbers_pass_through() -> None:
    """Only + and * (and 1 - x) are used, so a gradient can be read off: here with dual numbers."""
    picks = Decision("p", "net", "subset", low=1, high=2, size=2)
    op = Decision("o", "net", "op", ("a", "b"), active=Has("p", 0))
    width = Decision("w", "net", "value", ("4", "8"), (4, 8), elastic=True)
    slots = (
        Slot("p0", ("absent", "a", "b"), "o", "p", 0, True),
        Slot("p1", ("absent", "present"), None, "p", 1, True),
        Slot("w", ("4", "8"), "w"),
    )
    size = poly(Symbol("w"))
    wide = both(Has("p", 0), Is("o", frozenset({1})))
    terms = (CostTerm(wide, size * size), CostTerm(either(Has("p", 0), Has("p", 1)), 10))
    table = DecisionTable("s", "0", (picks, op, width), slots, {"params": terms})
    soft = {"p0": [Dual(0.2), Dual(0.5), Dual(0.3, 1.0)], "p1": [Dual(0.4), Dual(0.6)], "w": [Dual(0.5), Dual(0.5)]}
    found = expected_cost(table, soft, "params")
    assert found.value == pytest.approx(0.3 * 40 + 10 * (1 - 0.2 * 0.4))
    assert found.slope == pytest.approx(40 + 10 * 0.4)


def test_masks_that_do_not_fit() -> None:
    with pytest.raises(SpacecError) as caught:
        expected_cost(tabular(), {"net.linear[0].out": [0.5, 0.5]}, "params")
    assert caught.value.diagnostics[0].code == "E0607"


class Dual:
    """A number with its derivative."""

    def __init__(self, value: float, slope: float = 0.0) -> None:
        self.value, self.slope = value, slope

    def __add__(self, other: Dual | float) -> Dual:
        b = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value + b.value, self.slope + b.slope)

    __radd__ = __add__

    def __mul__(self, other: Dual | float) -> Dual:
        b = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value * b.value, self.slope * b.value + self.value * b.slope)

    __rmul__ = __mul__

    def __rsub__(self, other: float) -> Dual:
        return Dual(other - self.value, -self.slope)
