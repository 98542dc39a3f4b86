"""Successive halving, Hyperband and ASHA: the papers' tables, who goes on, and kept trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import spacec_halving
from spacec_halving.asha import Asha, Rung
from spacec_halving.base import Halving
from spacec_halving.bracket import halved, hyperband, rows
from spacec_halving.brackets import Hyperband, SuccessiveHalving

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.executor import Virtual
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.strategy import Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from spacec.testing.exchange import Exchange
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn | deep: linear >> linear
net = block * 3 >> linear(classes)
""")
EPOCHS = ("81", "1", "3", "9", "27")


def score(arch: Architecture, epochs: int) -> float:
    """Grows with training; who is best after one epoch is not who is best after all."""
    values = [v for _, v in arch.choices if isinstance(v, int)]
    return sum(values) + sum(v * 4**k for k, v in enumerate(values)) * epochs / 81


def table(which: Sequence[str] = EPOCHS, broken: Sequence[int] = ()) -> Tabular:
    def lookup(arch: Architecture, asked: Mapping[str, str]) -> Measured | None:
        epochs = int(asked.get("epochs", "81"))
        first = next(v for _, v in arch.choices)
        if first in broken:
            return None
        return Measured({"score": score(arch, epochs)}, epochs * (1.0 + sum(map(ord, arch.text())) % 5))

    questions = {"epochs": tuple(which)} if which else {}
    return Tabular(Benchmark("grows", SPACE.table, (Measure("score", "max"),), lookup, questions))


def watch(cls: type[Halving]) -> type[Any]:
    class Watched(cls):  # type: ignore[misc, valid-type]  # a class that is handed over
        def setup(self, ctx: Any) -> None:
            super().setup(ctx)
            self.trials: list[Trial] = []
            self.results: list[TrialResult] = []

        def propose(self, n: int) -> Sequence[Trial]:
            found = super().propose(n)
            self.trials += found
            return found

        def observe(self, results: Sequence[TrialResult]) -> None:
            self.results += results
            super().observe(results)

    return Watched


def run(cls: type[Halving], task: Any = None, workers: int = 0, **options: Any) -> tuple[SearchResult, Any]:
    config = SearchConfig(trials=options.pop("trials", None), asynchronous=workers > 0)
    strategy = watch(cls)(options)
    executor = Virtual({"workers": workers}) if workers else None
    return search(SPACE, strategy, task or table(), config, executor=executor), strategy


# Li et al., JMLR 2018, Table 1: R = 81, eta = 3
TABLE_1 = (
    ((81, 1), (27, 3), (9, 9), (3, 27), (1, 81)),
    ((27, 3), (9, 9), (3, 27), (1, 81)),
    ((9, 9), (3, 27), (1, 81)),
    ((6, 27), (2, 81)),
    ((5, 81),),
)


def plain(tables: Any) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(tuple((row.n, row.epochs) for row in bracket) for bracket in tables)


def test_the_brackets_of_hyperbands_table_1() -> None:
    assert plain(hyperband((1, 3, 9, 27, 81), 3, "table")) == TABLE_1


def test_the_brackets_of_hyperbands_algorithm_1() -> None:
    """n = ceil(B/R eta^s / (s+1)) with B = (s_max+1) R; the i-th rung has floor(n eta^-i), for R eta^(i-s) epochs."""
    found = plain(hyperband((1, 3, 9, 27, 81), 3, "algorithm"))
    assert [bracket[0][0] for bracket in found] == [81, 34, 15, 8, 5]
    assert found[1] == ((34, 3), (11, 9), (3, 27), (1, 81))
    assert found[3] == ((8, 27), (2, 81))


def test_the_rungs_of_jamieson_and_talwalkar() -> None:
    """r_k = floor(B / (|S_k| ceil(log2 n))), |S_k+1| = floor(|S_k| / 2)."""
    assert plain([halved(8, 2, 72)]) == (((8, 3), (4, 9), (2, 21)),)
    assert plain([halved(5, 2, 60)]) == (((5, 4), (2, 14), (1, 34)),)
    for n, budget in ((16, 500), (7, 100), (64, 3000)):
        spent, before = 0, 0
        for row in halved(n, 2, budget):
            spent, before = spent + row.n * (row.epochs - before), row.epochs
        assert spent <= budget
    assert plain([rows(27, (1, 3, 9, 27), 3)]) == (((27, 1), (9, 3), (3, 9), (1, 27)),)


@pytest.mark.parametrize("workers", [0, 5])
def test_hyperband_runs_its_brackets(workers: int) -> None:
    found, strategy = run(Hyperband, workers=workers, sizes="table")
    by_rung: dict[tuple[int, int], list[TrialResult]] = {}
    for result in strategy.results:
        by_rung.setdefault((result.trial.tag["bracket"], result.trial.tag["rung"]), []).append(result)
    for index, bracket in enumerate(TABLE_1):
        for rung, (n, epochs) in enumerate(bracket):
            there = by_rung[index, rung]
            assert (len(there), {r.trial.budget for r in there}) == (n, {epochs})
            if rung:
                ranked = sorted(by_rung[index, rung - 1], key=lambda r: (-r.metrics["score"], r.number))
                assert sorted(r.trial.arch.text() for r in there) == sorted(r.trial.arch.text() for r in ranked[:n])
    assert found.metrics["score"] == max(r.metrics["score"] for r in strategy.results)


def test_halving_leaves_one() -> None:
    found, strategy = run(SuccessiveHalving, eta=3)
    assert [t.budget for t in strategy.trials] == [1] * 81 + [3] * 27 + [9] * 9 + [27] * 3 + [81]
    assert found.architecture == strategy.trials[-1].arch
    assert found.metrics == {"score": score(found.architecture, 81)}


def test_rounds_go_on_where_the_search_says_how_long() -> None:
    _, strategy = run(SuccessiveHalving, eta=3, min_epochs=27, trials=11)
    assert [(t.tag["bracket"], t.budget) for t in strategy.trials] == [
        (k, b) for k in range(3) for b in (27, 27, 27, 81)
    ][:11]
    _, strategy = run(Hyperband, min_epochs=27, rounds=2)
    assert [t.tag["bracket"] for t in strategy.trials] == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3]


def test_those_that_fail_leave_room_for_nobody() -> None:
    _, strategy = run(SuccessiveHalving, table(broken=(0, 1, 2)), eta=3, min_epochs=9)
    counts = [sum(r.trial.budget == e for r in strategy.results) for e in (9, 27, 81)]
    passed = sum(not r.failed for r in strategy.results if r.trial.budget == 9)
    assert counts == [9, min(3, passed), 1]
    with pytest.raises(SpacecError, match="none of the 9 trials succeeded") as error:
        run(SuccessiveHalving, table(broken=(0, 1, 2, 3)), eta=3, min_epochs=9)
    assert error.value.diagnostics[0].code == "E0821"


def job(told: Sequence[TrialResult], promoted: dict[int, set[int]], top: int, eta: int) -> tuple[int, int | None]:
    """Algorithm 2's get_job, word for word: the rung of the next trial, and the number of the one it goes on from."""
    for k in reversed(range(top)):
        there = [r for r in told if r.trial.tag["rung"] == k]
        candidates = sorted(there, key=lambda r: (-r.metrics["score"], r.number))[: len(there) // eta]
        promotable = [r for r in candidates if r.number not in promoted[k]]
        if promotable:
            promoted[k].add(promotable[0].number)
            return k + 1, promotable[0].number
    return 0, None


@pytest.mark.parametrize("workers", [1, 7])
def test_asha_takes_the_jobs_of_algorithm_2(workers: int) -> None:
    context = search(SPACE, Asha(), table(), SearchConfig(trials=1)).context
    strategy = Asha({"eta": 3, "configurations": 60, "samples": 1000})
    strategy.setup(context)

    def rate(number: int, trial: Trial) -> TrialResult:
        assert trial.budget is not None
        return TrialResult(trial, {"score": score(trial.arch, trial.budget)}, number=number)

    exchange = Exchange(strategy, rate, workers, 1000)
    exchange.run()
    promoted: dict[int, set[int]] = {k: set() for k in range(4)}
    for trial, known in zip(exchange.asked, exchange.known, strict=True):
        rung, earlier = job(exchange.told[:known], promoted, 4, 3)
        assert trial.tag["rung"] == rung
        assert trial.budget == 3**rung
        if earlier is not None:
            assert trial.arch == exchange.asked[earlier].arch
    assert sum(t.tag["rung"] == 0 for t in exchange.asked) == 60
    assert max(t.tag["rung"] for t in exchange.asked) >= 3
    assert job(exchange.told, promoted, 4, 3) == (0, None)
    first_up = next(k for k, t in enumerate(exchange.asked) if t.tag["rung"] == 1)
    assert first_up < 15, "nobody waits for the rung to be complete"


def test_a_rung_gives_its_best_share_and_each_once() -> None:
    rung = Rung()
    for number, loss in enumerate((5.0, 3.0, 4.0, 1.0)):
        rung.take((loss, number, str(number)))
    assert rung.promote(2) == (1.0, 3, "3")
    assert rung.promote(2) == (3.0, 1, "1")
    assert rung.promote(2) is None
    rung.take((0.5, 4, "4"))
    assert rung.promote(2) == (0.5, 4, "4"), "it is among the best half of five, both of which were promoted before"
    rung.take((float("inf"), 5, "5"))
    assert rung.promote(2) is None
    failed = Rung()
    failed.take((float("inf"), 0, "0"))
    failed.take((float("inf"), 1, "1"))
    assert failed.promote(2) is None


def test_more_workers_end_sooner() -> None:
    ends = {}
    for cls, workers in ((SuccessiveHalving, 9), (Asha, 9), (Asha, 1)):
        clock = Virtual({"workers": workers})
        config = SearchConfig(asynchronous=True)
        options = {"eta": 3, "configurations": 81}
        search(SPACE, cls(options), table(), config, executor=clock)
        ends[cls.name, workers] = clock.now()
    assert ends["asha", 9] < 0.25 * ends["asha", 1]
    assert ends["asha", 9] < ends["successive-halving", 9]


def test_early_stopping_rate_leaves_the_lowest_rungs_out() -> None:
    _, strategy = run(Asha, eta=3, stop_rate=2, configurations=9)
    assert {t.budget for t in strategy.trials} == {9, 27, 81}


@pytest.mark.parametrize("cls", [SuccessiveHalving, Hyperband, Asha])
def test_trainings_are_kept_and_gone_on_with(cls: type[Halving], tmp_path: Path) -> None:
    """The one that goes on ends as one that was trained at a stretch by a schedule of the same length."""
    strategy = cls({"eta": 2, "max_epochs": 4, **({"configurations": 4} if cls is not Hyperband else {})})
    assert not strategy.uses_supernet
    train = TrainConfig(epochs=4, steps=2, batch_size=4, schedule="constant")
    found = search(SPACE, strategy, Synthetic(), SearchConfig(), tmp_path / "run", train_config=train)
    with RunStore(tmp_path / "run" / files.STORE) as store:
        rows = {row["number"]: row for row in store.trials(1)}
    on = [row for row in rows.values() if row["resume"] is not None]
    assert on
    for row in on:
        earlier = rows[row["resume"]]
        assert (earlier["architecture"], bool(earlier["keep"])) == (row["architecture"], True)
        assert earlier["budget"] < row["budget"]
        arch = SPACE.architecture(row["architecture"])
        whole = found.context.fit(arch, row["budget"]).metrics
        assert row["metrics"] == pytest.approx(dict(whole))


@pytest.mark.parametrize(
    ("options", "task", "says"),
    [
        ({}, table(()), "benchmark 'grows' cannot be asked for epochs"),
        ({"rungs": "1,5"}, table(), "benchmark 'grows' has the lengths 1, 3, 9, 27, 81"),
        ({"rungs": "9,3"}, table(), "rungs 9, 3 do not grow"),
        ({"min_epochs": 100}, table(), "benchmark 'grows' has the lengths 1, 3, 9, 27, 81"),
        ({"min_epochs": 9, "max_epochs": 3}, Synthetic(), "max_epochs is 3, less than min_epochs, 9"),
    ],
)
def test_lengths_that_are_none(options: Mapping[str, object], task: Any, says: str) -> None:
    with pytest.raises(SpacecError) as error:
        search(SPACE, Asha(options), task, SearchConfig(trials=3))
    assert error.value.diagnostics[0].code == "E0862"
    assert error.value.diagnostics[0].headline == f"there are no lengths of training to halve: {says}"


def test_the_descriptors_name_the_classes() -> None:
    loaded = {d.name: d.load() for d in spacec_halving.spacec_strategies()}
    assert loaded == {"asha": Asha, "hyperband": Hyperband, "successive-halving": SuccessiveHalving}
