"""What ONE_SHOT.md compares: shared weights of several strategies with networks of NAS-Bench-Macro trained alone.

Every supernet is trained for the same number of optimiser steps on one part of the data, by one schedule of the
weights; every network is trained alone, on the same part and the one that rates. Nothing but the number
of networks and their steps was changed after a result was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

SPACE = {
    "file": "grammars/nas_bench_macro.space",
    "parameters": {
        "stem": 8, "widths": [8, 8, 16, 16, 16, 32, 32, 32], "features": 64, "channels": 1, "size": [16, 16],
    },
}  # fmt: skip
TASK = {"name": "fashion-mnist", "options": {"train": "0.3"}}
SPLIT_SEED = 0
"""Of the division of the data, the same for all rows: seeds then tell of weights and of the order of samples."""

OPS = ("identity", "mb3_k3", "mb6_k5")
"""By digit, as the published table has them."""
LAYERS = 8
NETWORKS = 30
SEEDS = (0, 1)
"""Of the networks trained alone."""
SUPERNETS = (0, 1, 2)
"""Seeds of the supernets."""
RECALIBRATE = 20
"""Training batches on which norms are estimated anew for every network that is rated with shared weights."""
BATCHES = 16
"""Of 256 images, spread over the part that rates."""

TRAINING = {
    "epochs": "12", "steps": "25", "batch_size": "64", "eval_batch_size": "256", "lr": "0.1", "select": "last",
    "eval_every": "12",
}  # fmt: skip
SEARCH = {
    "epochs": "20", "steps": "50", "batch_size": "64", "eval_batch_size": "256", "eval_every": "0", "recalibrate": "0",
    "optimizer": "sgd", "lr": "0.1", "lr_min": "0", "schedule": "cosine", "schedule_by": "epoch", "warmup": "0",
    "momentum": "0.9", "nesterov": "false", "weight_decay": "0.0003", "norm_decay": "true", "clip": "5",
    "label_smoothing": "0",
}  # fmt: skip


def drawn() -> tuple[str, ...]:
    """The networks, by their digits: distinct, uniformly from all 6,561, in the order in which they were drawn."""
    numbers = Random(0).sample(range(len(OPS) ** LAYERS), NETWORKS)
    return tuple("".join(str(n // len(OPS) ** i % len(OPS)) for i in reversed(range(LAYERS))) for n in numbers)


@dataclass(frozen=True)
class Alone:
    """One network, trained alone once for each of :data:`SEEDS`."""

    digits: str

    @property
    def key(self) -> str:
        return f"alone.{self.digits}"

    def settings(self) -> dict[str, Any]:
        """What its record must have been made with."""
        return {
            "space": SPACE, "task": TASK, "split_seed": SPLIT_SEED, "digits": self.digits,
            "training": TRAINING, "seeds": list(SEEDS),
        }  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A way to train shared weights: a strategy with ``-o`` options, and the paths of its steps, in words.

    What it would search afterwards is cut short.
    """

    strategy: str
    title: str
    paths: str
    options: Mapping[str, str] = field(default_factory=dict)


_BRIEF = {"search_options": "population=2,generations=1,top=1,mutations=0,crossovers=0", "batches": "1"}
_BRIEF_NSGA2 = {"search_options": "population=2,samples=2", "batches": "1"}
ENTRIES = {
    "random": Entry("random", "random", "1", {"samples": "1", "finalists": "1"}),
    "spos": Entry("spos", "SPOS", "1", _BRIEF),
    "fairnas": Entry("fairnas", "FairNAS", "3", _BRIEF_NSGA2),
    "fairnas-third": Entry("fairnas", "FairNAS, a third of the steps", "3", {**_BRIEF_NSGA2, "steps": "17"}),
    "cream": Entry("cream", "Cream", "1 and its teacher", {"arch_from": "4", "matching_every": "10"}),
}


@dataclass(frozen=True)
class Supernet:
    """Shared weights trained once, and what they say of all networks."""

    entry: str
    seed: int

    @property
    def key(self) -> str:
        return f"shared.{self.entry}.{self.seed}"

    def settings(self) -> dict[str, Any]:
        """What its record must have been made with."""
        entry = ENTRIES[self.entry]
        return {
            "space": SPACE, "task": TASK, "split_seed": SPLIT_SEED, "networks": list(drawn()),
            "strategy": {"name": entry.strategy, "options": {**SEARCH, **entry.options}},
            "recalibrate": RECALIBRATE, "batches": BATCHES, "seed": self.seed,
        }  # fmt: skip


def rows() -> list[Alone | Supernet]:
    """Networks first, then supernets, seed by seed."""
    return [*map(Alone, drawn()), *(Supernet(entry, seed) for seed in SUPERNETS for entry in ENTRIES)]
