"""The run record: one versioned database per run directory, from which every report is made.

A directory's database holds one or more *runs* (a search, the training of its pick, that of a baseline). A
:class:`Recorder` writes one run; :class:`RunStore` opens a database, makes recorders and reads runs back as plain
dicts. The database is a file of the directory, or one of many directories (:mod:`spacec.search.store`).

Rows are keyed by what they measure, so a run that resumes and repeats an epoch replaces its rows by equal ones.
Every failure of the disk is a :class:`~spacec.search.files.StorageError`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from spacec.search.lock import is_locked
from spacec.search.store.backend import Backend, changes, pack
from spacec.search.store.place import open_at, open_of
from spacec.search.store.schema import SCHEMA_VERSION, TABLES, table
from spacec.search.store.sql import Statement, delete, update

Status = Literal["running", "done", "interrupted", "failed"]

CUT_OFF = "cut off"
"""The status of a run that its record calls running and no process writes."""


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
    are moments of the executor's clock.
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


_OF_TRIALS = tuple(f.name for f in fields(TrialRow))


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
    def flush(self) -> None:
        """Write all rows that are held back, in one transaction: then no kill of the process loses them."""
        ...

    def sync(self) -> None:
        """:meth:`flush`, and return when no failure of power loses them either."""
        ...

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
    def sync(self) -> None: ...
    def close(self, status: Status, reason: str = "") -> None: ...


class StoreRecorder:
    """A :class:`Recorder` on an open :class:`RunStore`.

    Rows are written on :meth:`flush`, and measurements also every ``hold`` rows. Trials never bring about a write of
    their own, so that those of one group are written in one transaction.
    """

    def __init__(self, store: RunStore, run: int, hold: int = 500) -> None:
        self.store = store
        self.run = run
        self._hold = hold
        self._rows: list[tuple[str, dict[str, Any]]] = []

    def metric(self, phase: str, epoch: int, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._add("metrics", phase=phase, epoch=epoch, step=step, name=name, value=value)
        self._write_some()

    def probabilities(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None:
        for slot, numbers in values.items():
            self._add("probabilities", epoch=epoch, slot=slot, values=[float(n) for n in numbers])

    def architecture(self, role: str, epoch: int, text: str, costs: Mapping[str, float]) -> None:
        self._add("architectures", role=role, epoch=epoch, text=text, costs=dict(costs))

    def trial(self, row: TrialRow) -> None:
        self._add("trials", **{name: getattr(row, name) for name in _OF_TRIALS})

    def trials(self) -> list[TrialRow]:
        self.flush()
        return [TrialRow(**row) for row in self.store.trials(self.run)]

    def result(self, subject: str, split: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._add("results", subject=subject, split=split, name=name, value=value)

    def reading(self, probe: str, name: str, epoch: int, table: Mapping[tuple[str, ...], float]) -> None:
        for place, value in table.items():
            self._add("readings", probe=probe, name=name, epoch=epoch, place=list(place), value=value)
        self._write_some()

    def event(self, kind: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        self._add("events", time=time.time(), kind=kind, message=message, data=dict(data or {}))

    def flush(self) -> None:
        if self._rows:
            self.store.backend.apply(changes(self._rows))
            self._rows.clear()

    def sync(self) -> None:
        self.flush()
        self.store.backend.sync()

    def close(self, status: Status, reason: str = "") -> None:
        self.flush()
        self.store.mark(self.run, status, reason, time.time())

    def _add(self, table: str, /, **row: Any) -> None:
        self._rows.append((table, {"run": self.run, **row}))

    def _write_some(self) -> None:
        if len(self._rows) >= self._hold:
            self.flush()


class RunStore:
    """A database of runs. Use it in a ``with`` or :meth:`close` it.

    ``place``: a file, the URL of a database, or ``None`` for one in memory; :meth:`of` opens that of a run directory.
    ``job`` is the run directory whose runs are meant, in a database of many; without it all are there to be read.
    A store that is ``readonly`` never changes anything, and opens wherever its files can be read.

    Opening raises :class:`~spacec.search.files.StorageError`: E0810 where the system refuses, E0813 for what is no
    record, E0814 for one of a newer version, E0830 where another process writes the same job, E0831 for a server that
    does not answer.
    """

    def __init__(self, place: Path | str | None, *, job: str = "", readonly: bool = False) -> None:
        self.backend: Backend = open_at(place, job, readonly)
        self.job = job
        self._folder = place.parent if isinstance(place, Path) else None

    @classmethod
    def of(cls, run_dir: Path, url: str = "", readonly: bool = False) -> Self:
        """The store of a run directory; ``url`` is that in its ``store.json``, with a password."""
        store = cls.__new__(cls)
        store.backend, store.job = open_of(run_dir, url, readonly)
        store._folder = run_dir
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.backend.close()

    @property
    def place(self) -> str:
        """Where it is, as it may be shown."""
        return self.backend.place

    @property
    def version(self) -> int:
        """Of the record's tables."""
        return self.backend.version

    # ------------------------------------------------------------------ writing

    def start(self, info: RunInfo) -> StoreRecorder:
        """A new run, with status ``running``."""
        self.backend.bring_up()
        row = {f.name: getattr(info, f.name) for f in fields(info)}
        row = {name: dict(value) if isinstance(value, Mapping) else value for name, value in row.items()}
        run = self.backend.add(table("runs"), {**row, "status": "running", "started": time.time(), "job": self.job})
        return StoreRecorder(self, run)

    def reopen(self, kind: str, name: str = "") -> StoreRecorder | None:
        """The latest run of a kind and name, running again; ``None`` if there is none."""
        found = self._runs({"kind": kind, "name": name})
        if not found:
            return None
        self.backend.bring_up()
        self.mark(found[-1]["id"], "running", "", None)
        return StoreRecorder(self, found[-1]["id"])

    def mark(self, run: int, status: Status, reason: str, ended: float | None) -> None:
        """How a run goes, or ended."""
        columns = {"status": status, "reason": reason, "ended": ended}
        runs = table("runs")
        self.backend.apply([Statement(update(runs, columns, ("id",)), [pack(runs, {**columns, "id": run})])])

    def discard(self) -> None:
        """Take back every run that is here (of the job)."""
        rows = [{"run": run["id"]} for run in self.runs()]
        parts = [t for t in TABLES if t.name != "runs"]
        whole = Statement(delete(table("runs"), ("id",)), [{"id": row["run"]} for row in rows])
        if rows:
            self.backend.apply([*(Statement(delete(part, ("run",)), rows) for part in parts), whole])

    # ------------------------------------------------------------------ reading

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        return self._runs({})

    def status(self, run: Mapping[str, Any]) -> str:
        """The status of one of :meth:`runs`; ``cut off`` for one that is called running and that no process writes."""
        if run["status"] != "running":
            return str(run["status"])
        alive = self.backend.alive()
        if alive is not None:
            return "running" if (run.get("job") or self.job) in alive else CUT_OFF
        return "running" if self._folder is not None and is_locked(self._folder) else CUT_OFF

    def metrics(self, run: int, phase: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
        """Rows ``phase, epoch, step, name, value`` in order of time."""
        wanted = {k: v for k, v in (("phase", phase), ("name", name)) if v is not None}
        rows = self.backend.select("metrics", {"run": run, **wanted}, ("phase", "epoch", "step", "name"))
        return [{k: {**row, **wanted}[k] for k in ("phase", "epoch", "step", "name", "value")} for row in rows]

    def probabilities(self, run: int) -> list[dict[str, Any]]:
        """Rows ``epoch, slot, values``."""
        return self.backend.select("probabilities", {"run": run}, ("epoch", "slot"))

    def architectures(self, run: int) -> list[dict[str, Any]]:
        """Rows ``role, epoch, text, costs``."""
        return self.backend.select("architectures", {"run": run}, ("role", "epoch"))

    def trials(self, run: int) -> list[dict[str, Any]]:
        """Rows with the fields of :class:`TrialRow`, by number."""
        return self.backend.select("trials", {"run": run}, ("number",))

    def results(self, run: int) -> list[dict[str, Any]]:
        """Rows ``subject, split, name, value``."""
        return self.backend.select("results", {"run": run}, ("subject", "split", "name"))

    def readings(self, run: int, probe: str | None = None) -> list[dict[str, Any]]:
        """Rows ``probe, name, epoch, place, value`` of what probes measured."""
        rows = self.backend.select("readings", {"run": run}, ("probe", "name", "epoch", "place"))
        return [{**row, "place": tuple(row["place"])} for row in rows if probe in (None, row["probe"])]

    def events(self, run: int) -> list[dict[str, Any]]:
        """Rows ``time, kind, message, data``, oldest first."""
        rows = self.backend.select("events", {"run": run}, ("id",))
        return [{k: v for k, v in row.items() if k != "id"} for row in rows]

    def export(self) -> dict[str, Any]:
        """The whole database as JSON-ready values."""
        parts = ("metrics", "probabilities", "architectures", "trials", "results", "readings", "events")
        runs = [{**run, **{part: getattr(self, part)(run["id"]) for part in parts}} for run in self.runs()]
        return {"version": SCHEMA_VERSION, "runs": runs}

    def _runs(self, where: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of ``runs`` with all columns, of this job only where there is one."""
        wanted = {**where, "job": self.job} if self.job else dict(where)
        return [{**row, **wanted} for row in self.backend.select("runs", wanted, ("id",))]
