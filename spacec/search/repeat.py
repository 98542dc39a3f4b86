"""The same search many times, each from a seed of its own, in one run directory: for searches over a benchmark.

One that was cut off goes on from what the record holds of it; those that ended are read back. More runs can be added
by resuming with a larger number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spacec.search.config import SearchConfig
from spacec.search.executor import Executor
from spacec.search.fronts import read_front, write_front
from spacec.search.incumbents import incumbents
from spacec.search.lock import locked
from spacec.search.progress import Clock, Progress, ProgressFn, silent
from spacec.search.record import RunStore
from spacec.search.runner import search
from spacec.search.settings import prepare, settings_of
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Strategy
from spacec.search.tabular import Tabular
from spacec.search.task import Metric
from spacec.search.trainer import TrainConfig


@dataclass(frozen=True)
class Curve:
    """One run: the best value after each query (NaN before the first that succeeded), and the answer.

    ``seconds``: simulated, of all queries so far.
    """

    seed: int
    best: tuple[float, ...]
    seconds: tuple[float, ...]
    architecture: str


def repeat(
    space: SpaceLike,
    make: Callable[[], Strategy],
    task: Tabular,
    config: SearchConfig,
    runs: int,
    out_dir: Path,
    *,
    resume: bool = False,
    progress: ProgressFn = silent,
    executor: Executor | None = None,
    store_url: str = "",
) -> list[Curve]:
    """Search ``runs`` times with the seeds ``config.seed``, ``config.seed + 1``, …; ``make`` gives a fresh strategy.

    All are rated by ``executor``, which is started and closed for each. ``store_url``: of the database that keeps the
    record, which is in ``out_dir`` otherwise.

    ``front.json`` gets the front of all of them, where there are several objectives.

    Raises what :func:`spacec.search.runner.search` raises; the runs that ended are in the record.
    """
    strategy = make()
    task.refuse_training(strategy)
    settings = settings_of(space, strategy, task, config, TrainConfig(seed=config.seed, device=config.device))
    with locked(out_dir):
        prepare(out_dir, space, settings, resume, store_url)
        clock = Clock(runs)
        with RunStore.of(out_dir, store_url) as store:
            ended = [run for run in store.runs() if run["status"] == "done"]
            done = {run["name"] for run in ended if _as_long(store, run, config.trials)}
            for k in range(runs):
                if _name(k) not in done:
                    own = replace(config, seed=config.seed + k)
                    search(
                        space, make(), task, own,
                        resume=resume, name=_name(k), store=store, executor=executor, home=out_dir,
                    )  # fmt: skip
                progress(Progress("runs", step=k + 1, steps=runs, eta=clock.eta(k + 1)))
            wanted = {_name(k) for k in range(runs)}
            found = [run for run in store.runs() if run["name"] in wanted]
            directions, rows = read_front(store, [run["id"] for run in found])
            if directions:
                write_front(out_dir, directions, rows)
            return [curve_of(store, run, task.metrics[0]) for run in found]


def curve_of(store: RunStore, run: Mapping[str, Any], metric: Metric) -> Curve:
    """A recorded run as a curve."""
    trials = store.trials(run["id"])
    found = next(a["text"] for a in store.architectures(run["id"]) if a["role"] == "best")
    spent, seconds = 0.0, []
    for trial in trials:
        spent += trial["seconds"]
        seconds.append(spent)
    best = incumbents([trial["metrics"].get(metric.name) for trial in trials], metric)
    return Curve(run["seed"], tuple(best), tuple(seconds), found)


def _as_long(store: RunStore, run: Mapping[str, Any], trials: int | None) -> bool:
    """Whether a run that ended was asked for no fewer trials than are wanted now, or has them."""
    asked = run["config"].get("trials")
    return asked == trials or asked is None or (trials is not None and len(store.trials(run["id"])) >= trials)


def _name(k: int) -> str:
    return f"run {k}"
