"""What a run directory holds, in values that can be compared: rows of the record without times, tensors, files."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacec.search import files
from spacec.testing.conformance.trees import first_difference

VOLATILE = frozenset(
    ("id", "time", "started", "ended", "seconds", "asked", "finished", "status", "reason", "worker", "attempts",
     "environment", "job", "host", "pid", "versions")
)  # fmt: skip
"""Columns that tell of the moment and the place, not of the search."""
SAID = frozenset(("events",))
"""Tables of what happened on the way: a run that was stopped has more of it."""
PAGES = (".html", ".sqlite", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal", ".log", ".lock")
"""Endings of files that tell of times, or are looked at by their rows."""
TELLING = ("job.json", "store.json", "incumbents-time.svg")
"""Files that name the run itself, or draw times."""

Row = tuple[tuple[str, Any], ...]
Rows = Mapping[str, frozenset[Row]]


@dataclass(frozen=True)
class Snapshot:
    """``rows`` by table, ``tensors`` by file, ``digests`` of other files."""

    rows: Rows
    tensors: Mapping[str, Any]
    digests: Mapping[str, str]


def rows_of(run_dir: Path) -> Rows:
    """The rows of the record, read from a copy: a journal or log that a killed writer left is the next one's to find.

    A trial that is still under way is no result yet, and left out.
    """
    if not (run_dir / files.STORE).exists():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        for path in run_dir.glob(f"{files.STORE}*"):
            shutil.copy(path, folder)
        db = sqlite3.connect(Path(folder) / files.STORE)
        try:
            return {table: frozenset(_rows(db, table)) for table in _tables(db)}
        finally:
            db.close()


def _tables(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _rows(db: sqlite3.Connection, table: str) -> Iterator[Row]:
    cursor = db.execute(f'SELECT * FROM "{table}"')
    names = [column[0] for column in cursor.description]
    for values in cursor:
        row = dict(zip(names, values, strict=True))
        if table == "trials" and row.get("status") == "running":
            continue
        yield tuple((name, row[name]) for name in names if name not in VOLATILE)


def snapshot(run_dir: Path) -> Snapshot:
    """The end of a run. A file that is not whole yet stands under its own name, so it is seen as a difference."""
    tensors: dict[str, Any] = {}
    digests: dict[str, str] = {}
    for path in sorted(p for p in run_dir.rglob("*") if p.is_file()):
        name = path.relative_to(run_dir).as_posix()
        if path.suffix == ".pt":
            tensors[name] = files.read_tensors(path)
        elif not name.endswith(PAGES) and path.name not in TELLING:
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Snapshot(rows_of(run_dir), tensors, digests)


def lost(before: Rows, after: Rows) -> str:
    """What was recorded ``before`` and is no longer; empty if nothing is missing."""
    rewound = any(("kind", "rewound") in row for row in after.get("events", ()))
    for table, rows in before.items():
        there = after.get(table, frozenset())
        known = there | {_untold(row) for row in there}
        if rewound:
            rows, known = frozenset(map(_place, rows)), frozenset(map(_place, known))
        if missing := rows - known:
            return f"{len(missing)} rows of {table}, such as {min(missing, key=repr)}"
    return ""


def _place(row: Row) -> Row:
    """What a row is about: a search that went back to an earlier epoch measures again what it had measured since."""
    return tuple((name, value) for name, value in row if name not in ("value", "values", "text", "costs"))


def _untold(row: Row) -> Row:
    """The row as it was before its round was complete: a rating is recorded first, and told to the strategy then."""
    return tuple((name, None if name == "told" else value) for name, value in row)


def difference(a: Snapshot, b: Snapshot) -> str:
    """Where two ends differ, in words; empty if they are the same, bit for bit."""
    for table in sorted({*a.rows, *b.rows} - SAID):
        mine, theirs = a.rows.get(table, frozenset()), b.rows.get(table, frozenset())
        if mine != theirs:
            return f"table {table}: {_some(mine - theirs)} against {_some(theirs - mine)}"
    if a.digests != b.digests:
        names = sorted(n for n in {*a.digests, *b.digests} if a.digests.get(n) != b.digests.get(n))
        return f"files {', '.join(names)}"
    if (place := first_difference(a.tensors, b.tensors)) is not None:
        return f"tensors {place}"
    return ""


def _some(rows: frozenset[Row]) -> str:
    return f"{len(rows)} rows" + (f", such as {dict(min(rows, key=repr))}" if rows else "")
