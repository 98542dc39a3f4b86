"""Regularised evolution: what lives, what is mutated, what dies, and that it can stop and go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import spacec_evolution
from spacec_evolution.strategy import Member, RegularisedEvolution

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.runner import SearchResult, search
from spacec.search.strategy import Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from spacec.testing.exchange import Exchange, made_up
from spacec.testing.synthetic import Synthetic

GRAMMARS = Path(__file__).resolve().parents[3] / "grammars"
SPACE = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")


def table(space: spacec.Space = SPACE, direction: Any = "max", known: bool = True) -> Tabular:
    """Counts the tokens of the last candidates: a smooth hill with one top."""

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        value = float(sum(v if isinstance(v, int) else sum(v) for _, v in arch.choices))
        return Measured({"height": value if direction == "max" else -value}) if known else None

    return Tabular(Benchmark("hill", space.table, (Measure("height", direction),), lookup))


class Watched(RegularisedEvolution):
    """Keeps every population after an observation, and every proposal."""

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.populations: list[list[Member]] = []
        self.trials: list[Architecture] = []

    def observe(self, results: Any) -> None:
        super().observe(results)
        self.populations.append(list(self.population))
        self.trials += [r.trial.arch for r in results]


def run(options: Mapping[str, object], trials: int = 60, task: Tabular | None = None, **config: Any) -> SearchResult:
    strategy = Watched(options)
    found = search(SPACE, strategy, task or table(), SearchConfig(trials=trials, **config))
    assert found.trials == trials
    return found


def watched(options: Mapping[str, object], trials: int = 60, task: Tabular | None = None) -> Watched:
    strategy = Watched(options)
    search(SPACE, strategy, task or table(), SearchConfig(trials=trials))
    return strategy


def test_the_population_is_the_last_ones_in_order_of_age() -> None:
    strategy = watched({"population": 8, "sample": 3})
    for n, population in enumerate(strategy.populations, 1):
        assert [m.arch for m in population] == strategy.trials[max(0, n - 8) : n]


def test_the_worst_may_go_instead() -> None:
    strategy, changed = watched({"population": 8, "sample": 3, "drop": "worst"}), 0
    for before, after in zip(strategy.populations[7:], strategy.populations[8:], strict=False):
        child = after[-1] if after[-1] not in before else None
        if child is not None:  # else the child itself was the worst, or is equal to a member
            values = sorted([*(m.value for m in before), child.value])
            assert sorted(m.value for m in after) == values[1:]
            changed += 1
    assert changed > 20


def test_a_child_is_one_decision_away_from_a_member() -> None:
    strategy = watched({"population": 8, "sample": 3})
    for population, child in zip(strategy.populations[7:], strategy.trials[8:], strict=False):
        distances = [sum(a != b for a, b in zip(m.arch.choices, child.choices, strict=True)) for m in population]
        assert min(distances) in (0, 1), "a member may be equal to the child by chance"
        assert 1 in distances


def test_the_whole_population_as_sample_mutates_its_best() -> None:
    strategy = watched({"population": 6, "sample": 6, "replace": False})
    for population, child in zip(strategy.populations[5:], strategy.trials[6:], strict=False):
        best = max(population, key=lambda m: m.value)
        ties = [m for m in population if m.value == best.value]
        assert any(sum(a != b for a, b in zip(m.arch.choices, child.choices, strict=True)) == 1 for m in ties)


def test_a_sample_of_one_is_a_random_walk_and_larger_ones_climb() -> None:
    tops = {}
    for sample in (1, 10):
        values = []
        for seed in range(10):
            found = run({"population": 10, "sample": sample}, 80, seed=seed)
            values.append(found.metrics["height"])
        tops[sample] = sum(values) / len(values)
    assert tops[10] > 23.0 > tops[1], "the top is 24"


def test_less_is_better_where_the_metric_says_so() -> None:
    found = run({"population": 10, "sample": 5}, 120, table(direction="min"))
    assert found.metrics["height"] <= -21.0, "uniform architectures have -12 in the mean"


def test_the_answer_is_the_best_ever_rated_not_of_the_last_population() -> None:
    strategy = watched({"population": 3, "sample": 1}, 100)
    best = max(strategy.trials, key=lambda a: sum(v for _, v in a.choices if isinstance(v, int)))
    value = sum(v for _, v in best.choices if isinstance(v, int))
    assert strategy.best is not None
    assert strategy.best.value == value
    assert max(m.value for m in strategy.population) < value


def test_trials_that_fail_do_not_live() -> None:
    with pytest.raises(SpacecError, match="none of the 5 trials succeeded") as error:
        run({"population": 3}, 5, table(known=False))
    assert "does not have the architecture" in error.value.diagnostics[0].notes[0]
    strategy = RegularisedEvolution({"population": 2})
    search(SPACE, strategy, table(), SearchConfig(trials=2))
    before = list(strategy.population)
    strategy.observe([TrialResult(Trial(SPACE.sample()[0]), {}, error="no memory")])
    strategy.observe([TrialResult(Trial(SPACE.sample()[0]), {"height": float("nan")})])
    assert list(strategy.population) == before


def test_the_state_is_all_that_goes_on() -> None:
    config = SearchConfig(trials=20)
    strategy = RegularisedEvolution({"population": 6, "sample": 2})
    found = search(SPACE, strategy, table(), config)
    other = RegularisedEvolution({"population": 6, "sample": 2})
    other.setup(found.context)
    other.load_state_dict(strategy.state_dict())
    assert (other.population, other.best, other.asked) == (strategy.population, strategy.best, strategy.asked)
    state = found.context.rng.getstate()
    children = strategy.propose(2)
    found.context.rng.setstate(state)
    other.options = strategy.options
    assert other.propose(2) == children


def test_nobody_waits_while_the_population_fills() -> None:
    """Trials side by side: children come once P results are there, uniform draws until then; results in any order."""
    strategy = watched({"population": 6, "sample": 3}, trials=1)
    strategy.setup(strategy.ctx)
    exchange = Exchange(strategy, made_up(strategy.ctx), workers=4, most=30)
    strategy.options = RegularisedEvolution({"population": 6, "sample": 3, "samples": 30}).options
    exchange.run()
    assert len(exchange.asked) == len(exchange.told) == 30
    for trial, known in zip(exchange.asked, exchange.known, strict=True):
        assert (trial.tag is None) == (known < 6)
    parents = {r.number: place for place, r in enumerate(exchange.told)}
    for trial, known in zip(exchange.asked[6:], exchange.known[6:], strict=True):
        if trial.tag is not None:
            assert known - 6 <= parents[trial.tag["parent"]] < known, "one of the six youngest"


@pytest.mark.parametrize("name", sorted(p.stem for p in GRAMMARS.glob("*.space")))
def test_it_runs_on_every_shipped_space(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    strategy = RegularisedEvolution({"population": 4, "sample": 2})
    found = search(space, strategy, table(space), SearchConfig(trials=10))
    assert found.trials == 10
    space.validate(found.architecture)


def test_it_trains_where_there_is_a_task() -> None:
    space = spacec.loads("""
    space points(width = 5, classes = 3)
    input  x: [width]
    output logits: [classes]
    def block = skip: identity | lin: linear(bias = 0) >> tanh
    net = block * 2 >> linear(classes)
    """)
    strategy = RegularisedEvolution({"population": 2, "sample": 1, "samples": 4, "trial_epochs": 1})
    found = search(space, strategy, Synthetic(), SearchConfig(), train_config=TrainConfig(epochs=3))
    assert found.trials == 4
    assert found.metrics["score"] > 0


def test_how_many() -> None:
    strategy = RegularisedEvolution({"population": 2, "sample": 1})
    assert search(SPACE, strategy, table(), SearchConfig()).trials == 1000
    strategy = RegularisedEvolution({"population": 2, "sample": 1, "samples": 7})
    assert search(SPACE, strategy, table(), SearchConfig(trials=20, parallel=4)).trials == 7


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_evolution.spacec_strategies()
    assert descriptor.load() is RegularisedEvolution
