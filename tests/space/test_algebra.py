"""Counting, ranking and enumeration against brute force and the published numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise, product

import pytest
from hypothesis import given, settings

from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import ALWAYS, Cond, Has, Is, both, either, holds
from spacec.ir.dims import Poly, Symbol, poly
from spacec.space import algebra
from spacec.space.decisions import Constraint, CostTerm, Decision, DecisionTable
from spacec.space.diagram import TooManyStates
from spacec.space.shorter import shorter
from tests.space.tables import brute_force, clearer, cost_symbol, darts, nas_bench_201, tables, tabular


def keys(listed: list[dict[str, int | tuple[int, ...]]]) -> set[tuple[tuple[str, int | tuple[int, ...]], ...]]:
    return {tuple(c.items()) for c in listed}


@settings(max_examples=500, deadline=None)
@given(tables())
def test_enumeration_is_brute_force(table: DecisionTable) -> None:
    for where in (True, False):
        expected = brute_force(table, where)
        found = [a.choices for a in algebra.enumerate_architectures(table, where)]
        assert algebra.count(table, where=where) == len(expected) == len(found)
        assert set(found) == keys(expected)


@settings(max_examples=200, deadline=None)
@given(tables(constrained=True))
def test_rank_inverts_unrank(table: DecisionTable) -> None:
    for rank, arch in enumerate(algebra.enumerate_architectures(table)):
        assert algebra.rank(table, arch) == rank
        assert algebra.unrank(table, rank) == arch
    with pytest.raises(IndexError):
        algebra.unrank(table, algebra.count(table))


@settings(max_examples=100, deadline=None)
@given(tables())
def test_enumeration_from_a_rank_continues(table: DecisionTable) -> None:
    everything = list(algebra.enumerate_architectures(table))
    half = len(everything) // 2
    assert list(algebra.enumerate_architectures(table, start=half)) == everything[half:]


def without_others(condition: object, own: set[str]) -> object:
    match condition:
        case Is() | Has():
            return condition if condition.decision in own else ALWAYS
        case _:
            parts = [without_others(p, own) for p in condition.parts]  # type: ignore[attr-defined]
            return (both if type(condition).__name__ == "All" else either)(*parts)


@settings(max_examples=200, deadline=None)
@given(tables(constrained=False))
def test_an_owners_count_takes_other_owners_conditions_as_met(table: DecisionTable) -> None:
    for owner in table.owners:
        own = {d.id for d in table.decisions if d.owner == owner}
        mine = tuple(replace(d, active=without_others(d.active, own)) for d in table.decisions if d.id in own)
        assert algebra.count(table, owner) == len(brute_force(DecisionTable("one", "0", mine)))


def test_published_counts() -> None:
    assert algebra.count(darts()) == 1_076_746_950_455_072_400
    assert algebra.count(darts(), owner="reduce") == 1_037_664_180
    assert algebra.count(nas_bench_201()) == 15_625
    assert algebra.count(clearer()) == 4_096
    assert algebra.count(tabular()) == 856
    assert algebra.count(tabular(), where=False) == 8_000


def test_an_owners_constraint_counts_and_a_joint_one_does_not() -> None:
    few = poly(cost_symbol("first"))
    table = darts(where=(Constraint(few, "<=", 0), Constraint(poly(cost_symbol("params")), "<=", 0)))
    first = tuple(CostTerm(Is("normal.pick[0].edge[0]", frozenset({k})), k) for k in range(7))
    table = replace(table, costs={**table.costs, "first": first})
    assert algebra.count(table, owner="normal") == 1_037_664_180 // 7
    assert algebra.count(table, owner="reduce") == 1_037_664_180


def test_a_let_used_under_two_conditions_counts_once() -> None:
    use = Decision("net.use", "net", "op", ("left", "right", "both", "none"))
    used = either(Is("net.use", frozenset({0, 2})), Is("net.use", frozenset({1, 2})))
    shared = Decision("cell.op", "cell", "op", ("a", "b", "c"), active=used)
    assert algebra.count(DecisionTable("s", "0", (use, shared))) == 3 * 3 + 1


def test_a_depth_choice_is_a_sum_of_products() -> None:
    depth = Decision("net.depth", "net", "depth", ("2", "3", "4"), (2, 3, 4))
    copies = tuple(
        Decision(f"net.op[{i}]", "net", "op", ("a", "b"), active=Is("net.depth", frozenset(range(max(0, i - 1), 3))))
        for i in range(4)
    )
    assert algebra.count(DecisionTable("s", "0", (depth, *copies))) == 2**2 + 2**3 + 2**4


def test_large_picks_with_bodies_stay_small() -> None:
    """Settling all 40 elements before the first body would need 2^40 states."""
    pick = Decision("net.pick", "net", "subset", low=0, high=40, size=40)
    bodies = tuple(Decision(f"net.op[{e}]", "net", "op", ("a", "b", "c"), active=Has("net.pick", e)) for e in range(40))
    table = DecisionTable("wide", "0", (pick, *bodies))
    assert algebra.count(table) == 4**40
    exact = replace(pick, low=3, high=3)
    assert algebra.count(DecisionTable("wide", "0", (exact, *bodies))) == 9880 * 3**3


def test_partial_costs_that_leave_the_same_ways_share_a_state() -> None:
    """1e18 architectures under a limit on their cost: a few thousand states."""
    where = (Constraint(poly(cost_symbol("params")), "<=", 2_000, "params <= 2000"),)
    table = darts(where=where)
    assert 0 < algebra.count(table) < algebra.count(table, where=False)
    assert sum(len(d.steps) for d in algebra.algebra(table).diagrams) < 8_000


def test_spaces_of_ten_thousand_decisions() -> None:
    ops = ("a", "b", "c")
    first = Decision("d0", "net", "op", ops)
    chain = tuple(Decision(f"d{i}", "net", "op", ops, active=Is(f"d{i - 1}", frozenset({0}))) for i in range(1, 10_000))
    deep = DecisionTable("deep", "0", (first, *chain))
    assert algebra.count(deep) == 2 * 10_000 + 1
    last = algebra.unrank(deep, 0)
    assert len(last) == 10_000
    assert algebra.rank(deep, last) == 0
    wide = DecisionTable("wide", "0", tuple(Decision(f"d{i}", "net", "op", ops) for i in range(10_000)))
    assert algebra.count(wide) == 3**10_000
    assert algebra.unrank(wide, 3**10_000 - 1)["d9999"] == 2


def test_conditions_nested_thousands_deep() -> None:
    """The presence of a chain of sums: each term is present if its pick or the sum before it is."""
    found, present = [], ALWAYS
    for i in range(3_000):
        found.append(Decision(f"d{i}", "net", "subset", low=0, high=2, size=2, active=present))
        present = either(Has(f"d{i}", 0), both(present, Has(f"d{i}", 1)))
    table = DecisionTable("nested", "0", tuple(found))
    assert algebra.count(table) == 3**3_000 + (3**3_000 - 1) // 2
    assert len(algebra.unrank(table, 0)) == 3_000


def test_beyond_the_limit_is_a_clear_error_and_found_once() -> None:
    hidden = tuple(Decision(f"h{i}", "net", "op", ("a", "b")) for i in range(10))
    zero = [Is(d.id, frozenset({0})) for d in hidden]
    late = tuple(Decision(f"e{i}", "net", "op", ("a", "b"), active=both(zero[i], zero[i + 1])) for i in range(9))
    table = DecisionTable("coupled", "0", (*hidden, *late))
    for _ in range(2):
        with pytest.raises(TooManyStates, match="more than 100 steps") as caught:
            algebra.algebra(table, limit=100)
        assert caught.value.diagnostics[0].code == "E0510"
    assignments = product((False, True), repeat=10)
    assert algebra.count(table) == sum(2 ** sum(a and b for a, b in pairwise(h)) for h in assignments)


def test_a_limit_under_a_constraint_names_it() -> None:
    where = (Constraint(poly(cost_symbol("params")), "<=", 2_000, "params <= 2000"),)
    with pytest.raises(TooManyStates, match="under `params <= 2000`"):
        algebra.algebra(darts(where=where), limit=400)


def code_of(table: DecisionTable) -> str:
    with pytest.raises(SpacecError) as caught:
        algebra.count(table)
    return caught.value.diagnostics[0].code


def test_constraints_that_cannot_be_counted_under() -> None:
    params = poly(cost_symbol("params"))
    assert code_of(darts(where=(Constraint(params * params, "<=", 9),))) == "E0513"
    height = poly(Symbol("H"))
    assert code_of(darts(where=(Constraint(params, "<=", height),))) == "E0512"
    free = replace(darts(), costs={"macs": (CostTerm(ALWAYS, height * 3),)})
    assert code_of(replace(free, constraints=(Constraint(poly(cost_symbol("macs")), "<=", 9),))) == "E0512"


def test_constraints_without_decisions() -> None:
    assert algebra.count(replace(darts(), constraints=(Constraint(3, "<=", 2),))) == 0
    assert algebra.count(replace(nas_bench_201(), constraints=(Constraint(3, ">", 2),))) == 15_625
    assert list(algebra.enumerate_architectures(replace(darts(), constraints=(Constraint(3, "==", 2),)))) == []


def test_fractions_are_exact() -> None:
    third = Poly(((((Symbol("net.linear[0].out"), 1),), Fraction(1, 3)),))
    assert algebra.count(replace(tabular(), constraints=(Constraint(third, "<=", 8),))) == 3 * 20 * 20
    rates = (0.1, 0.2, 0.3)
    found = tuple(Decision(f"net.rate[{i}]", "net", "value", tuple(map(str, rates)), rates) for i in range(2))
    total = poly(Symbol("net.rate[0]")) + poly(Symbol("net.rate[1]"))
    where = (Constraint(total * 10, "==", 3),)
    assert algebra.count(DecisionTable("rates", "0", found, constraints=where)) == 2


def test_shorter_conditions_hold_alike() -> None:
    """Every assignment of three nested choices, where a choice that is not active takes no candidate."""
    a, b, c = Is("a", frozenset((0,))), Is("a", frozenset((1,))), Is("b", frozenset((0,)))
    d, e = Is("b", frozenset((1, 2))), Is("c", frozenset((1,)))
    active: dict[str, Cond] = {"a": ALWAYS, "b": a, "c": d}
    sizes = {"a": 2, "b": 3, "c": 2}
    cases = [both(a, c), both(a, d), both(a, d, e), both(b), both(a, c, e)]
    for count in range(1, len(cases) + 1):
        for chosen in combinations(cases, count):
            long = either(*chosen)
            short = shorter(long, sizes, active)
            for first, second, third in product(range(2), range(3), range(2)):
                value: dict[object, int] = {"a": first}
                if first == 0:
                    value["b"] = second
                if value.get("b") in (1, 2):
                    value["c"] = third
                assert holds(long, value.get) == holds(short, value.get)
    assert shorter(either(*cases[:2], b), sizes, active) == ALWAYS
