"""The distribution of a cost over a space: exact against every architecture, estimated with honest intervals."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from statistics import fmean, pvariance

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space.costed import costed
from spacec.space.decisions import DecisionTable
from spacec.space.distribution import Distribution, distribution
from spacec.space.spread import _as_integers, _as_mappings, _grid, spread
from spacec.space.values import Number
from spacec.testing.generate import random_space
from tests.space.tables import brute_cost, brute_force, tables

SEEDS = st.integers(0, 10_000)
NET = """\
space s(C = 8)
input  image:  [3, 2*H, 2*W]
output logits: [10]
let w[i] = elastic {4, 8, 12}
let cell = conv(3) | conv(5) | skip
net = conv(3, w[0]) >> conv(3, w[1]) >> (cell >> bn) * {1..3} >> conv(1, C) >> global_pool >> linear(10)
"""


def never(n: int) -> list[Number]:
    raise AssertionError("exact where the space is small")


@settings(max_examples=200, deadline=None)
@given(tables())
def test_against_every_assignment(table: DecisionTable) -> None:
    costs: Counter[Number] = Counter(brute_cost(table, "params", c) for c in brute_force(table))
    if not costs:
        with pytest.raises(SpacecError) as caught:
            distribution(table, "params", never)
        assert caught.value.diagnostics[0].code == "E0511"
        return
    found = distribution(table, "params", never, bins=4)
    assert not found.estimated
    assert dict(zip(found.support, ways_of(found), strict=True)) == costs
    assert (found.low, found.high, found.total) == (min(costs), max(costs), costs.total())
    every = sorted(costs.elements())
    assert found.mean == pytest.approx(float(fmean(every)))
    assert found.variance == pytest.approx(float(pvariance([float(x) for x in every])))
    assert sum(n for n in found.counts if n is not None) == costs.total()
    for low, high, n in zip(found.edges, found.edges[1:], found.counts, strict=False):
        assert n == sum(low <= x < high or (x == high == found.high) for x in every)
    for k in range(11):
        share = Fraction(k, 10)
        value = found.quantile(share)
        assert sum(x <= value for x in every) >= share * len(every)
        assert value == every[0] or sum(x < value for x in every) < share * len(every)
        assert found.share_within(value) == sum(x <= value for x in every) / len(every)


def ways_of(found: Distribution) -> list[int]:
    return [b - a for a, b in zip((0, *found.upto), found.upto, strict=False)]


@settings(max_examples=100, deadline=None)
@given(tables())
def test_both_ways_of_adding_up_agree(table: DecisionTable) -> None:
    found = costed(table, table.costs["macs"], True, 100_000)
    assume(found is not None)
    assert found is not None
    grid = _grid(found.diagram)
    assert _as_mappings(grid, 10**6) == _as_integers(grid, 10**6)
    assert spread(found.diagram, 0) is None or len(grid.ways) == 1


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_of_random_spaces(seed: int) -> None:
    space = spacec.loads(random_space(seed, 6))
    assume(space.count() < 2_000)
    middle = sorted(space.params(a) for a in space.sample(9, seed))[4]
    for limited in (space, space.where(f"params <= {middle}")):
        found = limited.distribution("params")
        costs = Counter(space.params(a) for a in limited.enumerate())
        assert dict(zip(found.support, ways_of(found), strict=True)) == costs


def test_published_moments() -> None:
    """NAS-Bench-201's weights are 73,306 + 243,040 per conv3 + 28,000 per conv1 of six uniform edges (issue 4)."""
    found = spacec.load("grammars/nas_bench_201.space").distribution("params", bins=[73_306, 73_307, 2_000_000])
    assert found.counts == (3**6, 5**6 - 3**6)
    assert found.low == 73_306
    assert found.mean == pytest.approx(73_306 + 6 / 5 * (243_040 + 28_000))
    assert found.variance == pytest.approx(6 * ((243_040**2 + 28_000**2) / 5 - ((243_040 + 28_000) / 5) ** 2))


def test_a_large_space_exactly() -> None:
    """The quantile splits the space as an exact count says: 10^19 architectures, and ones along elastic widths."""
    for name in ("darts", "autoformer", "tabular"):
        space = spacec.load(f"grammars/{name}.space")
        value = space.quantile("params", 0.001)
        at_most = space.count(where=f"params <= {value}")
        below = space.count(where=f"params < {value}")
        assert below < Fraction(space.count(), 1000) <= at_most


def test_sizes_of_inputs() -> None:
    space = spacec.loads(NET)
    found = space.distribution("macs", H=4, W=3)
    costs = Counter(space.macs(a, H=4, W=3) for a in space.enumerate())
    assert dict(zip(found.support, ways_of(found), strict=True)) == costs
    with pytest.raises(SpacecError, match="E0512"):
        space.distribution("macs")
    with pytest.raises(SpacecError, match="E0512"):
        space.distribution("flops")


def test_an_estimate_says_so_and_covers_the_truth() -> None:
    space = spacec.load("grammars/cream.space")
    exact = space.distribution("params", bins=8)
    rough = space.distribution("params", bins=exact.edges, work=2_000, samples=2_000, seed=5)
    assert (exact.estimated, rough.estimated, rough.samples) == (False, True, 2_000)
    assert rough.moments_exact
    assert (rough.low, rough.high, rough.mean, rough.variance) == (exact.low, exact.high, exact.mean, exact.variance)
    assert rough.total == exact.total
    inside = [low <= share <= high for (low, high), share in zip(rough.intervals, exact.shares, strict=True)]
    assert sum(inside) >= 7
    assert all(high > low for low, high in rough.intervals)


def test_one_cost_only() -> None:
    found = spacec.loads("space s\ninput x: [3, 8, 8]\noutput y: [3, 8, 8]\nnet = relu | skip\n").distribution("params")
    assert (found.support, found.edges, found.counts, found.variance) == ((0,), (0, 0), (2,), 0)
    assert found.quantile(0.5) == 0


@pytest.mark.parametrize("bins", [0, [3], [3, 3], [4, 2]])
def test_bins_that_are_none(bins: object) -> None:
    with pytest.raises(ValueError, match="bin"):
        spacec.load("grammars/nas_bench_201.space").distribution("params", bins)  # type: ignore[arg-type]  # on purpose
