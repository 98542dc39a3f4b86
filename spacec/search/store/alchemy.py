"""Run records of many run directories in one PostgreSQL database, through SQLAlchemy.

The same tables as in a file, and one more (``spacec_record``) that holds their version. A run directory is a *job*: its
process holds an advisory lock of the server while it writes, so that two copies of a directory cannot both go on, and
anyone can see which jobs are alive. A lost connection is made again, for a while; what was being written is then
written again, which changes nothing where it had arrived.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from spacec.diagnostics.model import Diagnostic
from spacec.search.files import StorageError
from spacec.search.store.backend import Backend, no_record, of_the_future, pack
from spacec.search.store.schema import SCHEMA_VERSION, Table
from spacec.search.store.sql import POSTGRESQL, Row, Statement, create, insert, migrate
from spacec.search.store.url import check, shown

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a server that does not answer is asked again."""

_WATCH = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_MAKING = 0x73706163
"""The advisory lock under which tables are made or brought up."""

_JOBS = 0x6A6F6273
"""The class of the advisory locks of jobs."""

_FULL, _READ_ONLY, _DENIED = "53100", "25006", "42501"
_UNKNOWN = ("42P01", "42703")
"""SQLSTATEs: no room on the server's disk; no right to write; no such table or column."""

_RETIRED = ("57P01", "57P02", "57P03", "08000", "08003", "08006")
"""The server shuts down, starts, or has ended this connection."""

_HELD = """SELECT objid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE datname = current_database() AND locktype = 'advisory' AND classid = :jobs AND objsubid = 2 AND granted"""
_DUPLICATE = """SELECT count(*) FROM "events" WHERE "run" = :run AND "time" = :time AND "message" = :message"""


class Alchemy(Backend):
    """``job`` is locked while it is open, unless ``readonly``. Raises E0830 where another process has it."""

    def __init__(self, url: str, job: str = "", readonly: bool = False, patience: float = PATIENCE) -> None:
        check(url)
        self.place = shown(url)
        self.job = "" if readonly else job
        self.patience = patience
        self.readonly = readonly
        self._engine = sa.create_engine(_watched(url), poolclass=NullPool)
        self._db: sa.Connection | None = None
        with self._errors("read"):
            self._connection()
            try:
                self._look()
            except BaseException:
                self.close()
                raise

    def apply(self, statements: Sequence[Statement]) -> None:
        def change(db: sa.Connection, again: bool) -> None:
            for statement in statements:
                rows = [r for r in statement.rows if not (again and _is_there(db, statement, r))]
                if rows:
                    db.execute(sa.text(statement.sql), rows)

        with self._errors("write"):
            self._kept_on(change)

    def add(self, table: Table, row: Row) -> int:
        text = sa.text(f'{insert(table, row)} RETURNING "id"')
        with self._errors("write"), self._connection().begin():
            return int(self._connection().execute(text, dict(pack(table, row))).scalar_one())

    def query(self, sql: str, values: Row) -> list[tuple[Any, ...]]:
        with self._errors("read"):
            return self._kept_on(lambda db, _: [tuple(row) for row in db.execute(sa.text(sql), dict(values))])

    def bring_up(self) -> None:
        with self._errors("write"), self._making() as db:
            self.version = _version(db) or 0
            for version in range(self.version + 1, SCHEMA_VERSION + 1):
                self._build(db, migrate(POSTGRESQL, version), version)

    def alive(self) -> set[str]:
        held = {key for (key,) in self.query(_HELD, {"jobs": _JOBS})}
        jobs = self.query('SELECT DISTINCT "job" FROM "runs"', {}) if self.version >= 3 else []
        return {job for (job,) in jobs if _key(job) % 2**32 in held}

    def close(self) -> None:
        if self._db is not None:
            with suppress(SQLAlchemyError):
                self._db.close()
            self._db = None
        self._engine.dispose()

    # ------------------------------------------------------------------ tables

    def _look(self) -> None:
        """Whose tables there are; an empty database gets them."""
        version = self._kept_on(lambda db, _: _version(db))
        if version is None and not self.readonly:
            with self._making() as db:
                version = _version(db)
                if version is None:
                    self._build(db, create(POSTGRESQL, SCHEMA_VERSION), SCHEMA_VERSION)
                    version = SCHEMA_VERSION
        if version is None:
            raise no_record(self.place, "it holds no runs")
        if not 1 <= version <= SCHEMA_VERSION:
            raise of_the_future(self.place, version)
        self.version = version

    @contextmanager
    def _making(self) -> Iterator[sa.Connection]:
        """A transaction that no other process has at the same time."""
        db = self._connection()
        with db.begin():
            db.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MAKING})
            yield db

    def _build(self, db: sa.Connection, statements: Sequence[str], version: int) -> None:
        if sa.inspect(db).has_table("runs") and _version(db) is None:
            raise no_record(self.place, "it has a table 'runs' of another program")
        for statement in statements:
            db.execute(sa.text(statement))
        db.execute(sa.text('CREATE TABLE IF NOT EXISTS "spacec_record" ("version" INTEGER NOT NULL)'))
        db.execute(sa.text('DELETE FROM "spacec_record"'))
        db.execute(sa.text('INSERT INTO "spacec_record" VALUES (:version)'), {"version": version})
        self.version = version

    # ------------------------------------------------------------------ connection

    def _connection(self) -> sa.Connection:
        """The connection, made anew where there is none, with the lock of the job."""
        if self._db is None:
            db = self._engine.connect()
            try:
                self._lock(db)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _lock(self, db: sa.Connection) -> None:
        if not self.job:
            return
        text = sa.text("SELECT pg_try_advisory_lock(CAST(:jobs AS INTEGER), CAST(:key AS INTEGER))")
        got = db.execute(text, {"jobs": _JOBS, "key": _key(self.job)}).scalar_one()
        db.commit()
        if not got:
            headline = f"another process writes this run in '{self.place}'"
            raise StorageError(Diagnostic("E0830", headline, notes=(f"its job is {self.job}",)))

    def _kept_on(self, body: Callable[[sa.Connection, bool], T]) -> T:
        """``body`` in a transaction, again on a new connection where one is lost; it is told whether it is again."""
        until, pause, again = time.monotonic() + self.patience, 0.05, False
        while True:
            try:
                db = self._connection()
                with db.begin():
                    return body(db, again)
            except (DBAPIError, StorageError) as error:
                if not _lost(error, again) or time.monotonic() > until:
                    raise
                self._drop()
                again = True
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _drop(self) -> None:
        if self._db is not None:
            with suppress(SQLAlchemyError):
                self._db.invalidate()
                self._db.close()
            self._db = None

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        """E0831 for a server that does not answer, E0810 where it refuses, E0813 for other tables."""
        try:
            yield
        except SQLAlchemyError as error:
            why = _why(error)
            state = getattr(getattr(error, "orig", None), "sqlstate", None)
            if state == _FULL:
                raise self._refused(action, "the disk of the server is full") from error
            if state in (_READ_ONLY, _DENIED):
                raise self._refused(action, why) from error
            if state in _UNKNOWN:
                raise no_record(self.place, why) from error
            help = "the run goes on with `spacec resume` once it answers; a password may stand in PGPASSWORD or .pgpass"
            headline = f"the store '{self.place}' cannot be used"
            raise StorageError(Diagnostic("E0831", headline, notes=(why,), help=help)) from error

    def _refused(self, action: str, why: str) -> StorageError:
        return StorageError(Diagnostic("E0810", f"cannot {action} '{self.place}': {why}"))


def _watched(url: str) -> sa.URL:
    """``url`` for the driver; a peer that has gone without a word is noticed within a minute."""
    made = sa.make_url(f"postgresql+psycopg://{url.partition('://')[2]}")
    return made.set(query={**_WATCH, **made.query})


def _version(db: sa.Connection) -> int | None:
    if not sa.inspect(db).has_table("spacec_record"):
        return None
    return int(db.execute(sa.text('SELECT max("version") FROM "spacec_record"')).scalar_one())


def _is_there(db: sa.Connection, statement: Statement, row: Row) -> bool:
    """Whether an event arrived before the connection was lost; rows of other tables replace themselves."""
    if not statement.sql.startswith('INSERT INTO "events"'):
        return False
    return bool(db.execute(sa.text(_DUPLICATE), {k: row[k] for k in ("run", "time", "message")}).scalar_one())


def _key(job: str) -> int:
    """A number of 32 bits, signed, as the server's locks have it."""
    return int.from_bytes(sha256(job.encode()).digest()[:4], "big", signed=True)


def _lost(error: Exception, again: bool) -> bool:
    """Whether a new connection may help; after one was lost, its lock may live on for a moment."""
    if isinstance(error, StorageError):
        return again and error.diagnostics[0].code == "E0830"
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state in _RETIRED or (again and state is None)


def _why(error: SQLAlchemyError) -> str:
    """The first line of what the driver says."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
