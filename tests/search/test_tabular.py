"""Searches over a benchmark: trials are answered from a table, nothing is trained, and runs repeat and resume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.incumbents import Quartiles, by_trial, incumbents, quartiles
from spacec.search.record import RunStore
from spacec.search.repeat import Curve, repeat
from spacec.search.report.write import write_report
from spacec.search.runner import search
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.search.task import Metric
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured

SPACE = spacec.loads("""
space toy(classes = 3)
input  x: [4]
output y: [classes]
def op = a: linear | b: linear >> tanh | c: linear >> relu | d: linear >> gelu
net = op >> op >> op >> linear(classes)
""")
SCORES = {"a": 0, "b": 1, "c": 2, "d": 3}


def benchmark() -> Benchmark:
    """Adds up letters; two architectures are missing. Training one costs a minute per epoch."""

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        letters = [token for _, token in arch.tokens]
        if letters in (["d", "d", "d"], ["a", "a", "a"]):
            return None
        score = float(sum(SCORES[c] * 4**i for i, c in enumerate(letters)))
        error = {} if letters[0] == "b" else {"error": 63.0 - score}
        return Measured({"score": score, **error}, 60.0 * int(which["epochs"]))

    measures = (Measure("score", "max", "points"), Measure("error", "min"))
    return Benchmark("toy", SPACE.table, measures, lookup, {"epochs": ("200", "12")}, "this test")


class Walk(Strategy):
    """Proposes samples; keeps all that it observed."""

    name = "walk"
    budget: int | None = None

    @property
    def uses_supernet(self) -> bool:
        return False

    def setup(self, ctx: object) -> None:
        super().setup(ctx)  # type: ignore[arg-type]  # whatever the runner hands over
        self.seen: list[TrialResult] = []

    def propose(self, n: int) -> Sequence[Trial]:
        return [Trial(self.ctx.sample(), "standalone", self.budget) for _ in range(n)]

    def observe(self, results: Sequence[TrialResult]) -> None:
        self.seen += results

    def derive(self) -> Architecture:
        metric = self.ctx.task.metrics[0]
        rated = [r for r in self.seen if not r.failed]
        sign = 1 if metric.direction == "max" else -1
        return max(rated, key=lambda r: sign * r.metrics[metric.name]).trial.arch


def code(error: pytest.ExceptionInfo[SpacecError]) -> str:
    return error.value.diagnostics[0].code


def test_trials_are_the_tables_rows() -> None:
    strategy = Walk()
    found = search(SPACE, strategy, Tabular(benchmark()), SearchConfig(trials=40))
    assert found.trials == 40
    rated = [r for r in strategy.seen if not r.failed]
    assert [r.metrics for r in rated] == [benchmark().query(r.trial.arch).metrics for r in rated]
    assert {r.seconds for r in rated} == {12_000.0}
    assert found.metrics["score"] == max(r.metrics["score"] for r in rated)
    assert benchmark().query(found.architecture).metrics == found.metrics
    failed = [r for r in strategy.seen if r.failed]
    assert all("E0732" in r.error for r in failed)


def test_a_budget_asks_for_epochs() -> None:
    strategy = Walk()
    strategy.budget = 12
    search(SPACE, strategy, Tabular(benchmark()), SearchConfig(trials=5))
    assert {r.seconds for r in strategy.seen if not r.failed} == {720.0}
    strategy = Walk()
    strategy.budget = 13
    with pytest.raises(ValueError, match="empty"):  # the strategy's own: it found nothing
        search(SPACE, strategy, Tabular(benchmark()), SearchConfig(trials=5))
    assert all("has no epochs '13'" in r.error for r in strategy.seen)


def test_the_metric_that_is_followed() -> None:
    task = Tabular(benchmark(), {"epochs": 12}, "error")
    assert task.metrics == (Metric("error", "min"), Metric("score", "max", "", "points"))
    strategy = Walk()
    found = search(SPACE, strategy, task, SearchConfig(trials=60))
    assert found.metrics["error"] == min(r.metrics["error"] for r in strategy.seen if not r.failed)
    missing = [r for r in strategy.seen if r.trial.arch.tokens[0][1] == "b"]
    assert missing
    assert all("has no error of" in r.error for r in missing)
    assert Tabular(benchmark(), metric="score:min").metrics[0].direction == "min"
    with pytest.raises(SpacecError) as error:
        Tabular(benchmark(), metric="accuracy")
    assert code(error) == "E0731"


def test_what_would_train_is_refused() -> None:
    class Trains(Walk):
        name = "trains"
        uses_supernet = True

    class Shares(Walk):
        name = "shares"

        def propose(self, n: int) -> Sequence[Trial]:
            return [Trial(self.ctx.sample())]

    with pytest.raises(SpacecError, match="'trains' trains a supernet") as error:
        search(SPACE, Trains(), Tabular(benchmark()), SearchConfig(trials=5))
    assert code(error) == "E0735"
    shares = Shares()
    with pytest.raises(ValueError, match="empty"):
        search(SPACE, shares, Tabular(benchmark()), SearchConfig(trials=2))
    assert all("E0735" in r.error for r in shares.seen)


def test_the_search_stops_at_its_trials_whatever_the_number_at_once() -> None:
    strategy = Walk()
    assert search(SPACE, strategy, Tabular(benchmark()), SearchConfig(trials=10, parallel=4)).trials == 10


def curves(out: Path, runs: int, resume: bool = False, seed: int = 3) -> list[Curve]:
    config = SearchConfig(trials=30, seed=seed)
    return repeat(SPACE, Walk, Tabular(benchmark()), config, runs, out, resume=resume)


def test_runs_have_seeds_of_their_own_and_repeat(tmp_path: Path) -> None:
    found = curves(tmp_path / "a", 4)
    assert [c.seed for c in found] == [3, 4, 5, 6]
    assert len({c.best for c in found}) > 1
    assert curves(tmp_path / "b", 4) == found
    assert curves(tmp_path / "c", 1, seed=5) == found[2:3]
    for curve in found:
        assert len(curve.best) == len(curve.seconds) == 30
        assert all(b >= a for a, b in zip(curve.best, curve.best[1:], strict=False) if a == a)
        arch = SPACE.architecture(curve.architecture)
        assert benchmark().query(arch).metrics["score"] == curve.best[-1]


def test_runs_that_were_cut_off_are_run_again_and_more_can_be_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = curves(tmp_path / "whole", 5)
    propose, left = Walk.propose, [70]

    def stopping(self: Walk, n: int) -> Sequence[Trial]:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return propose(self, n)

    monkeypatch.setattr(Walk, "propose", stopping)
    with pytest.raises(KeyboardInterrupt):
        curves(tmp_path / "cut", 4)
    with RunStore(tmp_path / "cut" / files.STORE) as store:
        assert [r["status"] for r in store.runs()] == ["done", "done", "interrupted"]
    monkeypatch.setattr(Walk, "propose", propose)
    assert curves(tmp_path / "cut", 4, resume=True) == whole[:4]
    assert curves(tmp_path / "cut", 5, resume=True) == whole
    with RunStore(tmp_path / "cut" / files.STORE) as store:
        assert [r["status"] for r in store.runs()] == ["done"] * 5
        assert [len(store.trials(r["id"])) for r in store.runs()] == [30] * 5
    with pytest.raises(SpacecError) as error:
        curves(tmp_path / "cut", 5, resume=True, seed=4)
    assert code(error) == "E0812"


def test_the_report_shows_the_runs(tmp_path: Path) -> None:
    found = curves(tmp_path / "a", 4)
    page = write_report(tmp_path / "a").read_text()
    assert "as the benchmark has it (this test)" in page
    assert "4 seeds, 3 to 6" in page
    assert "held-out" not in page.partition("Settings")[0]
    best = max(found, key=lambda c: c.best[-1])
    assert best.architecture in page
    chart = (tmp_path / "a" / "pictures" / "incumbents.svg").read_text()
    assert "best score so far: median and quartiles of 4 runs" in chart
    assert "polygon" in chart


def test_incumbents_and_quartiles() -> None:
    metric = Metric("m", "min")
    found = incumbents([None, 3.0, float("nan"), 4.0, 1.0], metric)
    assert math.isnan(found[0])
    assert found[1:] == [3.0, 3.0, 3.0, 1.0]
    assert quartiles([2.0]) == Quartiles(2.0, 2.0, 2.0)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == Quartiles(2.0, 3.0, 4.0)
    nan = float("nan")
    assert by_trial([[nan, 2.0, 3.0], [1.0, 4.0, 5.0, 9.0]]) == [
        (2, Quartiles(2.5, 3.0, 3.5)),
        (3, Quartiles(3.5, 4.0, 4.5)),
    ]
