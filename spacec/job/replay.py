"""Repeating a run from its recipe, and what differs: where it ran, and what it found.

Results are compared as they were recorded, bit for bit, in the order in which a run makes them; times of the clock,
which no repetition shares, are left out. A run that was cut off is compared as far as it went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacec.search import files
from spacec.search.catalogue import open_record
from spacec.search.record import RunStore

Row = Mapping[str, Any]
Key = tuple[Any, ...]

TIMES = ("asked", "finished", "seconds", "worker", "attempts", "traceback")
"""What a trial's row says of when and where it was rated."""


@dataclass(frozen=True)
class Difference:
    """One value that the two runs do not share; ``None`` stands for a row that one of them lacks."""

    place: str
    then: Any
    now: Any


@dataclass(frozen=True)
class Compared:
    """How many ``rows`` of the first run were compared, and the first difference of each part and table."""

    rows: int
    circumstances: Sequence[Difference]
    results: Sequence[Difference]


def compare_runs(before: Path, after: Path) -> Compared:
    """What the record in ``after`` says otherwise than that in ``before``."""
    circumstances: dict[str, Difference] = {}
    results: list[Difference] = []
    rows = 0
    with open_record(before) as old, open_record(after) as new:
        others = {(part["kind"], part["name"]): part for part in new.runs()}
        for part in old.runs():
            label = part["name"] or part["kind"]
            other = others.get((part["kind"], part["name"]))
            if other is None:
                results.append(Difference(label, part["status"], None))
                continue
            for found in _circumstances(part, other):
                circumstances.setdefault(found.place, found)
            whole = part["status"] == "done"
            for table, read in TABLES:
                a, b = read(old, part["id"]), read(new, other["id"])
                rows += len(a)
                first = next(_differing(f"{label}, {table}", a, b, whole), None)
                results.extend([first] if first is not None else [])
    return Compared(rows, tuple(circumstances.values()), tuple(results))


def _circumstances(then: Row, now: Row) -> Iterator[Difference]:
    for column in ("versions", "environment"):
        for name in dict.fromkeys((*then[column], *now[column])):
            a, b = then[column].get(name), now[column].get(name)
            if a != b:
                yield Difference(name.replace("_", " "), a, b)


def _differing(place: str, then: Mapping[Key, Any], now: Mapping[Key, Any], whole: bool) -> Iterator[Difference]:
    """In the order of the rows; of a run that was cut off, rows that only the repetition has are no difference."""
    for key in dict.fromkeys((*then, *now)):
        if key not in then and not whole:
            continue
        a, b = then.get(key), now.get(key)
        if not _same(a, b):
            yield Difference(f"{place} {' '.join(map(str, key))}", a, b)


def _same(a: Any, b: Any) -> bool:
    """Equal, where a NaN equals a NaN."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b) or (a != a and b != b)


def _trials(store: RunStore, run: int) -> dict[Key, Any]:
    rows = store.trials(run)
    return {(r["number"],): {k: v for k, v in r.items() if k not in TIMES} for r in rows if r["told"] is not None}


def _metrics(store: RunStore, run: int) -> dict[Key, Any]:
    rows = sorted(store.metrics(run), key=lambda r: (r["epoch"], r["step"] < 0, r["step"]))
    return {(r["phase"], "epoch", r["epoch"], "step", r["step"], r["name"]): r["value"] for r in rows}


def _probabilities(store: RunStore, run: int) -> dict[Key, Any]:
    return {("epoch", r["epoch"], r["slot"]): r["values"] for r in store.probabilities(run)}


def _architectures(store: RunStore, run: int) -> dict[Key, Any]:
    rows = sorted(store.architectures(run), key=lambda r: (r["epoch"] < 0, r["epoch"]))
    return {(r["role"], "epoch", r["epoch"]): {"text": r["text"], "costs": r["costs"]} for r in rows}


def _results(store: RunStore, run: int) -> dict[Key, Any]:
    return {(r["subject"], r["split"], r["name"]): r["value"] for r in store.results(run)}


def _readings(store: RunStore, run: int) -> dict[Key, Any]:
    return {(r["probe"], r["name"], "epoch", r["epoch"], *r["place"]): r["value"] for r in store.readings(run)}


TABLES: tuple[tuple[str, Callable[[RunStore, int], dict[Key, Any]]], ...] = (
    ("metrics", _metrics),
    ("probabilities", _probabilities),
    ("trials", _trials),
    ("architectures", _architectures),
    ("readings", _readings),
    ("results", _results),
)


def take_schedules(before: Path, out: Path) -> None:
    """Let the repetition run its supernets by the schedules that the run chose, since a choice by measuring may differ.

    Raises :class:`SpacecError` (E0815) where ``out`` holds a run.
    """
    if (before / files.SCHEDULES).is_file():
        files.make_run_directory(out)
        files.write_json(out / files.SCHEDULES, files.read_json(before / files.SCHEDULES))
