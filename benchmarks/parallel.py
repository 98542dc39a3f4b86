"""What workers give a search: its quality with 1 to 4,096 of them on a virtual clock, and what two real ones keep up.

    python -m benchmarks.parallel

Needs the distributions that :data:`STRATEGIES` name, spacec-ray and spacec-tables[nas-bench-201], as `make` installs
them. A run is recorded in PARALLEL.md beside this file, with its pictures (parallel_time.svg, parallel_queries.svg) and
its numbers (parallel.csv).
"""

from __future__ import annotations

import csv
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import spacec
from benchmarks.report import HERE, ROOT, arguments, machine, publish
from spacec.hooks import installed
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.executor import Executor, Rated, Virtual
from spacec.search.incumbents import incumbents
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.report.charts import Series, line_chart
from spacec.search.runner import search
from spacec.search.strategy import Strategy
from spacec.search.tabular import Tabular

RUNS, QUERIES, HOURS, TRIALS = 30, 512, 1.0, 2000
WORKERS = (1, 4, 16, 64, 256, 1024, 4096)
STRATEGIES: Mapping[str, Mapping[str, object]] = {
    "random": {"mode": "trials"},
    "evolution": {"population": 50, "sample": 10},
    "local-search": {},
    "nsga2": {},
}
NORMAL = 1.96
"""The 95 % interval of a mean reaches so many standard errors."""
WARM = 500
"""Trials on Ray before time is taken."""
ENOUGH = 1 << 20
"""More trials than any search here asks for: a search ends with the clock."""


class Ended(Exception):
    """The clock of a search has run past what is looked at."""


class Watched(Virtual):
    """Keeps when ratings came and what they were, and ends a search whose clock has gone past ``seconds``."""

    def __init__(self, workers: int, seconds: float = math.inf) -> None:
        super().__init__({"workers": workers})
        self.seconds = seconds
        self.seen: list[tuple[float, float]] = []

    def collect(self) -> list[Rated]:
        found = super().collect()
        if found[-1].finished > self.seconds:
            raise Ended
        self.seen += [(rated.finished, rated.metrics["val_acc"]) for rated in found]
        return found


@dataclass(frozen=True)
class Quality:
    """The best validation accuracy (%) that is found in a time, and by a number of queries.

    ``asked``: results there were in the time; ``hours``: how long the queries took.
    """

    in_time: float
    asked: int
    by_queries: float
    hours: float


Found = Mapping[str, Mapping[int, Sequence[Quality]]]
"""By strategy and number of workers, one for each seed."""


def strategy(name: str) -> Strategy:
    made: Strategy = installed().find("spacec_strategies", name).load()(STRATEGIES[name])
    return made


def quality(
    name: str, space: spacec.Space, task: Tabular, workers: int, seed: int, queries: int, hours: float
) -> Quality:
    """Two searches by asynchronous ask and tell: a worker that is free is given the next trial at once."""
    timed, counted = Watched(workers, hours * 3600), Watched(workers)
    for executor, trials in ((timed, ENOUGH), (counted, queries)):
        config = SearchConfig(asynchronous=True, seed=seed, trials=trials)
        with suppress(Ended):
            search(space, strategy(name), task, config, executor=executor)
    in_time, by_queries = (
        incumbents([value for _, value in executor.seen], task.metrics[0])[-1] for executor in (timed, counted)
    )
    return Quality(in_time, len(timed.seen), by_queries, counted.seen[-1][0] / 3600)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval."""
    middle = mean(values)
    reach = NORMAL * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return middle, middle - reach, middle + reach


def regrets(found: Found, what: str, best: float) -> dict[str, list[tuple[int, tuple[float, float, float]]]]:
    """By strategy, for each number of workers: how far the best found is from the best there is."""
    return {
        name: [(w, spread([best - getattr(q, what) for q in runs])) for w, runs in by_workers.items()]
        for name, by_workers in found.items()
    }


def picture(found: Found, what: str, best: float, title: str) -> str:
    series = [
        Series(
            name,
            tuple((float(w), middle) for w, (middle, _, _) in rows),
            band=tuple((float(w), low, high) for w, (_, low, high) in rows),
        )
        for name, rows in regrets(found, what, best).items()
    ]
    chart = line_chart(series, title, "workers", "regret (% of accuracy)", size=(640.0, 380.0), across="log")
    return chart.render()


def table(found: Found, what: str, best: float) -> list[str]:
    workers = list(next(iter(found.values())))
    lines = [f"| strategy | {' | '.join(f'{w:,}' for w in workers)} |", f"|---|{'---:|' * len(workers)}"]
    for name, rows in regrets(found, what, best).items():
        cells = (f"{middle:.3f} ± {high - middle:.3f}" for _, (middle, _, high) in rows)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def write_numbers(found: Found, best: float, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["strategy", "workers", "seed", "regret_in_time", "results_in_time", "regret", "hours"])
        for name, by_workers in found.items():
            for workers, runs in by_workers.items():
                writer.writerows(
                    [
                        name,
                        workers,
                        k,
                        f"{best - q.in_time:.4f}",
                        q.asked,
                        f"{best - q.by_queries:.4f}",
                        f"{q.hours:.3f}",
                    ]
                    for k, q in enumerate(runs)
                )


@dataclass(frozen=True)
class Rate:
    """Trials a second that a search told its strategy and recorded, and CPU seconds of its own process for each."""

    trials: float
    cpu: float


def rate(executor: Executor, space: spacec.Space, task: Tabular, trials: int, parallel: int) -> Rate:
    """Asynchronous trials, recorded in a store on the disk; the first :data:`WARM` are not timed."""
    moments: list[tuple[float, float]] = []

    def progress(told: Progress) -> None:
        if told.phase == "trials":
            moments.append((time.monotonic(), time.process_time()))

    config = SearchConfig(asynchronous=True, parallel=parallel, trials=WARM + trials)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        search(space, strategy("random"), task, config, out, executor=executor, progress=progress)
        with RunStore(out / files.STORE) as store:
            rows = store.trials(1)
    done = [row for row in rows if row["status"] == "done"]
    assert len(done) == len(moments) == WARM + trials, "every trial is in the store"
    wall, cpu = (b - a for a, b in zip(moments[WARM - 1], moments[-1], strict=True))
    return Rate(trials / wall, cpu / trials)


def rates(space: spacec.Space, task: Tabular, trials: int) -> list[str]:
    lines = [
        "| executor | trials out at a time | trials/s | CPU of the search's own process, ms a trial |",
        "|---|---:|---:|---:|",
    ]
    made: Any = installed().find("spacec_executors", "ray").load()
    for parallel in (2, 8, 32):
        found = rate(made({"workers": 2}), space, task, trials, parallel)
        lines.append(f"| ray, 2 workers | {parallel} | {found.trials:,.0f} | {found.cpu * 1000:.2f} |")
    found = rate(Virtual({"workers": 8}), space, task, trials, 8)
    lines.append(f"| none: in the search's own process | 8 | {found.trials:,.0f} | {found.cpu * 1000:.2f} |")
    return lines


def body(found: Found, best: float, queries: int, hours: float, rated: list[str]) -> list[str]:
    asked = {w: mean(q.asked for q in runs) for w, runs in found["random"].items()}
    most = max(asked)
    took = {w: mean(q.hours for q in runs) for w, runs in found["random"].items()}
    return [
        "## Quality against workers",
        "",
        f"The same {hours:g} h of wall-clock time: regret when they are over (mean ± half of its 95 % interval).",
        f"Random search has {asked[1]:.1f} results by then with one worker, {asked[most]:,.0f} with {most:,}.",
        "",
        "![Regret by workers in equal time](parallel_time.svg)",
        "",
        *table(found, "in_time", best),
        "",
        f"The same {queries} queries: what it costs a strategy to ask before it knows the results of trials that",
        f"are out. Random search takes {took[1]:,.0f} hours for them with one worker, {took[most]:.2f} with {most:,}.",
        "",
        "![Regret by workers after equal queries](parallel_queries.svg)",
        "",
        *table(found, "by_queries", best),
        "",
        "## Trials a second",
        "",
        "Asynchronous random search over the same table; each trial is recorded in the store on the disk when it is",
        "asked for, and when its result is there. Two worker processes of Ray look the answers up. The load of the",
        "machine (above) counts: search and workers share its cores with all else.",
        "",
        *rated,
    ]


def main(runs: int, queries: int, hours: float, trials: int, note: str) -> None:
    facts = machine()
    space = spacec.load(ROOT / "grammars" / "nas_bench_201.space")
    task = Tabular(space.benchmark("nas-bench-201"), {"dataset": "cifar10"}, "val_acc")
    best = max(task.benchmark.query(arch).metrics["val_acc"] for arch in space.enumerate())
    rated = rates(space, task, trials)
    start = time.process_time()
    found = {
        name: {w: [quality(name, space, task, w, k, queries, hours) for k in range(runs)] for w in WORKERS}
        for name in STRATEGIES
    }
    spent = time.process_time() - start
    about_time = f"NAS-Bench-201, CIFAR-10: regret after {hours:g} h"
    about_queries = f"NAS-Bench-201, CIFAR-10: regret after {queries} queries"
    (HERE / "parallel_time.svg").write_text(picture(found, "in_time", best, about_time), encoding="utf-8")
    (HERE / "parallel_queries.svg").write_text(picture(found, "by_queries", best, about_queries), encoding="utf-8")
    write_numbers(found, best, HERE / "parallel.csv")
    about = (
        "Made by `python -m benchmarks.parallel`; the numbers of every search are in [parallel.csv](parallel.csv).",
        f"{runs} searches of each strategy with each number of workers, seeds 0 to {runs - 1}; {spent:.0f} s of CPU.",
        "They run in one process on a virtual clock (`--executor virtual`): a trial takes the seconds of its training.",
        f"Data: {task.benchmark.source}; CIFAR-10, validation accuracy after 200 epochs, mean over the table's seeds.",
        f"The regret is the distance to the best of the 15,625 cells, {best:.4f} %.",
        note,
    )
    title = "Searches on many workers"
    publish("PARALLEL", title, facts, about, body(found, best, queries, hours, rated))


if __name__ == "__main__":
    parser = arguments("searches on many workers", RUNS)
    parser.add_argument("--queries", type=int, default=QUERIES, help="queries after which searches are compared")
    parser.add_argument("--hours", type=float, default=HOURS, help="virtual time after which they are compared")
    parser.add_argument("--trials", type=int, default=TRIALS, help="trials of each measurement on Ray")
    given = parser.parse_args()
    main(given.runs, given.queries, given.hours, given.trials, given.note)
