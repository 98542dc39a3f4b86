"""Language rule 7: from slot probabilities to an architecture."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import Is
from spacec.ir.dims import Symbol, poly
from spacec.space import algebra
from spacec.space.decisions import Constraint, Decision, DecisionTable, Slot
from spacec.space.derive import derive, slots_of
from tests.space.tables import cost_symbol, darts, masks, tables, tabular


def pick(low: int, high: int, absent: bool = True) -> DecisionTable:
    """Three elements whose body is no choice."""
    labels = ("absent", "present") if absent else ("present",)
    slots = tuple(Slot(f"e{i}", labels, None, "pick", i, absent) for i in range(3))
    return DecisionTable("s", "0", (Decision("pick", "net", "subset", low=low, high=high, size=3),), slots)


def gates(*present: float) -> dict[str, tuple[float, float]]:
    return {f"e{i}": (1 - p, p) for i, p in enumerate(present)}


def derived(table: DecisionTable, probabilities: dict[str, tuple[float, ...]]) -> object:
    return derive(table, probabilities)["pick"]


def test_exactly_k_takes_the_best_whether_or_not_present_beats_absent() -> None:
    assert derived(pick(2, 2), gates(0.1, 0.2, 0.3)) == (1, 2)
    assert derived(pick(2, 2), gates(0.9, 0.9, 0.9)) == (0, 1)


def test_a_range_keeps_what_beats_absent_then_clips() -> None:
    assert derived(pick(0, 3), gates(0.6, 0.4, 0.7)) == (0, 2)
    assert derived(pick(0, 3), gates(0.5, 0.4, 0.1)) == ()
    assert derived(pick(1, 3), gates(0.3, 0.4, 0.1)) == (1,)
    assert derived(pick(0, 1), gates(0.6, 0.4, 0.7)) == (2,)
    assert derived(pick(2, 3), gates(0.6, 0.2, 0.4)) == (0, 2)


def test_without_absent_every_element_beats_it() -> None:
    assert derived(pick(0, 2, absent=False), {f"e{i}": (1.0,) for i in range(3)}) == (0, 1)


def test_darts_ranks_edges_by_their_best_operation_that_is_not_absent() -> None:
    table = darts(("normal",))
    flat = {s.id: [0.3, *[0.1] * 7] for s in table.slots}
    flat["normal.pick[2].edge[3]"] = [0.7, 0, 0, 0, 0, 0.25, 0.05, 0]
    flat["normal.pick[2].edge[1]"] = [0.0, 0, 0, 0.2, 0, 0, 0.6, 0.2]
    arch = derive(table, flat)
    assert arch["normal.pick[2]"] == (1, 3)
    assert arch["normal.pick[2].edge[3]"] == 4
    assert arch["normal.pick[2].edge[1]"] == 5
    assert arch["normal.pick[3]"] == (0, 1)
    assert arch["normal.pick[3].edge[0]"] == 0
    assert len(arch) == 4 + 8


@settings(max_examples=250, deadline=None)
@given(tables(), st.data())
def test_deriving_an_architectures_own_slots_gives_it_back(table: DecisionTable, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    arch = data.draw(st.sampled_from(everything))
    indices = slots_of(table, arch)
    sure = {s.id: [float(s.edges or indices[s.id] == k) for k in range(s.size)] for s in table.slots}
    again = derive(table, sure)
    ranges = {d.id for d in table.decisions if d.kind == "subset" and d.low < d.high}
    if not any(s.pick in ranges and not s.absent for s in table.slots):  # else nothing says that it is not picked
        assert again == arch


@settings(max_examples=250, deadline=None)
@given(tables(constrained=True), st.integers(0, 99))
def test_under_constraints_the_best_valid_one_is_found(table: DecisionTable, seed: int) -> None:
    everything = list(algebra.enumerate_architectures(table))
    probabilities = masks(table, seed)
    if not everything:
        with pytest.raises(SpacecError) as caught:
            derive(table, probabilities)
        assert caught.value.diagnostics[0].code == "E0511"
        return
    free = derive(replace(table, constraints=()), probabilities)
    found = derive(table, probabilities)
    assert found in everything
    if free in everything:
        assert found == free
    else:
        scores = [score(table, probabilities, a.values) for a in everything]
        assert score(table, probabilities, found.values) == pytest.approx(max(scores))


def score(table: DecisionTable, probabilities: dict[str, tuple[float, ...]], chosen: dict[str, object]) -> float:
    """The documented sum of logarithms, slot by slot."""
    total = 0.0
    for slot in table.slots:
        given_ = probabilities[slot.id]
        own = chosen.get(slot.decision) if slot.decision else None
        if isinstance(own, int):
            total += log(given_[own + slot.absent])
        if slot.weighs in chosen:
            total += sum(log(given_[e]) for e in chosen[slot.weighs])  # type: ignore[attr-defined]  # a subset's value
        if slot.pick is None or slot.pick not in chosen:
            continue
        bounds = table.by_id[slot.pick]
        if slot.element in chosen[slot.pick]:  # type: ignore[operator]  # a subset's value is a tuple
            total += 0.0 if slot.decision else log(max(given_[slot.absent :]))
        elif bounds.low < bounds.high:
            total += log(given_[0] if slot.absent else 1e-300)
    return total


def test_the_widths_that_fit() -> None:
    table = tabular()
    best = {s.id: [2.0**k for k in range(20)] for s in table.slots}
    arch = derive(table, best)
    everything = algebra.enumerate_architectures(table)
    assert sum(arch.values.values()) == max(sum(a.values.values()) for a in everything)  # type: ignore[arg-type]


def test_probabilities_that_do_not_fit() -> None:
    table = pick(1, 2)
    for wrong in ({}, {"e0": (1.0,)}, gates(0.1, 0.2, float("nan")), {**gates(1, 1, 1), "e0": (-1.0, 2.0)}):
        with pytest.raises(SpacecError) as caught:
            derive(table, wrong)
        assert caught.value.diagnostics[0].code == "E0607"


def test_slots_of_an_architecture() -> None:
    table = darts(("normal",))
    arch = derive(table, {s.id: [0.0, *range(7)] for s in table.slots})
    found = slots_of(table, arch)
    assert found["normal.pick[3].edge[0]"] == 7
    assert found["normal.pick[3].edge[4]"] == 0
    bare = replace(table, slots=tuple(replace(s, absent=False, labels=s.labels[1:]) for s in table.slots))
    assert slots_of(bare, arch)["normal.pick[3].edge[0]"] == 6
    assert slots_of(bare, arch)["normal.pick[3].edge[4]"] is None
    inner = Decision("in", "net", "op", ("x", "y"), active=Is("top", frozenset({1})))
    slots = (Slot("top", ("a", "b"), "top"), Slot("in", ("x", "y"), "in"))
    nested = DecisionTable("s", "0", (Decision("top", "net", "op", ("a", "b")), inner), slots)
    assert slots_of(nested, algebra.unrank(nested, 0)) == {"top": 0, "in": None}
    gated = pick(1, 1)
    assert slots_of(gated, algebra.unrank(gated, 0)) == {"e0": 1, "e1": 0, "e2": 0}


def test_equality_constraints_are_searched_exactly() -> None:
    table = tabular()
    width = [poly(Symbol(d.id)) for d in table.decisions]
    same = (Constraint(width[0], "==", width[1] + width[2]), Constraint(poly(cost_symbol("params")), "<=", 10**9))
    arch = derive(replace(table, constraints=same), {s.id: [1.0] * 19 + [100.0] for s in table.slots})
    assert arch["net.linear[0].out"] == 19
