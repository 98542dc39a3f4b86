"""Finding runs and summing each up, from their records alone.

A *run* is what one command line did: a search, a search with the retraining of its pick, a training, or one search with
many seeds. Its record holds a *part* for each search and each training. Nothing here imports torch, and nothing of a
run is changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search import files
from spacec.search.incumbents import medians
from spacec.search.record import RunStore

LEFT_OUT = frozenset(("__pycache__", "node_modules"))
"""Folders that are not looked into, besides hidden ones."""
RESULTS = (("searched", "trained", "test"), ("", "trained", "test"), ("", "derived", "arch"))
"""Where the metrics of a run are looked for: name of the part, subject and split; the first that is there."""


@dataclass(frozen=True)
class MetricInfo:
    """A task's metric, as the record has it."""

    name: str = "loss"
    direction: str = "min"
    unit: str = ""
    digits: int = 4
    help: str = ""

    @staticmethod
    def of(told: Mapping[str, Any]) -> MetricInfo:
        """What the description of a task says of a metric."""
        return MetricInfo(**{k: told[k] for k in ("name", "direction", "unit", "digits", "help") if k in told})

    @property
    def column(self) -> str:
        """Name and unit, as an axis or a column is called."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def better(self, a: float, b: float) -> bool:
        return a > b if self.direction == "max" else a < b

    def text(self, value: float) -> str:
        return f"{value:.{self.digits}f}" + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True)
class Summary:
    """One run in a few facts; ``parts`` as :meth:`RunStore.runs` gives them.

    ``metrics`` are those of the retrained pick on held-out data (``split`` is ``test``), else of what the search found
    (``arch``), in the median of several runs. ``seconds``: from start to end, ``None`` while it runs.
    """

    place: str
    kind: str
    status: str
    parts: Sequence[Mapping[str, Any]] = field(repr=False)
    metric: MetricInfo
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    split: str = ""
    trials: int = 0
    failed: int = 0
    architecture: str = ""
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def first(self) -> Mapping[str, Any]:
        """The part that a run is known by: its search, else its training."""
        return next((p for p in self.parts if p["kind"] == "search"), self.parts[0])

    @property
    def space(self) -> str:
        return str(self.first["space"])

    @property
    def strategy(self) -> str:
        return str(self.first["strategy"].get("name", ""))

    @property
    def task(self) -> str:
        return str(self.first["task"].get("name", ""))

    @property
    def seed(self) -> int:
        return int(self.first["seed"])

    @property
    def started(self) -> float:
        return float(self.first["started"])

    @property
    def seconds(self) -> float | None:
        ends = [part["ended"] for part in self.parts]
        return None if None in ends else float(max(ends) - self.started)


def find_runs(folder: Path) -> Iterator[Path]:
    """``folder`` itself if it holds a run, else those below it, in order of their paths; links are not followed.

    Raises :class:`SpacecError` (E0840) where there is no such folder.
    """
    if not folder.is_dir():
        raise SpacecError(Diagnostic("E0840", f"there is no folder '{folder}'"))
    for where, below, names in os.walk(folder):
        below[:] = sorted(n for n in below if not n.startswith(".") and n not in LEFT_OUT)
        if files.STORE in names or files.STORE_PLACE in names:
            below.clear()
            yield Path(where)


def open_record(run_dir: Path) -> RunStore:
    """The record of a run directory; E0840 where there is none."""
    inside = next(find_runs(run_dir), None)
    if inside != run_dir:
        help = f"a run in it: {inside}" if inside is not None else "name the --out of a search or of a training"
        raise SpacecError(Diagnostic("E0840", f"'{run_dir}' holds no run", help=help))
    return RunStore.of(run_dir, readonly=True)


def parts_in(store: RunStore, place: str, job: str = "") -> list[dict[str, Any]]:
    """The parts of a run, as :meth:`RunStore.runs` gives them; ``job``: which run's, in a database of many.

    Raises :class:`SpacecError` (E0841) where there are none, as of a run that was killed while it started.
    """
    parts = [part for part in store.runs() if not job or part.get("job") == job]
    if not parts:
        raise SpacecError(Diagnostic("E0841", f"'{place}' holds the record of a run that never began"))
    return parts


def summarise(store: RunStore, place: str, parts: Sequence[Mapping[str, Any]]) -> Summary:
    """The facts of the run with these ``parts`` of ``store``."""
    searches = [part for part in parts if part["kind"] == "search"]
    metric = next((MetricInfo.of(m) for p in parts for m in p["task"].get("metrics", ())), MetricInfo())
    ended = next((part for part in reversed(parts) if part["status"] != "done"), parts[-1])
    rows = [row for part in searches for row in store.trials(part["id"])]
    found = [(part, split, values) for part in parts for split, values in _results(store, part)]
    chosen = _chosen(found)
    split = chosen[0][1] if chosen else ""
    best = _best([(part, values) for part, _, values in chosen], metric)
    text, costs = _architecture(store, best or (searches or parts)[0])
    return Summary(
        place=place,
        kind=_kind(parts, searches),
        status=store.status(ended),
        parts=parts,
        metric=metric,
        reason=str(ended["reason"]),
        metrics=medians([values for _, _, values in chosen]),
        split=split,
        trials=len(rows),
        failed=sum(bool(row["error"]) for row in rows),
        architecture=text,
        costs=costs,
    )


def _kind(parts: Sequence[Mapping[str, Any]], searches: Sequence[Mapping[str, Any]]) -> str:
    if not searches:
        return "train"
    if "benchmark" in searches[0]["task"]:
        return "benchmark" if len(searches) == 1 else f"benchmark x{len(searches)}"
    return "search" if len(searches) == len(parts) else "search, train"


Found = tuple[Mapping[str, Any], str, Mapping[str, float]]
"""A part, the split on which it was measured, and its metrics there."""


def _results(store: RunStore, part: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    rows = store.results(part["id"])
    for name, subject, split in RESULTS:
        wanted = (r for r in rows if (r["subject"], r["split"]) == (subject, split))
        values = {r["name"]: r["value"] for r in wanted if r["value"] is not None and "/" not in r["name"]}
        if values and (part["name"] == name or subject == "derived"):
            yield f"{subject} {split}", values


def _chosen(found: Sequence[Found]) -> list[Found]:
    """Of all results those that a run is judged by: on held-out data where there are any."""
    kept = [f for f in found if f[1] == "trained test"] or list(found)
    return [(part, split.split()[1], values) for part, split, values in kept]


def _best(
    found: Sequence[tuple[Mapping[str, Any], Mapping[str, float]]], metric: MetricInfo
) -> Mapping[str, Any] | None:
    """The part whose main metric is best."""
    best: tuple[Mapping[str, Any], float] | None = None
    for part, values in found:
        value = values.get(metric.name)
        if value is not None and (best is None or metric.better(value, best[1])):
            best = (part, value)
    return None if best is None else best[0]


def _architecture(store: RunStore, part: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """What a part found or trained: its last architecture, the best one where it says so."""
    rows = store.architectures(part["id"])
    chosen = [r for r in rows if r["role"] in ("best", "trained")] or rows
    return (chosen[-1]["text"], chosen[-1]["costs"]) if chosen else ("", {})
