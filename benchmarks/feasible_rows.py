"""What FEASIBLE.md compares: rewards under a limit, over two tables of 125 networks each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.report import HERE

RUNS = 100
"""Searches of a row: seeds from 0 on."""
TRIALS = 250
BATCH = 5
"""Trials between steps of the policy, which takes the mean of their gradients."""
SHARES = (50, 25, 75)
"""Limits, as the percentage of the networks within them."""
BETAS = (-0.1, -1.0, -0.3, -3.0)
"""Of the rewards that have one, in the order in which they are run."""
REWARDS = ("absolute", "power", "one-sided")
REJECTION = "rejection"

FOLDER = HERE / "feasible"
"""Of the records."""
SIZES = (2, 4, 8, 16, 32)
LAYERS = 3
CLASSES = 10
UNLIMITED = 10**9


@dataclass(frozen=True)
class Table:
    """All networks of the space trained on one set of data. ``pool``: side of the squares of pixels averaged."""

    data: str
    title: str
    task: Mapping[str, Any]
    pool: int
    features: int
    training: Mapping[str, Any]
    seeds: int

    @property
    def key(self) -> str:
        return f"table.{self.data}"

    def space(self, limit: int = UNLIMITED) -> dict[str, Any]:
        """The space of TabNAS' paper, with sizes for small data."""
        parameters = {"features": self.features, "outputs": CLASSES, "limit": limit, "sizes": list(SIZES)}
        return {"file": "grammars/tabular.space", "parameters": parameters}

    def settings(self) -> dict[str, Any]:
        """What its record must have been made with."""
        return {
            "space": self.space(), "task": dict(self.task), "pool": self.pool, "training": dict(self.training),
            "seeds": self.seeds,
        }  # fmt: skip


TABLES = {
    table.data: table
    for table in (
        Table(
            "digits", "scikit-learn's digits, 64 pixels", {"name": "digits", "options": {"valid": "0.2"}}, 1, 64,
            {"epochs": 60, "batch_size": 64, "lr": 0.01}, 10,
        ),
        Table(
            "fashion-mnist", "Fashion-MNIST, 49 means of 4 x 4 pixels",
            {"name": "fashion-mnist", "options": {"valid": "0.16667"}}, 4, 49,
            {"epochs": 12, "batch_size": 256, "lr": 0.01}, 5,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Searches:
    """So many searches over a table under a limit, with one reward. ``beta`` is 0 where the reward has none."""

    data: str
    share: int
    reward: str
    beta: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.data}.{self.share}.{self.reward}{f'.{-self.beta:g}' if self.beta else ''}"

    def settings(self) -> dict[str, Any]:
        """What its record must have been made with."""
        limit = limit_of(self.data, self.share)
        given = {"mode": "trials", "reward": self.reward, "target": str(limit), "batch": str(BATCH)}
        return {
            "space": TABLES[self.data].space(), "table": TABLES[self.data].key, "limit": limit, "strategy": "tabnas",
            "options": {**given, "beta": f"{self.beta:g}"} if self.beta else given,
            "trials": TRIALS, "runs": RUNS,
        }  # fmt: skip


def table_rows(data: str) -> dict[str, dict[str, Any]]:
    """By network (``32-4-16``): its weights, and its accuracies on valid and test by seed; empty without a record."""
    path = FOLDER / f"{TABLES[data].key}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["rows"]) if path.exists() else {}


def limit_of(data: str, share: int) -> int:
    """The weights that ``share`` percent of the networks do not exceed; 0 without a table."""
    sizes = sorted(int(row["params"]) for row in table_rows(data).values())
    return sizes[round(share / 100 * len(sizes)) - 1] if sizes else 0


def rows() -> list[Table | Searches]:
    """Tables first, then searches by limit, those of all rewards at one beta before those at the next."""
    found: list[Table | Searches] = list(TABLES.values())
    for beta in (0.0, *BETAS):
        rewards = REWARDS if beta else (REJECTION,)
        found += [Searches(d, s, r, beta) for s in SHARES for d in TABLES for r in rewards]
    return found
