"""A whole run carried over to an edited grammar: its record and its architecture.

The new folder holds the record (metrics, trials, architectures, events), the grammar and the architecture. Weights,
checkpoints, networks and reports belong to the old network and stay where they are.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic
from spacec.search import files
from spacec.search.carry import Carry, Tally, carry_file
from spacec.search.record import RunStore

PARTS = (files.ARCHITECTURE_JSON, files.ARCHITECTURE_TEXT)


@dataclass(frozen=True)
class Home:
    """The new grammar of a run: what its record says of the space it is of."""

    space: str
    digest: str
    grammar: str
    header: Mapping[str, Any]
    slots: Mapping[str, tuple[str, ...]]
    """Labels of the mask slots; probabilities of others are left out."""


@dataclass(frozen=True)
class CarriedRun:
    """How many architectures of a run were kept, out of how many, and the slots whose probabilities were left out."""

    kept: int
    total: int
    slots_left: int


def carry_run(source: Path, target: Path | None, home: Home, old_slots: Mapping[str, tuple[str, ...]], carry: Carry,
              tally: Tally) -> CarriedRun:  # fmt: skip
    """Write ``source``'s run to the folder ``target``, or count only (``None``).

    Raises :class:`~spacec.search.files.StorageError`: E0810 where the disk refuses, E0813 where ``source`` is no run.
    """
    store = source / files.STORE
    if not store.is_file():
        raise files.StorageError(Diagnostic("E0813", f"'{source}' holds no run: there is no {files.STORE}"))
    texts = {}
    for name in PARTS:
        if (source / name).is_file():
            texts[name] = carry_file(source / name, carry, tally).content
    if target is not None:
        with files.storage_errors(target, "create"):
            target.mkdir(parents=True, exist_ok=True)
    place = None if target is None else target / files.STORE
    with RunStore(store):  # a database of another kind or version is refused here
        kept, total, left = _record(store, place, home, old_slots, carry, tally)
    if target is not None:
        files.write_text(target / files.SPACE, home.grammar)
        for name, text in texts.items():
            if text:
                files.write_text(target / name, text)
    return CarriedRun(kept, total, left)


def _record(
    source: Path, target: Path | None, home: Home, old_slots: Mapping[str, tuple[str, ...]], carry: Carry, tally: Tally
) -> tuple[int, int, int]:
    """Copy the database, then change what speaks of architectures; all of it or nothing."""
    temporary = None if target is None else target.with_name(f".{target.name}.new")
    try:
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old, closing(
            sqlite3.connect(temporary or ":memory:")
        ) as new:  # fmt: skip
            old.backup(new)
            with new:
                found = _changed(new, home, old_slots, carry, tally)
        if temporary is not None and target is not None:
            temporary.replace(target)
        return found
    except sqlite3.DatabaseError as error:
        raise files.StorageError(Diagnostic("E0813", f"'{source}' is not a run record: {error}")) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _changed(
    db: sqlite3.Connection, home: Home, old_slots: Mapping[str, tuple[str, ...]], carry: Carry, tally: Tally
) -> tuple[int, int, int]:
    kept = total = 0
    keys = (("architectures", "text", ("run", "role", "epoch")), ("trials", "architecture", ("run", "number")))
    for table, column, key in keys:
        where = " AND ".join(f"{k} = ?" for k in key)
        for text, *row in db.execute(f"SELECT {column}, {', '.join(key)} FROM {table}").fetchall():
            total += 1
            tally.place(f"{table} " + " ".join(map(str, row)))
            new = carry(text)
            if isinstance(new, str):
                kept += 1
                db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (new, *row))
            else:
                db.execute(f"DELETE FROM {table} WHERE {where}", row)
    stale = [s for s, labels in old_slots.items() if home.slots.get(s) != labels]
    left = 0
    for slot in stale:
        left += db.execute("DELETE FROM probabilities WHERE slot = ?", (slot,)).rowcount > 0
    digest = hashlib.sha256(home.grammar.encode()).hexdigest()
    facts = (home.space, home.digest, home.grammar, digest, json.dumps(dict(home.header)))
    db.execute("UPDATE runs SET space = ?, digest = ?, grammar = ?, grammar_sha256 = ?, header = ?", facts)
    return kept, total, left
