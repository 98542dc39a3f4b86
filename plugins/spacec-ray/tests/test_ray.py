"""Trials on real workers of a real Ray: the same store whoever rates, and workers that are killed.

One Ray for all tests here; a search uses the one to which its process is connected.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from ray import cloudpickle
from spacec_random.strategy import RandomSearch
from spacec_ray.cluster import connect
from spacec_ray.executor import RayExecutor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.hooks import installed
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.executor import Executor, Here
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.runner import search
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.search.task import Task
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured

ROOT = Path(__file__).resolve().parents[3]
CELLS = spacec.load(ROOT / "grammars" / "nas_bench_201.space", preset="tiny")


@pytest.fixture(scope="module", autouse=True)
def ray_of_two_cores() -> Iterator[None]:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have no test modules on their path
    cluster = connect("", 2)
    yield
    cluster.close()


def rows(out: Path) -> list[dict[str, Any]]:
    with RunStore(out / files.STORE) as store:
        return store.trials(1)


def timeless(out: Path) -> list[dict[str, Any]]:
    """The trials in the store, without when, where and how long."""
    times = ("asked", "finished", "seconds", "worker")
    return [{k: v for k, v in row.items() if k not in times} for row in rows(out)]


def test_rounds_leave_the_same_store_whoever_trains(tmp_path: Path) -> None:
    """Real trainings one after the other in this process, and on two workers; kept states go to workers and back."""
    space = spacec.load(ROOT / "grammars" / "tabular.space", preset="tiny", features=30, limit=100_000)
    task: Task = installed().find("spacec_tasks", "breast-cancer").load()({})
    executors: dict[str, Executor] = {"here": Here(), "two": RayExecutor({"workers": 2})}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker with one core has
    for name, executor in executors.items():
        training = TrainConfig(epochs=1, steps=2, device="cpu")
        config = SearchConfig(parallel=4, device="cpu")
        search(space, Further(), task, config, tmp_path / name, train_config=training, executor=executor)
    torch.set_num_threads(threads)
    here = timeless(tmp_path / "here")
    assert [row["status"] for row in here] == ["done"] * 8
    assert here == timeless(tmp_path / "two")
    assert len({row["worker"] for row in rows(tmp_path / "two")}) == 2
    assert str(os.getpid()) not in {row["worker"].partition("/")[2] for row in rows(tmp_path / "two")}


class Further(Strategy):
    """Trains four architectures for an epoch, and then these on for another."""

    name = "further"

    @property
    def uses_supernet(self) -> bool:
        return False

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.archs = [ctx.sample() for _ in range(4)]
        self.asked = 0

    def propose(self, n: int) -> Sequence[Trial]:
        first, self.asked = self.asked, min(8, self.asked + n)
        return [
            Trial(self.archs[k % 4], "standalone", 1 + k // 4, keep=k < 4, resume=k - 4 if k >= 4 else None)
            for k in range(first, self.asked)
        ]

    def observe(self, results: Sequence[TrialResult]) -> None: ...
    def derive(self) -> Architecture:
        return self.archs[0]


@dataclass(frozen=True)
class Deadly:
    """A table that kills who asks for one cell, and lets who first asks for another wait to be killed."""

    folder: Path
    deadly: str
    waiting: str

    def __call__(self, arch: Architecture, which: Mapping[str, str]) -> Measured:
        marker = self.folder / "pid"
        if arch.text() == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if arch.text() == self.waiting and not marker.exists():
            marker.write_text(str(os.getpid()))
            time.sleep(60)
        return Measured({"score": float(len(arch.text()))}, 1.0)


def test_killed_workers_cost_no_trial_but_the_one_that_kills_them(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    plain = Tabular(Benchmark("plain", CELLS.table, (Measure("score"),), Deadly(tmp_path, "", ""), {}, "this test"))
    config = SearchConfig(trials=30, parallel=8, asynchronous=True, seed=3)
    search(CELLS, RandomSearch({"mode": "trials"}), plain, config, seen)
    texts = [row["architecture"] for row in rows(seen)]
    assert len(set(texts)) == 30

    lookup = Deadly(tmp_path, deadly=texts[5], waiting=texts[12])
    task = Tabular(Benchmark("deadly", CELLS.table, (Measure("score"),), lookup, {}, "this test"))

    def progress(_: Progress) -> None:
        marker = tmp_path / "pid"
        if marker.exists() and (pid := marker.read_text()) and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(int(pid), signal.SIGKILL)

    executor = RayExecutor({"workers": 2, "retries": 1})
    strategy = RandomSearch({"mode": "trials"})
    search(CELLS, strategy, task, config, tmp_path / "run", executor=executor, progress=progress)
    found = {row["architecture"]: row for row in rows(tmp_path / "run")}
    assert len(found) == 30
    failed = [text for text, row in found.items() if row["status"] != "done"]
    assert failed == [texts[5]]
    lost = found[texts[5]]
    assert lost["error"].startswith("the worker died, at each of 2 attempts: ")
    assert "Worker" in lost["traceback"]
    assert lost["attempts"] == found[texts[12]]["attempts"] == 2
    assert found[texts[12]]["worker"].partition("/")[2] != (tmp_path / "pid").read_text()
    others = {row["attempts"] for text, row in found.items() if text not in (texts[5], texts[12])}
    assert others <= {1, 2}  # 2: of a trial whose rating died with a worker that was about to send it
    assert len({row["worker"] for row in found.values()} - {""}) >= 3, "those in the place of the dead rated too"


def test_what_cannot_be_sent_or_made_again_is_told() -> None:
    score = (Measure("score"),)
    lock = Tabular(Benchmark("locked", CELLS.table, score, With(threading.Lock()), {}, "this test"))
    with pytest.raises(SpacecError, match="cannot be sent to another process") as error:
        search(
            CELLS, RandomSearch({"mode": "trials"}), lock, SearchConfig(trials=2), executor=RayExecutor({"workers": 1})
        )
    assert error.value.diagnostics[0].code == "E0852"
    lacking = Tabular(Benchmark("lacking", CELLS.table, score, With(Refusing()), {}, "this test"))
    with pytest.raises(SpacecError, match="a worker of Ray cannot make the search") as error:
        search(
            CELLS,
            RandomSearch({"mode": "trials"}),
            lacking,
            SearchConfig(trials=2),
            executor=RayExecutor({"workers": 1}),
        )
    assert error.value.diagnostics[0].code == "E0853"
    assert "not on this machine" in error.value.diagnostics[0].notes[0]


@dataclass(frozen=True)
class With:
    """A table with something beside it."""

    other: Any

    def __call__(self, arch: Architecture, which: Mapping[str, str]) -> Measured:
        return Measured({"score": 1.0}, 1.0)


class Refusing:
    """Travels, and cannot be made again."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise LookupError("not on this machine")


def test_a_worker_that_nothing_is_there_for_is_told(tmp_path: Path) -> None:
    task = Tabular(Benchmark("plain", CELLS.table, (Measure("score"),), With(None), {}, "this test"))
    executor = RayExecutor({"workers": 1, "gpus": 1, "patience": 1})
    if torch.cuda.is_available():
        executor = RayExecutor({"workers": 1, "cpus": 3, "patience": 1})
    with pytest.raises(SpacecError, match="no worker of Ray was there after 1 s") as error:
        search(CELLS, RandomSearch({"mode": "trials"}), task, SearchConfig(trials=1), executor=executor)
    assert error.value.diagnostics[0].code == "E0851"
    assert "Ray has 2 CPU" in error.value.diagnostics[0].notes[0]


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    task = Tabular(Benchmark("plain", CELLS.table, (Measure("score"),), With(None), {}, "this test"))
    with pytest.raises(SpacecError, match="pip install spacec-ray") as error:
        search(CELLS, RandomSearch({"mode": "trials"}), task, SearchConfig(trials=1), executor=RayExecutor())
    assert error.value.diagnostics[0].code == "E0850"
