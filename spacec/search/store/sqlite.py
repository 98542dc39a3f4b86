"""A run record in a file: SQLite, as Python brings it along.

A file that is written has a write-ahead log beside it (``run.sqlite-wal``, ``run.sqlite-shm``): whatever kills the
writer, the next one to open it finds every transaction whole, and readers never wait. Closing folds the log into the
file. A file system that cannot share memory gets SQLite's rollback journal instead.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic
from spacec.search.files import StorageError, storage_errors
from spacec.search.store.backend import Backend, no_record, of_the_future, pack
from spacec.search.store.schema import SCHEMA_VERSION, Table
from spacec.search.store.sql import SQLITE, Row, Statement, create, insert, migrate

APPLICATION = 0x73706163
"""``spac``: what marks a file as ours since version 3."""

WAIT = 30.0
"""Seconds to wait for another process's transaction."""

_MARK = "SELECT count(*) FROM pragma_table_info('runs') WHERE name IN ('digest', 'grammar_sha256')"
"""Two for a record of any version."""

_RUNNING = "SELECT type FROM sqlite_master WHERE type NOT IN ('table', 'index') LIMIT 1"
"""What a record never has: a view or a trigger of whoever made the file would run when it is read or written."""

_REFUSED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""What opening for reading meets where nothing can be made beside the file."""


class Sqlite(Backend):
    """``path`` of ``None`` keeps the record in memory; ``readonly`` changes nothing on the disk, whatever is there."""

    def __init__(self, path: Path | None, readonly: bool = False) -> None:
        self.place = str(path or "memory")
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._writing = False
        with _errors(self.place, "read" if readonly else "write"):
            self._db = self._opened(path) if readonly and path is not None else _connect(path or ":memory:")
            try:
                self._look(readonly)
            except BaseException:
                self._db.close()
                raise

    def _opened(self, path: Path) -> sqlite3.Connection:
        """A connection that reads, also where the folder cannot be written and where a killed writer left its log."""
        with storage_errors(path, "read"):
            path.open("rb").close()
        log = path.with_name(f"{path.name}-wal")
        with suppress(_Refused):
            return _read(path, "mode=ro")
        if not (log.exists() and log.stat().st_size):
            with suppress(_Refused):
                return _read(path, "mode=ro&immutable=1")
        self._copy = tempfile.TemporaryDirectory(prefix="spacec-")
        copy = Path(self._copy.name) / path.name
        with storage_errors(path, "read"):
            for file in (path, log):
                shutil.copyfile(file, copy.with_name(file.name))
        return _connect(copy)

    def _look(self, readonly: bool) -> None:
        """Whose file it is; one that is empty gets the tables."""
        self._db.execute("PRAGMA trusted_schema = OFF")
        self._db.execute("BEGIN")  # another process may be making the tables: all is read at one moment
        empty = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        self.version = self._db.execute("PRAGMA user_version").fetchone()[0]
        ours = self._db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        self._db.execute("COMMIT")
        if empty and not self.version and not readonly:
            self._build(create(SQLITE, SCHEMA_VERSION), SCHEMA_VERSION)
        elif empty and not self.version:
            return  # a record that was begun, or is just being begun: nothing is in it
        elif kind := self._db.execute(_RUNNING).fetchone():
            raise no_record(self.place, f"it has a {kind[0]}")
        elif not ours and self._db.execute(_MARK).fetchone()[0] != 2:
            raise no_record(self.place, "it is a database of another program")
        elif not 1 <= self.version <= SCHEMA_VERSION:
            raise of_the_future(self.place, self.version)

    def apply(self, statements: Sequence[Statement]) -> None:
        with self._transaction() as db:
            for statement in statements:
                db.executemany(statement.sql, statement.rows)

    def add(self, table: Table, row: Row) -> int:
        with self._transaction() as db:
            number = db.execute(insert(table, row), pack(table, row)).lastrowid
        assert number is not None, "a row was inserted"
        return number

    def query(self, sql: str, values: Row) -> list[tuple[Any, ...]]:
        with _errors(self.place, "read"):
            return self._db.execute(sql, values).fetchall()

    def bring_up(self) -> None:
        for version in range(self.version + 1, SCHEMA_VERSION + 1):
            self._build(migrate(SQLITE, version), version)

    def sync(self) -> None:
        with _errors(self.place, "write"):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def alive(self) -> None:
        """The lock of the run directory says it."""

    def close(self) -> None:
        if self._writing:  # a file alone can be read from any disk; where others read it just now, the log stays
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA busy_timeout = 0")
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
        if self._copy is not None:
            self._copy.cleanup()

    def _build(self, statements: Sequence[str], version: int) -> None:
        """Take the record to ``version``, unless another process has just done so."""
        with self._transaction() as db:
            if db.execute("PRAGMA user_version").fetchone()[0] < version:
                for statement in statements:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION}")
                db.execute(f"PRAGMA user_version = {version}")
        self.version = version

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All statements of the body or none of them."""
        with _errors(self.place, "write"):
            if not self._writing:
                log_ahead(self._db)
                self._writing = True
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def log_ahead(db: sqlite3.Connection) -> None:
    """Write ahead, where the file system lets SQLite; each transaction on the disk at once where it does not."""
    try:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN):
            raise
        mode = db.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    db.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")


def _connect(path: Path | str, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=WAIT, uri=uri)


class _Refused(Exception):
    """The system did not let the file be opened in this way."""


def _read(path: Path, how: str) -> sqlite3.Connection:
    try:
        db = _connect(f"{path.absolute().as_uri()}?{how}", uri=True)
    except sqlite3.OperationalError as error:
        raise _Refused from error
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        db.close()
        if error.sqlite_errorcode & 0xFF in _REFUSED:
            raise _Refused from error
        raise
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


@contextmanager
def _errors(place: str, action: str) -> Iterator[None]:
    """E0810 for a disk that refuses, E0813 for a file that is no record."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise _refused(place, action, "the disk is full", "free some space") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _refused(place, action, "another process is writing it", "") from error
        if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise no_record(place, str(error)) from error
        raise _refused(place, action, str(error), "") from error


def _refused(place: str, action: str, why: str, help: str) -> StorageError:
    return StorageError(Diagnostic("E0810", f"cannot {action} '{place}': {why}", help=help))
