"""Mutation, crossover and neighbours respect conditions and constraints."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.ir.dims import Symbol, poly
from spacec.space import algebra, variation
from spacec.space.architecture import Architecture
from spacec.space.decisions import Constraint, Decision, DecisionTable
from spacec.space.sample import sample
from tests.space.tables import cost_symbol, darts, nas_bench_201, tables, tabular


def one_change(a: Architecture, b: Architecture) -> bool:
    return sum(a[d] != b[d] for d in a if d in b) == 1


@settings(max_examples=250, deadline=None)
@given(tables(), st.data())
def test_neighbours_are_all_valid_architectures_one_change_away(table: DecisionTable, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    arch = data.draw(st.sampled_from(everything))
    found = list(variation.neighbours(table, arch))
    assert len(set(found)) == len(found)
    assert set(found) == {b for b in everything if one_change(arch, b)}


@settings(max_examples=250, deadline=None)
@given(tables(), st.data())
def test_a_mutation_is_a_neighbour(table: DecisionTable, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    arch = data.draw(st.sampled_from(everything))
    near = set(variation.neighbours(table, arch))
    for seed in range(5):
        mutant = variation.mutate(table, arch, Random(seed))
        assert mutant in near or (not near and mutant in everything)


@settings(max_examples=250, deadline=None)
@given(tables(), st.data())
def test_a_child_is_valid_and_takes_after_its_parents(table: DecisionTable, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    a, b = data.draw(st.sampled_from(everything)), data.draw(st.sampled_from(everything))
    for seed in range(5):
        child = variation.crossover(table, a, b, Random(seed))
        assert child in everything
        for name in child:
            known = [p[name] for p in (a, b) if name in p]
            elements = [set(v) for v in (*known, child[name]) if isinstance(v, tuple)]
            if elements[:-1]:
                assert set.intersection(*elements[:-1]) <= elements[-1] <= set.union(*elements[:-1])
            assert not known or isinstance(child[name], tuple) or child[name] in known


def test_mutation_is_uniform_over_decisions_and_values() -> None:
    table, rng = nas_bench_201(), Random(0)
    arch = sample(table)[0]
    seen = Counter(variation.mutate(table, arch, rng) for _ in range(2_400))
    assert len(seen) == 24
    assert sum((n - 100) ** 2 / 100 for n in seen.values()) < 23 + 5 * 46**0.5


def test_tight_constraints_are_met_by_the_diagram() -> None:
    """One in 99 changes is valid, or none: what random trial misses, the diagram finds."""
    ops = tuple(map(str, range(100)))
    found = tuple(Decision(f"d{i}", "net", "value", ops, tuple(range(100))) for i in range(2))
    first, second = (poly(Symbol(d.id)) for d in found)
    near = Constraint(first - second, "<=", 1), Constraint(second - first, "<=", 0)
    table = DecisionTable("tight", "0", found, constraints=near)
    assert algebra.count(table) == 199
    arch = next(a for a in algebra.enumerate_architectures(table) if a["d0"] == 50 and a["d1"] == 50)
    near_arch = {(51, 50), (50, 49)}
    for seed in range(4):
        assert tuple(variation.mutate(table, arch, seed).values.values()) in near_arch
    equal = replace(table, constraints=(Constraint(first, "==", second),))
    assert variation.mutate(equal, arch, 1)["d0"] == variation.mutate(equal, arch, 1)["d1"]
    a, b = algebra.unrank(equal, 3), algebra.unrank(equal, 7)
    assert {variation.crossover(equal, a, b, s) for s in range(20)} == {a, b}


def test_a_parent_from_another_form_may_violate_the_constraints() -> None:
    table = tabular()
    large = algebra.unrank(table, 7_999, where=False)
    for seed in range(5):
        assert algebra.rank(table, variation.mutate(table, large, seed)) >= 0
        assert algebra.rank(table, variation.crossover(table, large, large, seed)) >= 0


def test_a_space_of_one_architecture() -> None:
    table = DecisionTable("one", "0", (Decision("d", "net", "op", ("only",)),))
    arch = algebra.unrank(table, 0)
    assert variation.mutate(table, arch) == arch
    assert list(variation.neighbours(table, arch)) == []


def test_neighbours_are_lazy_and_seeds_decide() -> None:
    where = (Constraint(poly(cost_symbol("params")), "<=", 1_500),)
    table = darts(where=where)
    arch = sample(table)[0]
    assert len(list(islice(variation.neighbours(table, arch), 3))) == 3
    assert variation.mutate(table, arch, 4) == variation.mutate(table, arch, Random(4))
    assert len({variation.mutate(table, arch, s) for s in range(10)}) > 1
