"""Local search: whole neighbourhoods, the best of them, restarts, and the variants of the authors' code."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import spacec_local_search
from spacec_local_search.strategy import LocalSearch

import spacec
from spacec.search.config import SearchConfig
from spacec.search.executor import Virtual
from spacec.search.runner import search
from spacec.search.strategy import TrialResult
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured

GRAMMARS = Path(__file__).resolve().parents[3] / "grammars"
SPACE = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")
TRAPS = {(1, 1, 1, 1, 1, 1), (0, 0, 0, 3, 3, 3)}
"""Lower than all their neighbours: local optima of a landscape to be made larger."""


def height(arch: Architecture) -> float:
    """A hill with its top at (4, 4, 4, 4, 4, 4), 24, and two traps."""
    values = tuple(v for _, v in arch.choices if isinstance(v, int))
    return float(sum(values)) + (30.0 if values in TRAPS else 0.0) * (values[0] == 1)


def table() -> Tabular:
    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return Measured({"height": height(arch)}, 1.0 + sum(map(ord, arch.text())) % 7)

    return Tabular(Benchmark("hill", SPACE.table, (Measure("height", "max"),), lookup))


class Watched(LocalSearch):
    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.seen: list[TrialResult] = []

    def observe(self, results: Any) -> None:
        self.seen += results
        super().observe(results)


def climb(trials: int, executor: Virtual | None = None, **options: Any) -> Watched:
    """Asynchronous, where an executor is given."""
    strategy = Watched(options)
    config = SearchConfig(trials=trials, asynchronous=executor is not None)
    search(SPACE, strategy, table(), config, executor=executor)
    return strategy


def test_every_neighbour_is_rated_and_the_best_is_next() -> None:
    strategy = climb(120)
    stood = [SPACE.architecture(text) for text in strategy.stood]
    rated = [r.trial.arch for r in strategy.seen]
    assert len(set(rated)) == len(rated), "nothing is rated twice"
    for here, there in pairwise(stood):
        near = list(SPACE.neighbours(here))
        assert set(near) <= set(rated)
        if there in near:
            assert height(there) == max(height(n) for n in near) > height(here)
    assert sum(b in list(SPACE.neighbours(a)) for a, b in pairwise(stood)) >= 3


def test_a_minimum_is_left_by_a_new_start() -> None:
    strategy = climb(400)
    starts = [r for r in strategy.seen if r.trial.tag["from"] is None]
    assert len(starts) > 1
    assert strategy.best is not None
    assert strategy.best.value >= 24.0


def test_it_can_stop_or_go_on_at_a_minimum() -> None:
    one = climb(2000, at_minimum="stop")
    assert one.told < 2000
    top = SPACE.architecture(one.stood[-1])
    assert all(height(n) <= height(top) for n in SPACE.neighbours(top))
    on = climb(300, at_minimum="continue")
    assert sum(r.trial.tag["from"] is None for r in on.seen) == 1
    assert len(set(on.stood)) == len(on.stood)


def test_the_first_better_neighbour_may_do() -> None:
    strategy = climb(60, move="first", initial=10)
    assert [r.trial.tag["from"] for r in strategy.seen[:10]] == [None] * 10
    start = max(strategy.seen[:10], key=lambda r: r.metrics["height"]).trial.arch
    assert strategy.stood[0] == start.text()
    for here, there in pairwise(strategy.stood):
        assert height(SPACE.architecture(there)) > height(SPACE.architecture(here))


def test_trials_side_by_side_climb_the_same_way() -> None:
    """A neighbourhood is complete before it is left, whatever the order in which its results come."""
    one, many = climb(100), climb(100, Virtual({"workers": 8}))
    assert one.stood[0] == many.stood[0]
    rated = {r.trial.arch for r in many.seen}
    for here in many.stood[:-1]:
        assert set(SPACE.neighbours(SPACE.architecture(here))) <= rated
    assert len({r.trial.arch for r in many.seen}) == 100


def test_several_climbs_use_more_workers() -> None:
    ends = {}
    for climbs in (1, 4):
        clock = Virtual({"workers": 60})
        climb(240, clock, climbs=climbs)
        ends[climbs] = clock.now()
    assert ends[4] < 0.7 * ends[1]


def test_a_space_that_is_searched_whole_ends_it() -> None:
    tiny = spacec.loads("""
    space two(width = 4)
    input  x: [width]
    output y: [width]
    net = a: linear | b: identity
    """)

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return Measured({"height": 1.0})

    task = Tabular(Benchmark("two", tiny.table, (Measure("height", "max"),), lookup))
    assert search(tiny, LocalSearch(), task, SearchConfig(trials=50)).trials == 2


@pytest.mark.parametrize("listed", [10, 4096])
def test_large_neighbourhoods_are_drawn_from(monkeypatch: pytest.MonkeyPatch, listed: int) -> None:
    monkeypatch.setattr("spacec_local_search.strategy.LISTED", listed)
    strategy = climb(60)
    assert strategy.best is not None
    moved = [r.trial for r in strategy.seen if r.trial.tag["from"] is not None]
    for trial in moved:
        assert trial.arch in list(SPACE.neighbours(SPACE.architecture(trial.tag["from"])))


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_local_search.spacec_strategies()
    assert descriptor.load() is LocalSearch
