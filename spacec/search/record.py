"""The run record: one versioned database per run directory, from which every report is made.

A directory's database holds one or more *runs* (a search, the training of its pick, that of a baseline). A
:class:`Recorder` writes one run; :class:`RunStore` opens a database, makes recorders and reads runs back as plain
dicts. SQLite is the first store (:mod:`spacec.search.database`); another one implements the same two interfaces.

Rows are keyed by what they measure, so a run that resumes and repeats an epoch replaces its rows by equal ones.
Every failure of the disk is a :class:`~spacec.search.files.StorageError`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

from spacec.search.database import SCHEMA_VERSION, Database

Status = Literal["running", "done", "interrupted", "failed"]

_JSON_COLUMNS = ("header", "task", "strategy", "config", "versions", "environment")


@dataclass(frozen=True)
class RunInfo:
    """What is known of a run when it starts; everything that repeating it needs."""

    kind: Literal["search", "train"]
    seed: int
    space: str
    digest: str
    grammar: str
    grammar_sha256: str
    name: str = ""
    """Tells several runs of one kind apart: ``"best"``, ``"random baseline"``."""
    header: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    strategy: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialRow:
    """A trial as the record keeps it. It is written when it was asked for, and again when its rating is there.

    ``told``: which telling of results, counted from 0, it was part of; ``None`` until then. ``asked`` and ``finished``
    are moments of the executor's clock. ``state``: whether its training is kept.
    """

    number: int
    architecture: str
    weights: str = "standalone"
    budget: int | None = None
    batches: int | None = None
    split: str = "arch"
    keep: bool = False
    resume: int | None = None
    tag: Any = None
    status: Literal["running", "done", "failed"] = "running"
    asked: float = 0.0
    told: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    finished: float | None = None
    worker: str = ""
    attempts: int = 1
    error: str = ""
    traceback: str = ""


TRIAL_COLUMNS = tuple(f.name for f in fields(TrialRow))
_JSON_OF_TRIALS = ("tag", "metrics", "costs")


class Recorder(Protocol):
    """Writes one run. Rows may be held back until :meth:`flush`."""

    def metric(self, phase: str, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Measured values at a moment; ``step`` is -1 for a value of the whole epoch."""
        ...

    def probabilities(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None:
        """Slot probabilities at the end of an epoch."""
        ...

    def architecture(self, role: str, epoch: int, text: str, costs: Mapping[str, float]) -> None:
        """``role``: ``derived`` (by epoch), ``best``, ``trained``, ``baseline``…"""
        ...

    def trial(self, row: TrialRow) -> None:
        """A trial, in place of what was recorded under its number."""
        ...

    def trials(self) -> list[TrialRow]:
        """The trials that were recorded, by number."""
        ...

    def result(self, subject: str, split: str, values: Mapping[str, float]) -> None:
        """Final numbers of a subject (``derived``, ``random``, ``gaussian blur``) on a split."""
        ...

    def reading(self, probe: str, name: str, epoch: int, table: Mapping[tuple[str, ...], float]) -> None:
        """A table of numbers that a probe measured; the keys are places (cell, edge, candidate)."""
        ...

    def event(self, kind: str, message: str, data: Mapping[str, Any] | None = None) -> None: ...
    def flush(self) -> None: ...
    def close(self, status: Status, reason: str = "") -> None: ...


class NullRecorder:
    """Keeps nothing: for fits inside a search and for calls without a directory."""

    def metric(self, phase: str, epoch: int, step: int, values: Mapping[str, float]) -> None: ...
    def probabilities(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None: ...
    def architecture(self, role: str, epoch: int, text: str, costs: Mapping[str, float]) -> None: ...
    def trial(self, row: TrialRow) -> None: ...
    def trials(self) -> list[TrialRow]:
        return []

    def result(self, subject: str, split: str, values: Mapping[str, float]) -> None: ...
    def reading(self, probe: str, name: str, epoch: int, table: Mapping[tuple[str, ...], float]) -> None: ...
    def event(self, kind: str, message: str, data: Mapping[str, Any] | None = None) -> None: ...
    def flush(self) -> None: ...
    def close(self, status: Status, reason: str = "") -> None: ...


class SqliteRecorder:
    """A :class:`Recorder` on an open :class:`RunStore`; rows are written every ``hold`` of them and on flush."""

    def __init__(self, store: RunStore, run: int, hold: int = 500) -> None:
        self.store = store
        self.run = run
        self._hold = hold
        self._rows: list[tuple[str, tuple[Any, ...]]] = []

    def metric(self, phase: str, epoch: int, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._add("metrics", (self.run, phase, epoch, step, name, float(value)))

    def probabilities(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None:
        for slot, numbers in values.items():
            self._add("probabilities", (self.run, epoch, slot, json.dumps([float(n) for n in numbers])))

    def architecture(self, role: str, epoch: int, text: str, costs: Mapping[str, float]) -> None:
        self._add("architectures", (self.run, role, epoch, text, json.dumps(dict(costs))))

    def trial(self, row: TrialRow) -> None:
        values = [getattr(row, name) for name in TRIAL_COLUMNS]
        packed = (json.dumps(v) if n in _JSON_OF_TRIALS else v for n, v in zip(TRIAL_COLUMNS, values, strict=True))
        self._add("trials", (self.run, *packed))

    def trials(self) -> list[TrialRow]:
        self.flush()
        return [TrialRow(**row) for row in self.store.trials(self.run)]

    def result(self, subject: str, split: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._add("results", (self.run, subject, split, name, float(value)))

    def reading(self, probe: str, name: str, epoch: int, table: Mapping[tuple[str, ...], float]) -> None:
        for place, value in table.items():
            self._add("readings", (self.run, probe, name, epoch, json.dumps(place), float(value)))

    def event(self, kind: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        self._add("events", (None, self.run, time.time(), kind, message, json.dumps(dict(data or {}))))

    def flush(self) -> None:
        with self.store.transaction() as db:
            for table, row in self._rows:
                marks = ",".join("?" * len(row))
                db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)
        self._rows.clear()

    def close(self, status: Status, reason: str = "") -> None:
        self.flush()
        with self.store.transaction() as db:
            db.execute(
                "UPDATE runs SET status = ?, reason = ?, ended = ? WHERE id = ?",
                (status, reason, time.time(), self.run),
            )

    def _add(self, table: str, row: tuple[Any, ...]) -> None:
        self._rows.append((table, row))
        if len(self._rows) >= self._hold:
            self.flush()


class RunStore(Database):
    """A database of runs. ``path`` of ``None`` keeps it in memory. Use it in a ``with`` or :meth:`close` it."""

    def start(self, info: RunInfo) -> SqliteRecorder:
        """A new run, with status ``running``."""
        values: dict[str, Any] = {
            "kind": info.kind, "name": info.name, "status": "running", "started": time.time(), "seed": info.seed,
            "space": info.space, "digest": info.digest, "grammar": info.grammar, "grammar_sha256": info.grammar_sha256,
        }  # fmt: skip
        values |= {name: json.dumps(dict(getattr(info, name))) for name in _JSON_COLUMNS}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        with self.transaction() as db:
            run = db.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", tuple(values.values())).lastrowid
        assert run is not None
        return SqliteRecorder(self, run)

    def reopen(self, kind: str, name: str = "") -> SqliteRecorder | None:
        """The latest run of a kind and name, running again; ``None`` if there is none."""
        found = self.rows("SELECT max(id) AS id FROM runs WHERE kind = ? AND name = ?", (kind, name))[0]["id"]
        if found is None:
            return None
        with self.transaction() as db:
            db.execute("UPDATE runs SET status = 'running', reason = '', ended = NULL WHERE id = ?", (found,))
        return SqliteRecorder(self, found)

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first, JSON columns decoded."""
        rows = self.rows("SELECT * FROM runs ORDER BY id")
        return [{k: json.loads(v) if k in _JSON_COLUMNS else v for k, v in row.items()} for row in rows]

    def metrics(self, run: int, phase: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
        """Rows ``phase, epoch, step, name, value`` in order of time."""
        where, values = "run = ?", list[Any]([run])
        for column, wanted in (("phase", phase), ("name", name)):
            if wanted is not None:
                where, values = f"{where} AND {column} = ?", [*values, wanted]
        sql = f"SELECT phase, epoch, step, name, value FROM metrics WHERE {where} ORDER BY phase, epoch, step, name"
        return self.rows(sql, tuple(values))

    def probabilities(self, run: int) -> list[dict[str, Any]]:
        """Rows ``epoch, slot, values``."""
        rows = self.rows('SELECT epoch, slot, "values" FROM probabilities WHERE run = ? ORDER BY epoch, slot', (run,))
        return [{**row, "values": json.loads(row["values"])} for row in rows]

    def architectures(self, run: int) -> list[dict[str, Any]]:
        """Rows ``role, epoch, text, costs``."""
        sql = "SELECT role, epoch, text, costs FROM architectures WHERE run = ? ORDER BY role, epoch"
        return [{**row, "costs": json.loads(row["costs"])} for row in self.rows(sql, (run,))]

    def trials(self, run: int) -> list[dict[str, Any]]:
        """Rows with the columns of :class:`TrialRow`, by number."""
        rows = self.rows(f"SELECT {', '.join(TRIAL_COLUMNS)} FROM trials WHERE run = ? ORDER BY number", (run,))
        return [{**row, "keep": bool(row["keep"]), **{n: json.loads(row[n]) for n in _JSON_OF_TRIALS}} for row in rows]

    def results(self, run: int) -> list[dict[str, Any]]:
        """Rows ``subject, split, name, value``."""
        sql = "SELECT subject, split, name, value FROM results WHERE run = ? ORDER BY subject, split, name"
        return self.rows(sql, (run,))

    def readings(self, run: int, probe: str | None = None) -> list[dict[str, Any]]:
        """Rows ``probe, name, epoch, place, value`` of what probes measured."""
        only, values = ("AND probe = ?", (run, probe)) if probe is not None else ("", (run,))
        sql = f"SELECT probe, name, epoch, place, value FROM readings WHERE run = ? {only} ORDER BY probe, name, epoch"
        return [{**row, "place": tuple(json.loads(row["place"]))} for row in self.rows(sql, values)]

    def events(self, run: int) -> list[dict[str, Any]]:
        """Rows ``time, kind, message, data``, oldest first."""
        rows = self.rows("SELECT time, kind, message, data FROM events WHERE run = ? ORDER BY id", (run,))
        return [{**row, "data": json.loads(row["data"])} for row in rows]

    def export(self) -> dict[str, Any]:
        """The whole database as JSON-ready values."""
        parts = ("metrics", "probabilities", "architectures", "trials", "results", "readings", "events")
        runs = [{**run, **{part: getattr(self, part)(run["id"]) for part in parts}} for run in self.runs()]
        return {"version": SCHEMA_VERSION, "runs": runs}
