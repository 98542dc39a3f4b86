"""Costs of many architectures at once: the same numbers as one by one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import ALWAYS, Is
from spacec.ir.dims import Poly, Symbol, poly
from spacec.space import algebra, cost_batch
from spacec.space.batch import Batch
from spacec.space.cost import cost
from spacec.space.cost_batch import costs_of
from spacec.space.decisions import CostTerm, Decision, DecisionTable
from tests.grammars.record import GRAMMARS, NAMES
from tests.space.tables import tables


@settings(max_examples=300, deadline=None)
@given(tables(constrained=False))
def test_random_tables(table: DecisionTable) -> None:
    archs = list(algebra.enumerate_architectures(table))
    for name in table.costs:
        found = costs_of(table, Batch.of(table, archs), name)
        assert found.tolist() == [cost(table, a, name) for a in archs]
        assert found.dtype == np.int64


@pytest.mark.parametrize("name", NAMES)
def test_shipped_spaces(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    sizes = {"H": 8, "W": 8, "T": 64}
    archs = space.sample(20, seed=1)
    for cost_name in space.table.costs:
        found = space.costs(archs, cost_name, **sizes)
        assert found.tolist() == [space.cost(a, cost_name, **sizes) for a in archs]


def test_all_of_nas_bench_201() -> None:
    """The published formulas (Dong and Yang, 2020), for every architecture."""
    space = spacec.load(GRAMMARS / "nas_bench_201.space")
    batch = space.batch(space.enumerate())
    labels = space.decisions[0].labels
    n1, n3 = ((batch.codes == labels.index(label)).sum(axis=1) for label in ("conv1", "conv3"))
    others = sum((batch.codes == labels.index(label)).sum(axis=1) for label in ("none", "pool"))
    assert len(batch) == 15_625
    assert np.array_equal(space.costs(batch, "params"), 73_306 + 243_040 * n3 + 28_000 * n1)
    assert np.array_equal(space.costs(batch, "macs"), 7_783_040 + 35_389_440 * n3 + 3_932_160 * n1)
    assert np.array_equal(space.costs(batch, "activations"), 444_490 + 143_360 * others + 430_080 * (n1 + n3))
    assert np.array_equal(space.costs(batch, "nodes"), 54 + 15 * others + 45 * (n1 + n3))


def test_sums_beyond_64_bits_are_exact() -> None:
    width = Decision("w", "net", "value", ("1", "2"), (3, 10**7), elastic=True)
    size = poly(Symbol("w"))
    terms = (CostTerm(ALWAYS, size**3), CostTerm(Is("w", frozenset({1})), 5), CostTerm(ALWAYS, -(10**19)))
    table = DecisionTable("s", "0", (width,), (), {"big": terms, "small": (CostTerm(ALWAYS, size),)})
    archs = list(algebra.enumerate_architectures(table))
    assert costs_of(table, Batch.of(table, archs), "big").tolist() == [27 - 10**19, 10**21 + 5 - 10**19]
    assert costs_of(table, Batch.of(table, archs), "small").dtype == np.int64


def test_measurements_and_shares() -> None:
    op = Decision("op", "net", "op", ("a", "b"))
    third = Poly((((), Fraction(1, 3)),))
    half = Poly(((((Symbol("H"), 1),), Fraction(1, 2)),))
    costs = {
        "ms": (CostTerm(Is("op", frozenset({0})), third), CostTerm(ALWAYS, 2)),
        "half": (CostTerm(ALWAYS, half), CostTerm(Is("op", frozenset({1})), half)),
    }
    table = DecisionTable("s", "0", (op,), (), costs)
    archs = list(algebra.enumerate_architectures(table))
    batch = Batch.of(table, archs)
    assert costs_of(table, batch, "ms").tolist() == [7 / 3, 2.0]
    assert costs_of(table, batch, "half", {"H": 6}).tolist() == [3, 6]
    with pytest.raises(SpacecError, match="no whole number"):
        costs_of(table, batch, "half", {"H": 3})
    with pytest.raises(SpacecError, match="depends on the size H"):
        costs_of(table, batch, "half")
    with pytest.raises(SpacecError, match="there is no cost"):
        costs_of(table, batch, "joules")
    with pytest.raises(SpacecError, match="--where 'latency"):
        costs_of(table, batch, 'latency("x.csv")')
    assert costs_of(table, Batch.of(table, []), "ms").tolist() == []


def test_work_is_done_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    space = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")
    batch = space.batch(space.sample(100, seed=0))
    whole = space.costs(batch, "params")
    monkeypatch.setattr(cost_batch, "WORK", 7 * len(space.table.costs["params"]))
    assert np.array_equal(space.costs(batch, "params"), whole)
    wide = replace(batch.table, costs=dict(batch.table.costs))
    assert np.array_equal(costs_of(wide, batch, "params"), whole)
