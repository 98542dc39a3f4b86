"""What STRATEGIES.md compares: which strategies on which spaces and data, and with which settings.

One budget for all: the same number of weight steps in the search and in the retraining of its pick, batches of the
same size, one schedule of the weights. Where a paper gives a share of its epochs (a warm-up, a stage), that share is
kept. Nothing here was chosen by its result on a test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEEDS = (0, 1, 2)
EPOCHS = 10

SPACES: Mapping[str, Mapping[str, Any]] = {
    "nas_bench_201": {"C": 4, "N": 1, "channels": 1, "size": [16, 16]},
    "robust_darts": {"set": 2, "C": 4, "layers": 3, "channels": 1, "size": [16, 16]},
}
TITLES = {
    "nas_bench_201": "NAS-Bench-201's skeleton, one cell per stage, C = 4",
    "robust_darts": "RobustDARTS' S2, three cells, C = 4",
}
TASKS: Mapping[str, Mapping[str, str]] = {"fashion-mnist": {"train": "0.1"}, "mnist": {}}
SEARCH = {"epochs": str(EPOCHS), "steps": "10", "batch_size": "64", "lr": "0.1", "eval_batches": "4"}
TRAINING = {"epochs": "16", "batch_size": "64", "steps": "25", "lr": "0.1"}

TRAVEL = 50
"""Adam moves a logit by at most about its rate in a step; 100 steps stand for DARTS' 19,500."""


@dataclass(frozen=True)
class Entry:
    """A line of the table: a strategy with ``-o`` options, and what of its paper's settings was shortened, in words.

    Without a strategy the pick is drawn uniformly.
    """

    strategy: str | None
    options: Mapping[str, str] = field(default_factory=dict)
    shortened: str = ""


def _adam(rate: float, **more: object) -> dict[str, str]:
    """A paper's rate of Adam for the logits, times :data:`TRAVEL`."""
    return {"arch_lr": f"{rate * TRAVEL:g}", **{name: str(value) for name, value in more.items()}}


ENTRIES: Mapping[str, Entry] = {
    "uniform": Entry(None, {}, "no search: one architecture drawn uniformly"),
    "random-trials": Entry(
        "random",
        {"mode": "trials", "samples": "4", "trial_epochs": "8"},
        "4 architectures, each trained alone for half of the retraining's epochs; the best on the arch split is picked",
    ),
    "random": Entry("random", {"samples": "100", "first_batches": "2"}, "100 samples rated instead of 1,000"),
    "darts": Entry("darts", _adam(3e-4)),
}

LEFT_OUT = {
    "evolution": "it trains or asks for architectures one by one: see EVOLUTION.md",
    "prior": "an example",
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
        return {
            "space": {"file": f"grammars/{self.space}.space", "parameters": dict(SPACES[self.space])},
            "task": {"name": self.task, "options": dict(TASKS[self.task])},
            "strategy": {"name": entry.strategy, "options": {**SEARCH, **entry.options}},
            "training": dict(TRAINING),
            "seed": self.seed,
        }


def rows() -> list[Row]:
    """Those of the recorded table, then the one that CI makes again."""
    table = [Row("fashion-mnist", s, e, seed) for s in SPACES for seed in SEEDS for e in ENTRIES]
    return [*table, CHECKED]


CHECKED = Row("mnist", "nas_bench_201", "darts", 0)
"""On data that the tests have, so that every run of them makes it again."""
