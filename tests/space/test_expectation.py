"""Costs expected under factorised distributions, against sums over all architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.space import algebra
from spacec.space.architecture import Architecture
from spacec.space.cost import cost
from spacec.space.decisions import DecisionTable
from spacec.space.expectation import mean_cost
from spacec.space.values import values
from spacec.testing.generate import random_space
from tests.grammars.record import GRAMMARS
from tests.space.tables import tables

Vectors = Mapping[str, Sequence[float]]


def vectors(table: DecisionTable, seed: int) -> dict[str, list[float]]:
    rng = Random(seed)
    found = {}
    for d in table.decisions:
        drawn = [rng.randint(1, 9) for _ in range(d.size if d.kind == "subset" else len(d.labels))]
        found[d.id] = [n / 10 for n in drawn] if d.kind == "subset" else [n / sum(drawn) for n in drawn]
    return found


def chance(table: DecisionTable, arch: Architecture, given: Vectors) -> float:
    """Of one architecture, by the definition."""
    total = 1.0
    for name, value in arch.values.items():
        d, p = table.by_id[name], given[name]
        if not isinstance(value, tuple):
            total *= p[value]
            continue
        weigh = {
            v: prod(p[e] if e in v else 1 - p[e] for e in range(d.size)) for v in values(d) if isinstance(v, tuple)
        }
        total *= weigh[value] / sum(weigh.values())
    return total


@settings(max_examples=250, deadline=None)
@given(tables(constrained=False), st.integers(0, 99))
def test_random_tables(table: DecisionTable, seed: int) -> None:
    given = vectors(table, seed)
    archs = list(algebra.enumerate_architectures(table))
    assert sum(chance(table, a, given) for a in archs) == pytest.approx(1)
    for name in table.costs:
        expected = sum(chance(table, a, given) * float(cost(table, a, name)) for a in archs)
        assert mean_cost(table, name, given) == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_random_spaces(seed: int) -> None:
    space = spacec.loads(random_space(seed))
    if space.count(where=False) > 500:
        return
    given = vectors(space.table, seed)
    for name in ("params", "activations", "nodes"):
        expected = sum(chance(space.table, a, given) * space.cost(a, name) for a in space.enumerate(where=False))
        assert space.mean_cost(name, given) == pytest.approx(expected)


def test_gradients_are_those_of_brute_force() -> None:
    space = spacec.loads(
        "space s(C = 4)\n"
        "input  x: [4, 8, 8]\n"
        "output y: [4, 8, 8]\n"
        "net = dag(x) {\n"
        "  s = [x, x >> relu, x >> bn]\n"
        "  return sum(pick 2 from s: conv(1) | conv(3)) >> conv(1, elastic {2, 4}) >> conv(1, 4)\n"
        "}\n"
    )
    kinds = {d.id: d.kind for d in space.decisions}
    for name in ("params", "macs", "activations", "nodes"):
        gradients = []
        for brute in (False, True):
            drawn = vectors(space.table, 7).items()
            logits = {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in drawn}
            given = {n: z.sigmoid() if kinds[n] == "subset" else z.softmax(0) for n, z in logits.items()}
            chances = ((chance(space.table, a, given), a) for a in space.enumerate())  # type: ignore[arg-type]  # tensors do
            terms = (p * space.cost(a, name) for p, a in chances)
            total = sum(terms) if brute else space.mean_cost(name, given)
            grads = torch.autograd.grad(total, list(logits.values()), allow_unused=True)
            gradients.append([torch.zeros(1, dtype=torch.float64) if g is None else g for g in grads])
        for ours, theirs in zip(*gradients, strict=True):
            assert torch.allclose(ours, theirs + torch.zeros_like(ours), rtol=1e-9, atol=1e-6)


def test_nas_bench_201_on_average() -> None:
    """Uniform decisions are uniform architectures here, so the mean is linear in the chances of the operations."""
    space = spacec.load(GRAMMARS / "nas_bench_201.space")
    assert space.mean_cost("params") == pytest.approx(73_306 + 6 / 5 * (243_040 + 28_000))
    sure = {d.id: [0, 0, 0, 1, 0] for d in space.decisions}
    assert space.mean_cost("params", sure) == 73_306 + 6 * 243_040
