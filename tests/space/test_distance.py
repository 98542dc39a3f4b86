"""Distances are metrics, and mutations and neighbours are what they are said to be."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from functools import cache
from math import log2
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space import algebra, variation
from spacec.space.architecture import Architecture
from spacec.space.batch import Batch
from spacec.space.decisions import DecisionTable
from spacec.space.distance import distance, distances
from spacec.space.mutation import mutate_several, neighbour
from spacec.testing.generate import random_space
from tests.space.tables import tables

GRAMMARS = Path(__file__).resolve().parents[2] / "grammars"


@cache
def shipped(name: str) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space")


def changed(a: Architecture, b: Architecture) -> list[str]:
    return [d for d in a if d in b and a[d] != b[d]]


def codes_of(make: object) -> list[str]:
    with pytest.raises(SpacecError) as caught:
        make()  # type: ignore[operator]  # a thunk
    return [d.code for d in caught.value.diagnostics]


@settings(max_examples=150, deadline=None)
@given(tables(), st.data())
def test_distances_are_metrics(table: DecisionTable, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    a, b, c = (data.draw(st.sampled_from(everything)) for _ in range(3))
    for weights in (None, "candidates", dict.fromkeys(table.owners, 2.5)):
        for elements in (False, True):

            def far(x: Architecture, y: Architecture, w: object = weights, e: bool = elements) -> float:
                return distance(table, x, y, w, e)  # type: ignore[arg-type]  # one of three kinds

            assert far(a, a) == 0
            assert far(a, b) == far(b, a)
            assert far(a, c) <= far(a, b) + far(b, c) + 1e-9
            assert (far(a, b) == 0) == (a == b) or weights == "candidates"
            batch = Batch.of(table, [a, b, c])
            found = distances(batch, batch, weights, elements)  # type: ignore[arg-type]  # one of three kinds
            assert np.allclose(found, [[far(x, y) for y in batch] for x in batch])
    assert distance(table, a, b) == sum(a.get(d.id) != b.get(d.id) for d in table.decisions)


def test_weights_and_elements_of_darts() -> None:
    space = shipped("darts")
    genotype = space.write(space.sample()[0], "darts")
    arch = space.read(genotype)
    other = space.mutate(arch, 1, within="normal.pick[0].edge[0]")
    assert space.distance(arch, other) == 1
    assert space.distance(arch, other, "candidates") == log2(7)
    assert space.distance(arch, other, {"reduce": 1}) == 0
    moved = space.mutate(arch, 1, within="normal.pick[1]")
    assert space.distance(arch, moved) == 3  # the pick, an edge that it took before, and one that it takes now
    assert space.distance(arch, moved, {"normal.pick[1]": 1}, elements=True) == 2
    assert codes_of(lambda: space.distance(arch, other, {"normla": 1})) == ["E0603"]


@settings(max_examples=150, deadline=None)
@given(tables(), st.data())
def test_neighbours_are_mutual(table: DecisionTable, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    arch = data.draw(st.sampled_from(everything))
    for near in variation.neighbours(table, arch):
        assert len(changed(arch, near)) == 1
        assert arch in set(variation.neighbours(table, near))


@settings(max_examples=100, deadline=None)
@given(tables(), st.data())
def test_a_drawn_neighbour_is_any_of_them(table: DecisionTable, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    arch, rng = data.draw(st.sampled_from(everything)), Random(7)
    near = list(variation.neighbours(table, arch))
    if not near:
        assert codes_of(lambda: neighbour(table, arch, rng)) == ["E0511"]
    elif len(near) <= 12:
        seen = Counter(neighbour(table, arch, rng) for _ in range(40 * len(near)))
        assert set(seen) == set(near)
        spread = sum((n - 40) ** 2 / 40 for n in seen.values())
        assert spread < len(near) + 8 * (2 * len(near)) ** 0.5


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(1, 3), st.data())
def test_so_many_changes(table: DecisionTable, changes: int, data: st.DataObject) -> None:
    everything = list(algebra.enumerate_architectures(table))
    if not everything:
        return
    arch = data.draw(st.sampled_from(everything))
    within = data.draw(st.sampled_from([(), table.owners[:1]]))
    own = {d.id for d in table.decisions if not within or d.owner in within}
    reachable = [b for b in everything if len(changed(arch, b)) == changes and own.issuperset(changed(arch, b))]
    try:
        mutant = mutate_several(table, arch, Random(3), changes, None, within)
    except SpacecError as error:
        codes = [d.code for d in error.diagnostics]
        if codes != ["E0511"] or len(reachable) > 20:
            raise
    else:
        assert mutant in reachable


def test_several_changes_are_uniform_and_a_rate_is_one() -> None:
    space = shipped("nas_bench_201")
    arch = space.sample()[0]
    pairs = Counter(tuple(changed(arch, space.mutate(arch, seed, changes=2))) for seed in range(1500))
    assert len(pairs) == 15
    assert sum((n - 100) ** 2 / 100 for n in pairs.values()) < 14 + 5 * 28**0.5
    amounts = Counter(len(changed(arch, space.mutate(arch, seed, rate=0.5))) for seed in range(640))
    for amount, ways in enumerate((1, 6, 15, 20, 15, 6, 1)):
        assert abs(amounts[amount] - 10 * ways) < 5 * (10 * ways) ** 0.5
    assert codes_of(lambda: space.mutate(arch, changes=7)) == ["E0511"]
    assert codes_of(lambda: space.mutate(arch, within="edge")) == ["E0603"]


def test_tight_constraints_leave_mutations_to_the_diagram() -> None:
    text = (
        "space s()\ninput x: [1]\noutput y: [1]\nlet a = elastic {" + ", ".join(map(str, range(1, 60))) + "}\n"
        "let b = elastic {"
        + ", ".join(map(str, range(1, 60)))
        + "}\nnet = linear(a) >> linear(b) >> linear(1)\nwhere a == b\n"
    )
    space = spacec.loads(text)
    arch = space.sample(seed=1)[0]
    mutant = space.mutate(arch, 5, changes=2)
    assert len(changed(arch, mutant)) == 2
    space.validate(mutant)
    assert codes_of(lambda: space.neighbour(arch)) == ["E0511"]


def brute(a: tuple[list[str], set[tuple[int, int]]], b: tuple[list[str], set[tuple[int, int]]], fixed: int) -> int:
    """All matchings of padded vertices, one after the other."""
    size = len(a[0]) + len(b[0])
    mine, theirs = [*a[0], *[None] * len(b[0])], [*b[0], *[None] * len(a[0])]
    best = 10**9
    for order in set(itertools.permutations(range(size))):
        cost = sum(x != theirs[order[i]] for i, x in enumerate(mine))
        to = {**{i: i for i in range(fixed)}, **{fixed + i: fixed + order[i] for i in range(size)}}
        best = min(best, cost + len({(to[u], to[v]) for u, v in a[1]} ^ b[1]))
    return best


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_edit_distance_against_every_matching(seed: int) -> None:
    from spacec.space.edit_distance import Drawn, _Matching

    rng = Random(seed)

    def drawn() -> Drawn:
        inner = rng.randrange(4)
        pairs = [(u, v) for v in range(2 + inner) for u in range(2 + inner) if u != v and v != 0 and u != 1]
        wires = {p for p in pairs if rng.random() < 0.4}
        return Drawn(2, tuple(rng.choice("ab") for _ in range(inner)), frozenset(wires))

    a, b = drawn(), drawn()
    assert _Matching(a, b).best == brute((list(a.labels), set(a.wires)), (list(b.labels), set(b.wires)), 2)


def test_edit_distance_of_cells() -> None:
    """NAS-Bench-101's cells are compared up to the order of vertices; another operation is one edit."""
    space = shipped("nas_bench_101")
    ops = ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "output"]
    matrix = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]

    def cell(names: list[str]) -> Architecture:
        return space.read(json.dumps({"matrix": matrix, "ops": names}))

    first = cell(ops)
    assert space.edit_distance(first, cell([ops[0], ops[2], ops[1], ops[3]])) == 0
    assert space.distance(first, cell([ops[0], ops[2], ops[1], ops[3]])) == 2
    assert space.edit_distance(first, cell([ops[0], ops[1], ops[1], ops[3]])) == 1
    assert space.edit_distance(first, cell([ops[0], ops[1], "maxpool3x3", ops[3]])) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_edit_distance_is_a_metric(seed: int) -> None:
    space = spacec.loads(random_space(seed, 5))
    a, b, c = space.sample(3, seed=seed)
    try:
        ab, bc, ac, ba = (space.edit_distance(x, y) for x, y in ((a, b), (b, c), (a, c), (b, a)))
    except SpacecError as error:
        if [d.code for d in error.diagnostics] != ["E0634"]:
            raise
        return
    assert ab == ba
    assert ac <= ab + bc
    assert space.edit_distance(a, a) == 0


def test_the_large_space() -> None:
    space = shipped("hierarchical")
    arch = space.sample()[0]
    near = list(itertools.islice(space.neighbours(arch), 3))
    assert [len(changed(arch, b)) for b in near] == [1, 1, 1]
    assert codes_of(lambda: space.neighbour(arch)) == ["E0510"]
    assert len(changed(arch, space.mutate(arch, 2, changes=5))) == 5
