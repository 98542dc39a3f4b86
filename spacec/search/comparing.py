"""Several recorded runs side by side: settings that differ, results, and how the best value grew."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from spacec.search.catalogue import MetricInfo, Summary
from spacec.search.incumbents import incumbents
from spacec.search.record import RunStore

LEFT_OUT = ("metrics",)
"""Parts of a task's description that are no settings."""


@dataclass(frozen=True)
class Course:
    """How the best value of a run grew, in the median of its searches: ``values[n]`` after ``n + 1`` of ``unit``."""

    unit: str
    values: Sequence[float]


def settings_of_run(found: Summary) -> dict[str, Any]:
    """What a run was told, by flat names: ``search.lr``, ``task.noise``, ``versions.torch``."""
    first = found.first
    search, trial = _apart(first["config"])
    training = next((p["config"] for p in found.parts if p["kind"] == "train"), trial)
    told = {
        "space": {"name": first["space"], "digest": first["digest"], **first["header"]},
        "task": _named(first["task"]),
        "strategy": _named(first["strategy"]),
        "search": search if first["kind"] == "search" else {},
        "training": training,
        "versions": first["versions"],
        "machine": first["environment"],
    }
    return {name: value for part, values in told.items() for name, value in _flat(part, values)}


def differing(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The settings that not all runs share; ``None`` where a run does not have one."""
    names = dict.fromkeys(name for settings in runs for name in settings)
    rows = {name: [settings.get(name) for settings in runs] for name in names}
    return {name: values for name, values in rows.items() if len({_text(v) for v in values}) > 1}


def course(store: RunStore, found: Summary, metric: MetricInfo) -> Course | None:
    """The best value after each trial, else after each epoch of the search (or of the training) on validation data."""
    searches = [part for part in found.parts if part["kind"] == "search"]
    trials = [[row["metrics"].get(metric.name) for row in store.trials(part["id"])] for part in searches]
    if any(trials):
        return _median("trials", [incumbents(values, metric) for values in trials if values])
    parts = searches or found.parts[:1]
    epochs = [[r["value"] for r in store.metrics(p["id"], name=metric.name) if r["step"] < 0] for p in parts]
    return _median("epochs", [incumbents(values, metric) for values in epochs if values]) if any(epochs) else None


def moments(longest: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 … and ``longest`` itself."""
    found, step = [], 1
    while step < longest:
        found += [step * k for k in (1, 2, 5) if step * k < longest]
        step *= 10
    return [*found, longest]


def _median(unit: str, curves: Sequence[Sequence[float]]) -> Course:
    return Course(unit, [median(values) for values in zip(*curves, strict=False)])


def _apart(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a search, and those of its trials."""
    return {k: v for k, v in config.items() if k != "trial"}, dict(config.get("trial", {}))


def _named(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a description of a task or a strategy says, its options among the rest."""
    rest = {k: v for k, v in told.items() if k not in ("options", *LEFT_OUT)}
    return {**rest, **told.get("options", {})}


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value under its name; a table in a table (a searcher and its options) entry by entry."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, entry in value.items():
        yield from _flat(f"{name}.{key}", entry)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
