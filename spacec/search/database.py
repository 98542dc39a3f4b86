"""The file of a run record: its tables, its versions, and transactions on it.

Every failure of the disk is a :class:`~spacec.search.files.StorageError`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spacec.diagnostics.model import Diagnostic
from spacec.search.files import StorageError

SCHEMA_VERSION = 3
"""2 added ``readings``, 3 columns of trials. A record of an earlier version is brought up when it is opened."""

_SCHEMA = """
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  started REAL NOT NULL, ended REAL, seed INTEGER NOT NULL, space TEXT NOT NULL, digest TEXT NOT NULL,
  grammar TEXT NOT NULL, grammar_sha256 TEXT NOT NULL, header TEXT NOT NULL, task TEXT NOT NULL,
  strategy TEXT NOT NULL, config TEXT NOT NULL, versions TEXT NOT NULL, environment TEXT NOT NULL);
CREATE TABLE metrics (
  run INTEGER NOT NULL REFERENCES runs(id), phase TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL,
  name TEXT NOT NULL, value REAL, PRIMARY KEY (run, phase, name, epoch, step)) WITHOUT ROWID;
CREATE TABLE probabilities (
  run INTEGER NOT NULL REFERENCES runs(id), epoch INTEGER NOT NULL, slot TEXT NOT NULL, "values" TEXT NOT NULL,
  PRIMARY KEY (run, epoch, slot)) WITHOUT ROWID;
CREATE TABLE architectures (
  run INTEGER NOT NULL REFERENCES runs(id), role TEXT NOT NULL, epoch INTEGER NOT NULL, text TEXT NOT NULL,
  costs TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (run, role, epoch)) WITHOUT ROWID;
CREATE TABLE trials (
  run INTEGER NOT NULL REFERENCES runs(id), number INTEGER NOT NULL, architecture TEXT NOT NULL, weights TEXT NOT NULL,
  budget INTEGER, batches INTEGER, split TEXT NOT NULL, keep INTEGER NOT NULL, resume INTEGER, tag TEXT NOT NULL,
  status TEXT NOT NULL, asked REAL NOT NULL, told INTEGER, metrics TEXT NOT NULL, costs TEXT NOT NULL,
  seconds REAL NOT NULL, finished REAL, worker TEXT NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL,
  traceback TEXT NOT NULL, PRIMARY KEY (run, number)) WITHOUT ROWID;
CREATE TABLE results (
  run INTEGER NOT NULL REFERENCES runs(id), subject TEXT NOT NULL, split TEXT NOT NULL, name TEXT NOT NULL, value REAL,
  PRIMARY KEY (run, subject, split, name)) WITHOUT ROWID;
CREATE TABLE readings (
  run INTEGER NOT NULL REFERENCES runs(id), probe TEXT NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,
  place TEXT NOT NULL, value REAL, PRIMARY KEY (run, probe, name, epoch, place)) WITHOUT ROWID;
CREATE TABLE events (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id), time REAL NOT NULL, kind TEXT NOT NULL,
  message TEXT NOT NULL, data TEXT NOT NULL DEFAULT '{}');
"""

_READINGS, _TRIALS = (
    next(statement for statement in _SCHEMA.split(";\n") if f"CREATE TABLE {table}" in statement)
    for table in ("readings", "trials")
)
_STEPS: dict[int, tuple[str, ...]] = {
    1: (_READINGS,),
    2: (
        "ALTER TABLE trials RENAME TO trials_2",
        _TRIALS,
        """INSERT INTO trials SELECT run, number, architecture, weights, budget, NULL, 'arch', 0, NULL, 'null',
        CASE error WHEN '' THEN 'done' ELSE 'failed' END, 0, number, metrics, '{}', seconds, NULL, '', 1, error, ''
        FROM trials_2""",
        "DROP TABLE trials_2",
    ),
}
"""What brings a record of each version to the next."""


class Database:
    """An open record of version ``version``; a new file gets the tables. Raises E0814 for a version of the future.

    ``path`` of ``None`` keeps it in memory. Use it in a ``with`` or :meth:`close` it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        with _database_errors(path):
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self.version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        if self.version == 0:
            self._build(*_SCHEMA.split(";\n"))
        elif not 1 <= self.version <= SCHEMA_VERSION:
            version = self.version
            self._db.close()
            headline = f"'{path}' has record version {version}, this spacec reads version {SCHEMA_VERSION}"
            raise StorageError(Diagnostic("E0814", headline))
        for version in range(self.version, SCHEMA_VERSION):
            self._build(*_STEPS[version])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All statements of the body or none of them."""
        with _database_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _build(self, *statements: str) -> None:
        with self.transaction() as db:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self.version = SCHEMA_VERSION

    def rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """What a query gives, by column."""
        with _database_errors(self.path):
            cursor = self._db.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


@contextmanager
def _database_errors(path: Path | None) -> Iterator[None]:
    """E0810 for a disk that refuses, E0813 for a file that is no database."""
    try:
        yield
    except sqlite3.OperationalError as error:
        why = "the disk is full" if "full" in str(error) else str(error)
        raise StorageError(Diagnostic("E0810", f"cannot write '{path}': {why}")) from error
    except sqlite3.DatabaseError as error:
        raise StorageError(Diagnostic("E0813", f"'{path}' is not a run record: {error}")) from error
