"""What benchmarks/regret.py compares: strategies over NAS-Bench-201's table, alone and against a latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RUNS = 100
"""Seeds, from 0 on."""
QUERIES = 150
FULL = 200
"""Epochs of a query. Strategies over lengths of training have as many in all as the others: QUERIES times FULL."""
SHORT = 12
"""Epochs of the short trainings that the table has besides."""
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
FRONT = "front"
"""In the place of a data set: CIFAR-10's accuracy against a latency."""


@dataclass(frozen=True)
class Entry:
    """A line of a figure. ``lengths``: it asks for short trainings too. ``options``: where not the strategy's own."""

    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    lengths: bool = False


_RUNGS = {"rungs": f"{SHORT},{FULL}"}
_OPTUNA = {"storage": "none"}
ENTRIES = {
    "random": Entry("random", {"mode": "trials"}),
    "evolution": Entry("evolution"),
    "local-search": Entry("local-search"),
    "nsga2": Entry("nsga2", {"population": 20}),
    "reinforce": Entry("reinforce"),
    "bananas": Entry("bananas"),
    "optuna-tpe": Entry("optuna", _OPTUNA),
    "optuna-cma-es": Entry("optuna", {**_OPTUNA, "sampler": "cma-es", "operations": "integer"}),
    "successive-halving": Entry("successive-halving", {**_RUNGS, "configurations": 380, "eta": 3}, lengths=True),
    "hyperband": Entry("hyperband", {**_RUNGS, "eta": 3}, lengths=True),
    "asha": Entry("asha", {**_RUNGS, "eta": 4}, lengths=True),
}
"""One objective: the validation accuracy."""
FRONTS = {
    "random": Entry("random", {"mode": "trials"}),
    "nsga2": Entry("nsga2", {"population": 20, "objectives": "val_acc,latency"}),
    "optuna-nsga-ii": Entry(
        "optuna",
        {**_OPTUNA, "sampler": "nsga-ii", "sampler_options": "population_size=20", "objectives": "val_acc,latency"},
    ),
    "optuna-tpe": Entry("optuna", {**_OPTUNA, "objectives": "val_acc,latency"}),
    "evolution": Entry("evolution"),
}
"""Two objectives; random search and evolution know nothing of the second."""
LEFT_OUT = {
    "cheapest": "an example to copy from",
    "spos-evolution": "a searcher of trained supernets",
    "tabnas": "without a limit on cost it is reinforce with other settings",
    "enas": "made for shared weights, with 300 readings an epoch; of controllers by trials there is reinforce",
    "tunas": "aims at a cost; without one it is REINFORCE, which is there",
}
"""Installed strategies that rate architectures one by one and are not compared, and why."""


@dataclass(frozen=True)
class Row:
    """So many searches of one entry on one data set, or for the front."""

    entry: str
    dataset: str

    @property
    def key(self) -> str:
        return f"{self.dataset}.{self.entry}"

    @property
    def of(self) -> Entry:
        return (FRONTS if self.dataset == FRONT else ENTRIES)[self.entry]

    def settings(self) -> dict[str, Any]:
        """What its record must have been made with."""
        return {
            "entry": self.entry, "dataset": self.dataset, "strategy": self.of.strategy,
            "options": dict(self.of.options), "runs": RUNS, "queries": QUERIES,
        }  # fmt: skip


def rows() -> list[Row]:
    """All of them, what is cheap first."""
    found = [Row(entry, dataset) for dataset in DATASETS for entry in ENTRIES]
    found += [Row(entry, FRONT) for entry in FRONTS]
    return sorted(found, key=lambda row: row.entry == "bananas")
