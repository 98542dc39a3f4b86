"""`spacec search --benchmark`, with a plugin made here."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from spacec.hooks import BenchmarkDescriptor, StrategyDescriptor, hookimpl, load_plugins
from spacec.hooks.manager import Candidate
from spacec.search.files import read_json
from spacec.search.objectives import Front, FrontPoint, Objective
from spacec.search.options import Options
from spacec.search.pareto import front
from spacec.search.record import RunStore
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from spacec.space.decisions import DecisionTable
from tests.cli.running import Done

Run = Callable[..., Done]
NB201 = "grammars/nas_bench_201.space"


def convolutions(table: DecisionTable, path: Path | None) -> Benchmark:
    """Counts convolutions, an hour each."""

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured:
        count = sum(label.startswith("conv") for _, label in arch.tokens)
        return Measured({"count": count, "others": 6 - count}, 3600.0 * count)

    return Benchmark("convolutions", table, (Measure("count"), Measure("others")), lookup, {}, "this test")


class First(Strategy):
    """Rates samples; trains a supernet first unless told otherwise, as it is over a benchmark."""

    name = "first"
    Options = type("FirstOptions", (Options,), {})
    tabular: Mapping[str, object] = {"parallel": "2"}  # type: ignore[misc]  # a class variable without saying so

    @property
    def uses_supernet(self) -> bool:
        return False

    def setup(self, ctx: object) -> None:
        super().setup(ctx)  # type: ignore[arg-type]  # whatever the runner hands over
        self.best: TrialResult | None = None

    def propose(self, n: int) -> Sequence[Trial]:
        return [Trial(self.ctx.sample(), "standalone") for _ in range(n)]

    def observe(self, results: Sequence[TrialResult]) -> None:
        metric = self.ctx.task.metrics[0]
        for r in results:
            if self.best is None or metric.better(r.metrics[metric.name], self.best.metrics[metric.name]):
                self.best = r

    def derive(self) -> Architecture:
        assert self.best is not None
        return self.best.trial.arch


class Both(First):
    """Keeps all that it rated, for a front: many convolutions, few others."""

    name = "both"

    def setup(self, ctx: object) -> None:
        super().setup(ctx)
        self.seen: list[TrialResult] = []

    def observe(self, results: Sequence[TrialResult]) -> None:
        super().observe(results)
        self.seen += results

    def front(self) -> Front:
        objectives = (Objective("count", "max"), Objective("params", "min", cost=True))
        rated = {r.trial.arch: r for r in self.seen}
        points = [
            FrontPoint(a, r.number, {"count": r.metrics["count"], "params": self.ctx.cost(a)}) for a, r in rated.items()
        ]
        kept = front(Front(objectives, tuple(points)).minimised())
        return Front(objectives, tuple(sorted((points[k] for k in kept), key=lambda p: -p.values["count"])))


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmarks = [BenchmarkDescriptor("convolutions", "counts convolutions", f"{__name__}:convolutions")]
    strategies = [
        StrategyDescriptor("both", "rates samples", f"{__name__}:Both"),
        StrategyDescriptor("first", "rates samples", f"{__name__}:First"),
    ]
    module = types.SimpleNamespace(
        spacec_benchmarks=hookimpl(lambda: benchmarks), spacec_strategies=hookimpl(lambda: strategies)
    )
    found = load_plugins([Candidate("toy", "spacec-toy", "1.0", lambda: module)])
    for place in ("spacec.facade.benchmarks", "spacec.cli.search"):
        monkeypatch.setattr(f"{place}.installed", lambda: found)


def trials(out: Path) -> list[list[str]]:
    with RunStore(out / "run.sqlite") as store:
        return [[t["architecture"] for t in store.trials(run["id"])] for run in store.runs()]


BASE = (NB201, "--benchmark", "convolutions", "--strategy", "first", "--queries", "15")


def test_runs_over_a_benchmark(spacec: Run, tmp_path: Path) -> None:
    done = spacec("search", *BASE, "--runs", "3", "--out", tmp_path / "a", "--seed", "4")
    assert done.code == 0, done.err
    assert "runs          3: median " in done.out
    assert "hours of training (median)" in done.out
    assert [len(found) for found in trials(tmp_path / "a")] == [15, 15, 15]
    assert (tmp_path / "a" / "report.html").is_file()
    again = spacec("search", *BASE, "--runs", "3", "--out", tmp_path / "a", "--seed", "4")
    assert "E0815" in again.err
    more = spacec("search", *BASE, "--runs", "4", "--out", tmp_path / "a", "--seed", "4", "--resume")
    assert more.code == 0, more.err
    one = spacec("search", *BASE, "--out", tmp_path / "b", "--seed", "7")
    assert "queries       15" in one.out
    assert "runs" not in one.out.replace("runs/", "").replace(str(tmp_path), "")
    assert trials(tmp_path / "b") == trials(tmp_path / "a")[3:]


def test_the_metric_and_its_direction(spacec: Run, tmp_path: Path) -> None:
    most = spacec("search", *BASE, "--metric", "others", "--out", tmp_path / "a")
    least = spacec("search", *BASE, "--metric", "others:min", "--out", tmp_path / "b")
    values = [float(d.out.partition("others")[2].split()[0]) for d in (most, least)]
    assert values[0] > 3 > values[1]


def test_the_front_of_all_runs_is_printed_and_written(spacec: Run, tmp_path: Path) -> None:
    given = (NB201, "--preset", "tiny", "--benchmark", "convolutions", "--strategy", "both", "--queries", "30")
    done = spacec("search", *given, "--runs", "2", "--out", tmp_path / "a")
    assert done.code == 0, done.err
    written = read_json(tmp_path / "a" / "front.json")
    values = [(p["values"]["count"], p["values"]["params"]) for p in written["points"]]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 2
    assert f"front         {len(values)} architectures, none better than another in all of count (higher)" in done.out
    shown = done.out.partition("params  architecture")[2].splitlines()[1:]
    assert [line.split()[2] for line in shown[: len(values)]] == [p["architecture"] for p in written["points"]]
    found = [p for _, p in sorted(values)]
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "Give one of --task and --benchmark."),
        (("--task", "mnist", "--benchmark", "convolutions"), "Give one of --task and --benchmark."),
        (("--task", "mnist", "--runs", "3"), "--runs needs --benchmark."),
        (("--task", "mnist", "--file", "a.csv"), "--file needs --benchmark."),
        (("--benchmark", "convolutions", "--train"), "--train needs --task"),
        (("--benchmark", "convolutions", "--dataset", "cifar10"), "cannot be asked for 'dataset'"),
        (("--benchmark", "convolution"), "benchmark 'convolution' is not installed"),
    ],
)
def test_what_does_not_go_together(spacec: Run, tmp_path: Path, given: tuple[str, ...], message: str) -> None:
    done = spacec("search", NB201, "--strategy", "first", "--out", tmp_path / "a", *given)
    assert done.code
    assert message in done.err
    assert not (tmp_path / "a").exists()


def test_workers_that_have_nothing_to_do_are_told_of(spacec: Run, tmp_path: Path) -> None:
    given = (*BASE, "--executor", "virtual", "-x", "workers=4")
    idle = spacec("search", *given, "-o", "parallel=none", "--out", tmp_path / "a")
    assert idle.code == 0
    assert "note: trials are given out one at a time, and 3 of 4 workers have nothing to do" in idle.err
    busy = spacec("search", *given, "-o", "asynchronous=true", "-o", "parallel=none", "--out", tmp_path / "b")
    assert (busy.code, busy.err) == (0, "")
