"""One row of benchmarks/regret.py: a hundred searches over the table, and what is kept of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from spacec_tables.nas_bench_201 import open_nas_bench_201
from spacec_tables.sources import rows_of

import spacec
from benchmarks.regret_rows import FRONT, FULL, SHORT, Row
from benchmarks.report import ROOT, commit
from spacec.hooks import installed
from spacec.search.config import SearchConfig
from spacec.search.pareto import hypervolume
from spacec.search.record import RunStore
from spacec.search.runner import search
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured

METRIC = "val_acc"
LATENCY = "edgegpu_latency"
"""The column of HW-NAS-Bench that the front is about: milliseconds on an Nvidia Jetson TX2."""
SHORTS = {"cifar10": "c10_val12", "cifar100": "c100_val12", "imagenet16-120": "in16_val12"}
NORMAL = 1.96
"""Of a normal distribution, 2.5 % exceed so many deviations."""


@dataclass(frozen=True)
class Data:
    """Files that no package has. ``cells``: index (``idx``), string (``arch``) and accuracies after 12 epochs of every
    cell; ``hardware``: latencies by that index."""

    cells: Path | None = None
    hardware: Path | None = None

    def lacks(self, row: Row) -> str:
        """What a row needs that is not there; empty if nothing."""
        if row.of.strategy not in installed().names("spacec_strategies"):
            return f"the strategy '{row.of.strategy}'"
        if (row.of.lengths or row.dataset == FRONT) and self.cells is None:
            return "--cells FILE"
        return "--hardware FILE" if row.dataset == FRONT and self.hardware is None else ""


@dataclass(frozen=True)
class Trial:
    """A rating: what it cost in full trainings, and its metrics; none of the short ones, which only guide."""

    cost: float
    metrics: Mapping[str, float]


def make(row: Row, data: Data, runs: int, queries: int) -> dict[str, Any]:
    """The record of a row."""
    space = spacec.load(ROOT / "grammars" / "nas_bench_201.space")
    table = _table(space, row, data)
    task = Tabular(table, {}, METRIC)
    judge = _lacking(space, table) if row.dataset == FRONT else _regret(space, table)
    start, curves = time.process_time(), []
    for seed in range(runs):
        trials = _searched(space, task, row, seed, queries)
        curves.append(_at_queries(trials, judge(trials), queries))
    columns = list(zip(*curves, strict=True))
    return {
        "settings": {**row.settings(), "runs": runs, "queries": queries},
        "commit": commit(),
        "source": table.source,
        "cpu_seconds": round(time.process_time() - start, 1),
        "mean": [_short(fmean(c)) for c in columns],
        "reach": [_short(NORMAL * stdev(c) / sqrt(len(c))) for c in columns],
        "last": [_short(v) for v in columns[-1]],
    }


def _searched(space: spacec.Space, task: Tabular, row: Row, seed: int, queries: int) -> list[Trial]:
    strategy = installed().find("spacec_strategies", row.of.strategy).load()(row.of.options)
    most = queries * FULL // SHORT if row.of.lengths else queries
    with RunStore(None) as store:
        search(space, strategy, task, SearchConfig(trials=most, seed=seed), store=store)
        rows = store.trials(store.runs()[-1]["id"])
    return [Trial((r["budget"] or FULL) / FULL, r["metrics"] if (r["budget"] or FULL) == FULL else {}) for r in rows]


def _at_queries(trials: Sequence[Trial], values: Sequence[float], queries: int) -> list[float]:
    """The value that was reached when so many full trainings had been paid for, for 1 to ``queries``."""
    found, latest, place = [], values[0], 0
    spent = list(accumulate(t.cost for t in trials))
    for query in range(1, queries + 1):
        while place < len(trials) and spent[place] <= query + 1e-9:
            latest = values[place]
            place += 1
        found.append(latest)
    return found


Judge = Callable[[Sequence[Trial]], list[float]]


def _regret(space: spacec.Space, table: Benchmark) -> Judge:
    """After each trial, how far the best so far is from the best of the table; before the first full one, from 0 %."""
    best = max(table.query(arch).metrics[METRIC] for arch in space.enumerate())

    def judge(trials: Sequence[Trial]) -> list[float]:
        return list(accumulate((best - t.metrics.get(METRIC, 0.0) for t in trials), min))

    return judge


def _lacking(space: spacec.Space, table: Benchmark) -> Judge:
    """After each trial, which share of the whole table's hypervolume that of all so far still lacks.

    The reference is the worst accuracy and the largest latency of the table.
    """
    every = [_point(table.query(arch).metrics) for arch in space.enumerate()]
    worst = max(x for x, _ in every), max(y for _, y in every)
    whole = hypervolume(every, worst)

    def judge(trials: Sequence[Trial]) -> list[float]:
        found: list[float] = []
        points: list[tuple[float, float]] = []
        for trial in trials:
            new = _point(trial.metrics)
            if not found or not any(a <= new[0] and b <= new[1] for a, b in points):
                points = [p for p in points if not (new[0] <= p[0] and new[1] <= p[1])] + [new]
                found.append(1 - hypervolume(points, worst) / whole)
            else:
                found.append(found[-1])
        return found

    return judge


def _point(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Less is better."""
    return -metrics[METRIC], metrics["latency"]


def _table(space: spacec.Space, row: Row, data: Data) -> Benchmark:
    """NAS-Bench-201 on the row's data set, with short trainings or latencies beside the accuracy where it asks so."""
    table = open_nas_bench_201(space.table, None)
    dataset = "cifar10" if row.dataset == FRONT else row.dataset
    cells = {} if data.cells is None else {r["arch"]: r for _, r in rows_of("cells", data.cells)}
    slow = {}
    if row.dataset == FRONT and data.hardware is not None:
        slow = {r["idx"]: float(r[LATENCY]) for _, r in rows_of("hardware", data.hardware)}

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        if which.get("epochs") == str(SHORT):
            return Measured({METRIC: float(cells[space.write(arch, "nas-bench-201")][SHORTS[dataset]])})
        found = table.query(arch, dataset=dataset)
        more = {"latency": slow[cells[space.write(arch, "nas-bench-201")]["idx"]]} if slow else {}
        return Measured({METRIC: found.metrics[METRIC], **more}, found.seconds)

    measures = (Measure(METRIC, "max", "%"), *((Measure("latency", "min", "ms"),) if slow else ()))
    which = {"epochs": (str(FULL), str(SHORT))} if row.of.lengths else {}
    return Benchmark("nas-bench-201", space.table, measures, lookup, which, table.source)


def _short(value: float) -> float:
    return float(f"{value:.5g}")
