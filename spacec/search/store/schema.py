"""The tables of a run record, as data: every column with its kind, its meaning, and the version that brought it.

Statements, migrations, the reading of older records and the documentation are all made of this. A version may add
tables and columns (with a default for older rows) and never takes any away; what older rows get beyond defaults is in
:data:`FILLED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 3
"""1: the first. 2: ``readings``. 3: trials in flight and in parallel, and many run directories in one database."""

Kind = Literal["integer", "real", "text", "json", "flag"]
"""``json`` is kept as text, ``flag`` (true or false) as 0 or 1."""

REQUIRED = object()
"""In the place of a default: every row has a value of its own."""


@dataclass(frozen=True)
class Column:
    """``default``: of rows from before ``since``; ``None`` means that the column may be empty."""

    name: str
    kind: Kind
    help: str
    default: Any = REQUIRED
    since: int = 1


@dataclass(frozen=True)
class Table:
    """``key``: the primary key; of the key ``id`` alone, the database counts."""

    name: str
    help: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    since: int = 1

    def at(self, version: int) -> tuple[Column, ...]:
        """Its columns in a record of ``version``."""
        return tuple(c for c in self.columns if c.since <= version)

    @property
    def numbered(self) -> bool:
        return self.key == ("id",)


_RUN = Column("run", "integer", "the run it belongs to (runs.id)")

RUNS = Table(
    "runs",
    "one row a search or a training: all that repeating it needs",
    (
        Column("id", "integer", "number of the run in this database"),
        Column("kind", "text", "search or train"),
        Column("name", "text", "tells several runs of a kind in one directory apart"),
        Column("status", "text", "running, done, interrupted or failed"),
        Column("reason", "text", "why it was interrupted or failed", ""),
        Column("started", "real", "seconds since 1970"),
        Column("ended", "real", "seconds since 1970", None),
        Column("seed", "integer", "seed of everything random"),
        Column("space", "text", "name of the space"),
        Column("digest", "text", "hash of the space's decisions, the first part of every architecture's text"),
        Column("grammar", "text", "the grammar, whole"),
        Column("grammar_sha256", "text", "hash of the grammar's text"),
        Column("header", "json", "the grammar's parameters, by name"),
        Column("task", "json", "name, options and metrics of the task or benchmark"),
        Column("strategy", "json", "name and options of the strategy"),
        Column("config", "json", "settings of the search or the training"),
        Column("versions", "json", "versions of Python, torch, spacec and of the plugins that took part"),
        Column("environment", "json", "platform, processors, threads, device"),
        Column("job", "text", "the run directory it belongs to: an id, as in its store.json", "", 3),
    ),
    ("id",),
)
METRICS = Table(
    "metrics",
    "measured values at a moment",
    (
        _RUN,
        Column("phase", "text", "search, train or valid"),
        Column("epoch", "integer", "epoch, from 0"),
        Column("step", "integer", "step in the epoch; -1 for a value of the whole epoch"),
        Column("name", "text", "name of the metric"),
        Column("value", "real", "empty where it was no number", None),
    ),
    ("run", "phase", "name", "epoch", "step"),
)
PROBABILITIES = Table(
    "probabilities",
    "probabilities of the candidates of a slot at the end of an epoch",
    (
        _RUN,
        Column("epoch", "integer", "epoch, from 0"),
        Column("slot", "text", "id of the slot"),
        Column("values", "json", "a number for each candidate"),
    ),
    ("run", "epoch", "slot"),
)
ARCHITECTURES = Table(
    "architectures",
    "architectures that a run found or trained",
    (
        _RUN,
        Column("role", "text", "derived (after an epoch), best, trained"),
        Column("epoch", "integer", "epoch, from 0; -1 for the run's answer"),
        Column("text", "text", "the architecture"),
        Column("costs", "json", "costs by name: params, macs", {}),
    ),
    ("run", "role", "epoch"),
)
TRIALS = Table(
    "trials",
    "trials, written when they are asked for and again when they are rated",
    (
        _RUN,
        Column("number", "integer", "order of asking, from 0"),
        Column("architecture", "text", "the architecture"),
        Column("weights", "text", "shared (the supernet's) or standalone (trained alone)"),
        Column("budget", "integer", "epochs of training in all", None),
        Column("metrics", "json", "what it was rated, by metric"),
        Column("seconds", "real", "how long its rating took, or would have taken"),
        Column("error", "text", "why it failed", ""),
        Column("batches", "integer", "most batches that shared weights were rated on", None, 3),
        Column("split", "text", "the data it was rated on", "arch", 3),
        Column("keep", "flag", "whether its training is kept, in trials/NUMBER.pt", False, 3),
        Column("resume", "integer", "number of the trial whose training it goes on with", None, 3),
        Column("tag", "json", "data of the strategy", None, 3),
        Column("status", "text", "running, done or failed", "done", 3),
        Column("asked", "real", "when it was asked for, on the executor's clock", 0.0, 3),
        Column("told", "integer", "which group of results, from 0, the strategy was told it with", None, 3),
        Column("costs", "json", "costs by name", {}, 3),
        Column("finished", "real", "when its rating was there, on the executor's clock", None, 3),
        Column("worker", "text", "where it was rated", "", 3),
        Column("attempts", "integer", "how many times it was begun", 1, 3),
        Column("traceback", "text", "where in the code it failed", "", 3),
    ),
    ("run", "number"),
)
RESULTS = Table(
    "results",
    "final numbers of a subject",
    (
        _RUN,
        Column("subject", "text", "derived, trained, or the name of a baseline"),
        Column("split", "text", "arch, valid or test"),
        Column("name", "text", "metric, or METRIC/SAMPLE for one sample"),
        Column("value", "real", "empty where it was no number", None),
    ),
    ("run", "subject", "split", "name"),
)
READINGS = Table(
    "readings",
    "what probes measured",
    (
        _RUN,
        Column("probe", "text", "name of the probe"),
        Column("name", "text", "name of its table"),
        Column("epoch", "integer", "epoch, from 0"),
        Column("place", "json", "cell, edge, candidate: a list of names"),
        Column("value", "real", "empty where it was no number", None),
    ),
    ("run", "probe", "name", "epoch", "place"),
    since=2,
)
EVENTS = Table(
    "events",
    "what happened, in order",
    (
        Column("id", "integer", "order"),
        _RUN,
        Column("time", "real", "seconds since 1970"),
        Column("kind", "text", "command, subject, slots, probe and others"),
        Column("message", "text", "for a person"),
        Column("data", "json", "for a program", {}),
    ),
    ("id",),
)

TABLES = (RUNS, METRICS, PROBABILITIES, ARCHITECTURES, TRIALS, RESULTS, READINGS, EVENTS)

FILLED: dict[int, tuple[str, ...]] = {
    3: (
        """UPDATE "trials" SET "status" = 'failed' WHERE "error" <> ''""",
        """UPDATE "trials" SET "told" = "number" """,  # each was told by itself
    )
}
"""What rows from before a version get, beyond the defaults of its columns."""


def table(name: str) -> Table:
    return next(t for t in TABLES if t.name == name)


def tables_at(version: int) -> tuple[Table, ...]:
    """The tables of a record of ``version``."""
    return tuple(t for t in TABLES if t.since <= version)
