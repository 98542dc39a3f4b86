"""SPOS' search by generations: who is bred of whom, what is never rated twice, and that it gets better."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from spacec_oneshot.evolution import SposEvolution

import spacec
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.runner import search
from spacec.search.strategy import Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from spacec.testing.exchange import Exchange

SPACE = spacec.loads("""
space ten(width = 4)
input  x: [width]
output y: [width]
def op = a: linear | b: linear >> tanh | c: linear >> relu | d: identity
net = op * 8
""")


def height(arch: Architecture) -> float:
    """More is better: a sum that two neighbours with the same candidate lower."""
    codes = [v for _, v in arch.choices if isinstance(v, int)]
    return float(sum(codes) - 2 * sum(a == b for a, b in pairwise(codes)))


def table() -> Tabular:
    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return Measured({"height": height(arch)}, 1.0)

    return Tabular(Benchmark("hills", SPACE.table, (Measure("height", "max"),), lookup))


def ready(seed: int = 0, space: Any = SPACE, **options: object) -> SposEvolution:
    strategy = SposEvolution(options)
    found: SearchContext = search(space, SposEvolution(options), table(), SearchConfig(trials=1, seed=seed)).context
    strategy.setup(found)
    return strategy


def rated(number: int, trial: Trial) -> TrialResult:
    return TrialResult(trial, {"height": height(trial.arch)}, number=number)


def test_a_generation_is_bred_from_the_best_ever_rated() -> None:
    strategy = ready(population=12, generations=6, top=4, mutations=5, crossovers=4)
    exchange = Exchange(strategy, rated, workers=1)
    exchange.run()
    assert len(exchange.asked) == strategy.most == 72
    texts = [t.arch.text() for t in exchange.asked]
    assert len(set(texts)) == len(texts)
    for start in range(12, 72, 12):
        best = sorted(range(start), key=lambda n: (-height(exchange.asked[n].arch), n))[:4]
        tags = [t.tag for t in exchange.asked[start : start + 12]]
        assert [t["origin"] for t in tags] == ["mutation"] * 5 + ["crossover"] * 4 + ["random"] * 3
        assert {p for t in tags for p in t["parents"]} <= set(best)
        for trial in exchange.asked[start + 5 : start + 9]:
            a, b = (exchange.asked[p].arch.choices for p in trial.tag["parents"])
            assert all(c in (x, y) for c, x, y in zip(trial.arch.choices, a, b, strict=True))


def test_it_gets_better_than_drawing_as_many() -> None:
    """Over seeds: the best of 120 bred beats the best of 120 drawn; of the space's 65,536 the best has 21.0 or more."""
    bred, drawn = [], []
    for seed in range(8):
        options = {"population": 20, "generations": 6, "mutations": 10, "crossovers": 8, "top": 6}
        found = search(SPACE, SposEvolution(options), table(), SearchConfig(seed=seed))
        bred.append(height(found.architecture))
        drawn.append(max(height(a) for a in SPACE.sample(120, seed=seed)))
    assert sum(bred) > sum(drawn) + 8
    assert all(b >= d for b, d in zip(bred, drawn, strict=True))


def test_the_mutation_rate_is_by_decision() -> None:
    strategy = ready(population=400, generations=2, top=1, mutations=400, crossovers=0, mutation=0.25)
    exchange = Exchange(strategy, rated, workers=1, most=800)
    exchange.run()
    (parent,) = {t.tag["parents"][0] for t in exchange.asked[400:] if t.tag["origin"] == "mutation"}
    moved = [
        sum(x != y for x, y in zip(t.arch.choices, exchange.asked[parent].arch.choices, strict=True))
        for t in exchange.asked[400:]
        if t.tag["origin"] == "mutation"
    ]
    assert len(moved) > 300
    assert 2.0 < sum(moved) / len(moved) < 3.2, "2 of 8 expected, somewhat more among those that are new"


def test_a_small_space_ends_when_it_is_rated_throughout() -> None:
    small = spacec.loads(SPACE.text.replace("op * 8", "op"))
    lookup = Benchmark(
        "few", small.table, (Measure("height", "max"),), lambda arch, which: Measured({"height": height(arch)}, 1.0)
    )
    found = search(small, SposEvolution({"population": 3, "generations": 20}), Tabular(lookup), SearchConfig())
    assert found.trials == 4
    assert found.architecture == max(small.enumerate(), key=height)


@pytest.mark.parametrize("workers", [1, 3, 7])
def test_workers_side_by_side_breed_the_same(workers: int) -> None:
    options = {"population": 6, "generations": 4, "top": 3, "mutations": 2, "crossovers": 2}
    one = Exchange(ready(**options), rated, workers=1)
    many = Exchange(ready(**options), rated, workers=workers)
    one.run()
    many.run()
    assert [t.arch for t in one.asked] == [t.arch for t in many.asked]


def test_without_a_success_generations_are_drawn() -> None:
    strategy = ready(population=3, generations=2)
    Exchange(strategy, lambda number, trial: TrialResult(trial, error="no", number=number), workers=1).run()
    assert (strategy.told, strategy.failed, strategy.parents) == (6, 6, [])
