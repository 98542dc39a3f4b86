"""A row of FEASIBLE.md: a hundred searches of `tabnas` over a table of 125 networks, and where they end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import torch

import spacec
from benchmarks.feasible_rows import table_rows
from benchmarks.feasible_train import sizes_of
from benchmarks.strategy_run import Record, load_space, ran
from spacec.hooks import installed
from spacec.search.config import SearchConfig
from spacec.search.runner import search
from spacec.search.tabular import Tabular
from spacec.space.benchmark import Benchmark, Measure, Measured


def make_searches(settings: Mapping[str, Any], runs: int) -> Record:
    """By seed, the network that the policy holds for the most probable, and the best within the limit it rated."""
    torch.set_num_threads(1)
    space = load_space(settings["space"])
    task = Tabular(benchmark(space, settings["table"].removeprefix("table.")))
    cls: Any = installed().find("spacec_strategies", settings["strategy"]).load()
    began = time.process_time()
    likely, rated = [], []
    for seed in range(runs):
        strategy = cls(settings["options"])
        found = search(space, strategy, task, SearchConfig(trials=settings["trials"], seed=seed))
        likely.append(sizes_of(found.architecture))
        rated.append("" if strategy.kept is None else sizes_of(strategy.kept.arch))
    seconds = round(time.process_time() - began, 1)
    return {"settings": dict(settings), "ran": ran(strategy), "seconds": seconds, "likely": likely, "rated": rated}


def benchmark(space: spacec.Space, data: str) -> Benchmark:
    """The table's mean accuracies on the validation part, as answers."""
    rows = {sizes: fmean(row["valid"]) for sizes, row in table_rows(data).items()}

    def lookup(arch: spacec.Architecture, which: Mapping[str, str]) -> Measured:
        return Measured({"accuracy": rows[sizes_of(arch)]})

    return Benchmark(data, space.table, (Measure("accuracy", "max"),), lookup, source="benchmarks/feasible")
