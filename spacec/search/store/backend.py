"""What a database of run records can be asked, whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from spacec.diagnostics.model import Diagnostic
from spacec.search.files import StorageError
from spacec.search.store.schema import SCHEMA_VERSION, Table, table
from spacec.search.store.sql import Row, Statement, insert, packed, select, unpacked, upsert


class Backend(ABC):
    """An open database. ``place`` is what messages call it, ``version`` that of its tables (0: there are none yet).

    Opening changes nothing that is there: the tables are made in an empty place only, and brought up by
    :meth:`bring_up`. Every refusal is a :class:`~spacec.search.files.StorageError`.
    """

    place: str
    version: int

    @abstractmethod
    def apply(self, statements: Sequence[Statement]) -> None:
        """Carry out all statements, or none of them. Doing so twice must be the same as once."""

    @abstractmethod
    def add(self, table: Table, row: Row) -> int:
        """A new row of a table whose key the database counts; its key."""

    @abstractmethod
    def query(self, sql: str, values: Row) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def bring_up(self) -> None:
        """Give a record of an earlier version what it lacks."""

    def sync(self) -> None:  # noqa: B027 - a database that has written when it says so has nothing to do
        """Return when all that was applied is safe from a failure of power, too."""

    @abstractmethod
    def alive(self) -> set[str] | None:
        """The jobs that a process writes now, where the database knows that."""

    @abstractmethod
    def close(self) -> None: ...

    def select(self, name: str, where: Mapping[str, Any], order: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The rows of a table with these values, without the columns that were asked for.

        Of an older record, a table that it lacks is empty, and a column that it lacks has its default.
        """
        wanted = table(name)
        if wanted.since > self.version:
            return []
        left = [c for c in wanted.columns if c.name not in where]
        there = [c for c in left if c.since <= self.version]
        lacking = {c.name: c.default for c in left if c.since > self.version}
        names = [c.name for c in there]
        rows = []
        for values in self.query(select(wanted, names, where, order), where):
            row = dict(zip(names, values, strict=True))
            for column in there:
                try:
                    row[column.name] = unpacked(column, row[column.name])
                except ValueError as error:
                    raise no_record(self.place, str(error)) from error
            rows.append({**row, **lacking})
        return rows


def changes(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Statement]:
    """Statements that put rows, each with the name of its table, in place of those with their keys; in their order.

    Rows of a table whose key the database counts are added.
    """
    out: list[Statement] = []
    last, group = "", list[Row]()
    for name, row in rows:
        if name != last:
            group = []
            last = name
            put = insert if table(name).numbered else upsert
            out.append(Statement(put(table(name), row), group))
        group.append(pack(table(name), row))
    return out


def pack(table: Table, row: Mapping[str, Any]) -> Row:
    """``row`` as a database keeps it."""
    return {c.name: packed(c, row[c.name]) for c in table.columns if c.name in row}


def of_the_future(place: str, version: int) -> StorageError:
    headline = f"'{place}' has record version {version}, this spacec reads version {SCHEMA_VERSION}"
    return StorageError(Diagnostic("E0814", headline, help="read it with a newer spacec"))


def no_record(place: str, why: str) -> StorageError:
    return StorageError(Diagnostic("E0813", f"'{place}' is not a run record: {why}"))
