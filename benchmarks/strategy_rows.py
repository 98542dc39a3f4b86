"""What STRATEGIES.md compares: which strategies on which spaces and data, and with which settings.

One budget for all: the same number of weight steps in the search and in the retraining of its pick, batches of the
same size, one schedule of the weights. Where a paper gives a share of its epochs (a warm-up, a stage), that share is
kept. Nothing here was chosen by its result on a test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

SEEDS = (0, 1, 2)
EPOCHS = 10
TABLE = "fashion-mnist"
"""The task of the recorded comparison."""
BASELINE = "random-trials"
"""The line that the others are compared with."""

SPACES: Mapping[str, Mapping[str, Any]] = {
    "nas_bench_201": {"C": 4, "N": 1, "channels": 1, "size": [16, 16]},
    "robust_darts": {"set": 2, "C": 4, "layers": 3, "channels": 1, "size": [16, 16]},
}
TITLES = {
    "nas_bench_201": "NAS-Bench-201's skeleton, one cell per stage, C = 4",
    "robust_darts": "RobustDARTS' S2, three cells, C = 4",
}
TASKS: Mapping[str, Mapping[str, str]] = {TABLE: {"train": "0.1"}, "mnist": {}}
SEARCH = {"epochs": str(EPOCHS), "steps": "10", "batch_size": "64", "lr": "0.1", "eval_batches": "4"}
TRAINING = {"epochs": "12", "batch_size": "64", "steps": "25", "lr": "0.1"}
SHORTER: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "robust_darts": {"search": {"steps": "5"}, "training": {"steps": "12"}},
}
"""What rows on a space have instead: a step of S2 takes twice as long as one of NAS-Bench-201's skeleton."""
QUICK = {"search": {"epochs": "3", "steps": "5"}, "training": {"epochs": "3", "steps": "10"}}
"""What rows on MNIST have instead: they show that a record can be made again, and take seconds."""

TRAVEL = 50
"""Adam moves a logit by at most about its rate in a step, and 100 steps stand for DARTS' 19,500."""


@dataclass(frozen=True)
class Entry:
    """A line of the table: a strategy with ``-o`` options, and what of its paper's settings was shortened, in words.

    Without a strategy the pick is drawn uniformly.
    """

    strategy: str | None
    options: Mapping[str, str] = field(default_factory=dict)
    shortened: str = ""
    spaces: tuple[str, ...] = tuple(SPACES)


def _adam(rate: float, warm_up: float = 0.0, **more: object) -> dict[str, str]:
    """A paper's rate of Adam for the logits, times :data:`TRAVEL`, and its share of epochs before they are trained."""
    start = {"arch_from": str(ceil(warm_up * EPOCHS - 1e-9))} if warm_up else {}
    return {"arch_lr": f"{rate * TRAVEL:g}", **start, **{name: str(value) for name, value in more.items()}}


ENTRIES: Mapping[str, Entry] = {
    "uniform": Entry(None, {}, "no search: one architecture drawn uniformly"),
    BASELINE: Entry(
        "random",
        {"mode": "trials", "samples": "3", "trial_epochs": "6"},
        "3 architectures, each trained alone for 6 epochs, which takes as long as first-order DARTS",
    ),
    "random": Entry("random", {"samples": "100", "first_batches": "2"}, "100 samples rated, not 1,000"),
    "darts": Entry("darts", _adam(3e-4)),
    "darts-2": Entry(
        "darts", _adam(3e-4, order=2), "on NAS-Bench-201's skeleton only, for its time", ("nas_bench_201",)
    ),
    "pc-darts": Entry("pc-darts", _adam(6e-4, 15 / 50, partial=2), "K = 2, not 4: there are 4 channels"),
    "gdas": Entry("gdas", _adam(3e-4)),
    "drnas": Entry(
        "drnas",
        _adam(6e-4, 10 / 50, warmup=2, partial=4, partial_later=2),
        "K = 4 and then 2, as for NAS-Bench-201, not 6 and 4; stages of 5 epochs, not 25",
    ),
    "snas": Entry("snas", _adam(3e-4)),
    "dsnas": Entry("dsnas", _adam(3e-4)),
    "proxylessnas": Entry(
        "proxylessnas",
        _adam(1e-3, 40 / 160, arch_every=1, warmup_rate=0.1),
        "an update every step, not every 5; the warm-up at the common rate",
    ),
    "ssa": Entry(
        "ssa",
        _adam(1e-3, 40 / 160, arch_every=1, warmup_rate=0.1),
        "as proxylessnas; in S2, which has two candidates, the scope leaves both",
    ),
    "gaea": Entry("gaea", {"arch_from": "2"}),
    "darts-aer": Entry("darts-aer", _adam(3e-4)),
    "eoinas": Entry(
        "eoinas",
        _adam(6e-4, 20 / 160, stage=2, tau_decay=0.536),
        "stages of 2 epochs, not 20; the temperature falls as far in 8 epochs as in 140",
    ),
    "robust-darts": Entry(
        "robust-darts",
        _adam(3e-4, order=1, window=1, delta=1, start=2, products=16, tolerance=0.01),
        "first order; windows of 1 epoch, not 5; the eigenvalue to 1 %",
    ),
    "clearer": Entry("clearer", _adam(3e-4, 10 / 200)),
    "zarts": Entry(
        "zarts",
        {"arch_from": "2", "arch_every": "5", "inner_steps": "4", "sigma": "0.2"},
        "4 inner steps, not 10; an update every 5 steps, not 10; sigma 0.2, as its script for S1 to S4",
    ),
}


def entries_of(space: str) -> list[str]:
    """The lines of a space's table."""
    return [name for name, entry in ENTRIES.items() if space in entry.spaces]


LEFT_OUT = {
    **dict.fromkeys(
        (
            "asha",
            "bananas",
            "hyperband",
            "local-search",
            "nsga2",
            "optuna",
            "reinforce",
            "successive-halving",
        ),
        "asks for architectures one by one: see REGRET.md",
    ),
    "tabnas": "learns under a limit on cost, which these rows do not have",
    "evolution": "asks for architectures one by one: see EVOLUTION.md",
    "fairnas": "trains weights and then rates architectures: see ONE_SHOT.md",
    "tunas": "aims at a cost, and the table has none to aim at",
    "spos": "trains weights and then rates architectures: see ONE_SHOT.md",
    "bignas": "trains weights and then rates architectures: see ELASTIC.md",
    "ofa": "trains weights and then rates architectures: see ELASTIC.md",
    "spos-evolution": "asks for architectures one by one, of a trained supernet",
    "cream": "a supernet of single paths: see ONE_SHOT.md",
    "cheapest": "an example to copy from",
    "enas": "its 300 readings an epoch are more than the budget of a row",
}
"""Installed strategies that the table does not have, and why."""


@dataclass(frozen=True)
class Row:
    """One search and the retraining of its pick."""

    task: str
    space: str
    entry: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.task}.{self.space}.{self.entry}.{self.seed}"

    def settings(self) -> dict[str, Any]:
        """Everything that decides what the row computes, as JSON has it."""
        entry = ENTRIES[self.entry]
        own = QUICK if self.task == "mnist" else SHORTER.get(self.space, {"search": {}, "training": {}})
        return {
            "space": {"file": f"grammars/{self.space}.space", "parameters": dict(SPACES[self.space])},
            "task": {"name": self.task, "options": dict(TASKS[self.task])},
            "strategy": {"name": entry.strategy, "options": {**SEARCH, **entry.options, **own["search"]}},
            "training": {**TRAINING, **own["training"]},
            "seed": self.seed,
        }


PAIR_SEEDS = (0, 1, 2, 3, 4)
ARMS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "paper": ("By the paper, with the complexity loss", {}),
    "released": ("As the released code, without the complexity loss", {"complexity": "false"}),
}
"""Titles and options."""


@dataclass(frozen=True)
class Pair:
    """CLEARER's pick and random architectures of its size, all trained alike: one seed."""

    arm: str
    seed: int

    @property
    def key(self) -> str:
        return f"denoise.clearer.{self.arm}.{self.seed}"

    def settings(self) -> dict[str, Any]:
        adam = {"optimizer": "adam", "weight_decay": "0", "batch_size": "8"}
        search = {"epochs": "8", "steps": "12", "lr": "0.003", "arch_from": "2", "arch_lr": "0.02", "eval_batches": "2"}
        return {
            "space": {"file": "grammars/clearer.space", "parameters": {"width": 4, "residual": 1, "init": 0.05}},
            "task": {"name": "denoise", "options": {"patch": "32", "patches": "400"}},
            "strategy": {"name": "clearer", "options": {**adam, **search, **ARMS[self.arm][1]}},
            "training": {**adam, "lr": "0.01", "epochs": "10", "steps": "50", "recalibrate": "20", "eval_every": "5"},
            "random": {"count": 2, "tolerance": 0.1},
            "seed": self.seed,
        }


CHECKED = (Row("mnist", "nas_bench_201", "darts", 0), Row("mnist", "robust_darts", "gdas", 0))
"""On data that the tests have, so that every run of them makes these again."""


def rows() -> list[Row | Pair]:
    """Those of the recorded tables, then those that the tests make again."""
    table = [Row(TABLE, s, e, seed) for s in SPACES for e in entries_of(s) for seed in SEEDS]
    pairs = [Pair(arm, seed) for arm in ARMS for seed in PAIR_SEEDS]
    return [*table, *pairs, *CHECKED]
