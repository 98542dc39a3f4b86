"""Trials of a search: rounds and asynchronous telling, a virtual clock, kept trainings, and going on from the record.

The strategy here is told by number and tag only, and what it asks next depends on all that it was told, in order: were
anything lost, doubled, or told otherwise after a resume, it would end elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.executor import Executor, Here, Virtual
from spacec.search.record import RunStore
from spacec.search.repeat import repeat
from spacec.search.runner import search
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from tests.search import toy
from tests.search.test_tabular import SPACE

NAMES = "abcd"


def table() -> Tabular:
    """Scores by position and letter; an architecture takes as many seconds as its letters say, one has no row."""

    def lookup(arch: Architecture, which: Any) -> Measured | None:
        letters = [NAMES.index(token) for _, token in arch.tokens]
        seconds = 1.0 + sum(letters) + 0.01 * letters[0]
        score = float(sum(k * 4**i for i, k in enumerate(letters)))
        return None if letters == [2, 2, 2] else Measured({"score": score}, seconds)

    return Tabular(Benchmark("letters", SPACE.table, (Measure("score", "max"),), lookup, {}, "this test"))


class Chain(Strategy):
    """Mutates what it was told last, and waits while it has too much out."""

    name = "chain"
    limit = 24

    @property
    def uses_supernet(self) -> bool:
        return False

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.asked = 0
        self.told: list[tuple[int, str, float]] = []

    def propose(self, n: int) -> Sequence[Trial]:
        free = 3 - (self.asked - len(self.told))
        n = max(0, min(n, self.limit - self.asked, free))
        trials = [Trial(self._next(), "standalone", tag=["asked", self.asked + k]) for k in range(n)]
        self.asked += n
        return trials

    def _next(self) -> Architecture:
        if not self.told:
            return self.ctx.sample()
        seed = self.ctx.rng.getrandbits(31) ^ len(self.told)
        return self.ctx.space.mutate(self.ctx.space.architecture(self.told[-1][1]), seed=seed)

    def observe(self, results: Sequence[TrialResult]) -> None:
        for r in results:
            assert r.trial.tag == ["asked", r.number]
            assert r.failed == bool(r.error)
            self.told.append((r.number, r.trial.arch.text(), r.metrics.get("score", -1.0)))

    def derive(self) -> Architecture:
        return self.ctx.space.architecture(max(self.told, key=lambda t: t[2])[1])

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked, "told": self.told}

    def load_state_dict(self, state: Any) -> None:
        self.asked, self.told = int(state["asked"]), [(n, t, v) for n, t, v in state["told"]]


class Stopping(Virtual):
    """As if the process died when it was asked for its ``left``-th rating."""

    left = 0

    def collect(self) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().collect()


def rows(path: Path, clock: bool = True) -> list[dict[str, Any]]:
    with RunStore(path / files.STORE) as store:
        found = store.trials(1)
    times = () if clock else ("asked", "finished", "seconds")
    return [{k: v for k, v in row.items() if k not in times} for row in found]


def config(asynchronous: bool, parallel: int | None = 4) -> SearchConfig:
    return SearchConfig(asynchronous=asynchronous, parallel=parallel)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_search_that_is_cut_off_at_any_trial_ends_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asynchronous: bool, checkpoints: bool
) -> None:
    """With a checkpoint after each telling, and with none but the record."""
    monkeypatch.setattr("spacec.search.trials.PAUSE", 0.0 if checkpoints else 1e9)
    monkeypatch.setattr("spacec.search.trials.SHARE", 0.0)
    whole = Chain()
    search(SPACE, whole, table(), config(asynchronous), tmp_path / "whole", executor=Virtual({"workers": 3}))
    assert len(whole.told) == whole.limit
    assert asynchronous == ([n for n, *_ in whole.told] != sorted(n for n, *_ in whole.told))
    for left in (0, 1, 7, 13, 18):
        path, executor = tmp_path / f"cut{left}", Stopping({"workers": 3})
        executor.left = left
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, Chain(), table(), config(asynchronous), path, executor=executor)
        before = [row for row in rows(path) if row["status"] != "running"]
        again, more = Chain(), Stopping({"workers": 3})
        more.left = 4  # cut off again, while it goes on
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, Chain(), table(), config(asynchronous), path, executor=more, resume=True)
        search(SPACE, again, table(), config(asynchronous), path, executor=Virtual({"workers": 3}), resume=True)
        assert again.told == whole.told
        assert rows(path) == rows(tmp_path / "whole")
        kept = {row["number"]: row for row in rows(path)}
        assert all({**row, "told": None} == {**kept[row["number"]], "told": None} for row in before)


def test_rounds_find_the_same_whoever_rates(tmp_path: Path) -> None:
    for k, executor in enumerate([Here(), Virtual({"workers": 1}), Virtual({"workers": 7})]):
        search(SPACE, Chain(), table(), config(False), tmp_path / str(k), executor=executor)
    first = rows(tmp_path / "0", clock=False)
    assert first == rows(tmp_path / "1", clock=False) == rows(tmp_path / "2", clock=False)


def test_the_virtual_clock_is_that_of_as_many_workers(tmp_path: Path) -> None:
    """Against a simulation by hand: whoever is free first takes the next trial."""
    for workers in (1, 2, 5):
        path = tmp_path / str(workers)
        search(SPACE, Chain(), table(), config(True, None), path, executor=Virtual({"workers": workers}))
        found = rows(path)
        free = [0.0] * workers
        for row in found:
            start = max(row["asked"], min(free))
            free[free.index(min(free))] = start + row["seconds"]
            assert row["finished"] == pytest.approx(start + row["seconds"])
        if workers == 1:
            assert found[-1]["finished"] == pytest.approx(sum(row["seconds"] for row in found))


def test_a_strategy_that_does_not_ask_again_as_it_did_is_told_so(tmp_path: Path) -> None:
    class Forgetful(Chain):
        drawn = 0

        def _next(self) -> Architecture:
            Forgetful.drawn += 1
            return self.ctx.space.sample(1, seed=Forgetful.drawn)[0]

    executor = Stopping({"workers": 3})
    executor.left = 8
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, Forgetful(), table(), config(True), tmp_path / "run", executor=executor)
    (tmp_path / "run" / files.TRIALS).unlink(missing_ok=True)
    with pytest.raises(SpacecError, match="does not ask again for trial 0") as error:
        search(SPACE, Forgetful(), table(), config(True), tmp_path / "run", resume=True)
    assert error.value.diagnostics[0].code == "E0822"


class Halve(Strategy):
    """Trains every architecture for one epoch, and goes on with the better half to three."""

    name = "halve"

    @property
    def uses_supernet(self) -> bool:
        return False

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.first: dict[int, float] = {}
        self.asked, self.final = 0, 0

    def propose(self, n: int) -> Sequence[Trial]:
        if self.asked < 4:
            trials = [Trial(a, "standalone", 1, keep=True) for a in toy.EVERY[3:7]][self.asked : self.asked + n]
        elif len(self.first) < 4:
            return []
        else:
            best = sorted(self.first, key=lambda k: -self.first[k])[self.final : min(self.final + n, 2)]
            trials = [Trial(toy.EVERY[3 + k], "standalone", 3, resume=k) for k in best]
            self.final += len(trials)
        self.asked += len(trials)
        return trials

    def observe(self, results: Sequence[TrialResult]) -> None:
        self.first |= {r.number: r.metrics["score"] for r in results if r.trial.budget == 1}

    def derive(self) -> Architecture:
        return toy.EVERY[3]

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first, "asked": self.asked, "final": self.final}

    def load_state_dict(self, state: Any) -> None:
        self.first, self.asked, self.final = dict(state["first"]), state["asked"], state["final"]


@pytest.mark.parametrize("where", ["directory", "memory"])
def test_a_kept_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path, where: str) -> None:
    training = TrainConfig(epochs=3, steps=2)
    seen: dict[int, dict[str, float]] = {}

    class Watched(Halve):
        def observe(self, results: Sequence[TrialResult]) -> None:
            super().observe(results)
            seen.update({r.number: dict(r.metrics) for r in results})

    out = tmp_path / "run" if where == "directory" else None
    result = search(toy.SPACE, Watched(), toy.TASK, SearchConfig(), out, train_config=training)
    assert result.trials == 6
    assert len(seen) == 6
    kept = sorted(p.name for p in (tmp_path / "run" / files.TRIAL_STATES).glob("*")) if out else None
    assert kept in (None, ["0.pt", "1.pt", "2.pt", "3.pt"])
    promoted = result.context.space.architecture(toy.EVERY[3].text())
    assert promoted == toy.EVERY[3]
    ordered = sorted((0, 1, 2, 3), key=lambda k: -seen[k]["score"])[:2]
    for number, k in zip((4, 5), ordered, strict=True):
        assert seen[number] == dict(result.context.fit(toy.EVERY[3 + k], 3).metrics)


def test_a_kept_training_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    class Cut(Here):
        def submit(self, number: int, *rest: Any) -> None:
            if number == 4:
                raise KeyboardInterrupt
            super().submit(number, *rest)

    out, training = tmp_path / "run", TrainConfig(epochs=3, steps=2)
    with pytest.raises(KeyboardInterrupt):
        search(toy.SPACE, Halve(), toy.TASK, SearchConfig(), out, train_config=training, executor=Cut())
    promoted = rows(out)[4]["resume"]
    (out / files.TRIAL_STATES / f"{promoted}.pt").unlink()
    with pytest.raises(SpacecError, match=f"{promoted}.pt") as error:
        search(toy.SPACE, Halve(), toy.TASK, SearchConfig(), out, train_config=training, resume=True)
    assert error.value.diagnostics[0].code == "E0810"


def test_a_record_that_lacks_what_its_checkpoint_knows_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spacec.search.trials.PAUSE", 0.0)
    monkeypatch.setattr("spacec.search.trials.SHARE", 0.0)

    def altered(change: str, out: Path) -> str:
        executor = Stopping({"workers": 3})
        executor.left = 8
        with pytest.raises(KeyboardInterrupt):
            search(SPACE, Chain(), table(), config(True), out, executor=executor)
        db = sqlite3.connect(out / files.STORE)
        with db:
            db.execute(change)
        db.close()
        with pytest.raises(SpacecError) as error:
            search(SPACE, Chain(), table(), config(True), out, resume=True)
        return error.value.diagnostics[0].code

    assert altered("UPDATE trials SET metrics = '{}' WHERE status = 'done'", tmp_path / "a") == "E0813"
    assert altered("DELETE FROM trials", tmp_path / "b") == "E0813"


def test_trials_that_raise_one_after_the_other_stop_the_search(tmp_path: Path) -> None:
    class Sweep(Chain):
        limit = 30

        def _next(self) -> Architecture:
            return toy.EVERY[3 + self.asked % 3]

    space: Any = toy.Broken((1,))
    with pytest.raises(SpacecError, match="the last 5 trials raised") as error:
        search(space, Sweep(), toy.TASK, SearchConfig(max_failures=5), tmp_path / "run")
    assert error.value.diagnostics[0].code == "E0823"
    assert [row["status"] for row in rows(tmp_path / "run")] == ["failed"] * 5
    result = search(space, Sweep(), toy.TASK, SearchConfig(max_failures=None))
    assert result.trials == 30


def test_an_executor_is_closed_whatever_happens() -> None:
    class Fails(Here):
        closed = False

        def collect(self) -> Any:
            raise RuntimeError("the cluster is gone")

        def close(self) -> None:
            self.closed = True

    executor: Executor = Fails()
    with pytest.raises(RuntimeError, match="the cluster is gone"):
        search(SPACE, Chain(), table(), config(True), executor=executor)
    assert executor.closed  # type: ignore[attr-defined]  # of the class above


def test_a_repeated_search_goes_on_from_its_record(tmp_path: Path) -> None:
    """Of several searches in one directory none has a checkpoint; asynchronous ones could not be run again equally."""
    made: list[Chain] = []

    def make() -> Strategy:
        made.append(Chain())
        return made[-1]

    executor = Stopping({"workers": 3})
    executor.left = 24 + 10
    both = SearchConfig(asynchronous=True)
    with pytest.raises(KeyboardInterrupt):
        repeat(SPACE, make, table(), both, 2, tmp_path / "run", executor=executor)
    with RunStore(tmp_path / "run" / files.STORE) as store:
        before = [row for row in store.trials(2) if row["told"] is not None]
    assert len(before) == 10
    asked: list[int] = []

    class Counting(Virtual):
        def submit(self, number: int, *rest: Any) -> None:
            asked.append(number)
            super().submit(number, *rest)

    repeat(SPACE, make, table(), both, 2, tmp_path / "run", executor=Counting({"workers": 3}), resume=True)
    with RunStore(tmp_path / "run" / files.STORE) as store:
        after = store.trials(2)
    assert not set(asked) & {row["number"] for row in before}
    assert [row for row in after if row["number"] in {b["number"] for b in before}] == before
    assert len(after) == 24
