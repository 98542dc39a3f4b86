"""A whole run carried over to an edited grammar: its record and its architecture.

The new folder holds the record (metrics, trials, architectures, events), the grammar and the architecture. Weights,
checkpoints, networks and reports belong to the old network and stay where they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic
from spacec.search import files
from spacec.search.carry import Carry, Tally, carry_file
from spacec.search.record import RunStore
from spacec.search.store.copying import copy
from spacec.search.store.place import holds_run
from spacec.search.store.sqlite import Sqlite

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
    if not holds_run(source):
        raise files.StorageError(Diagnostic("E0813", f"'{source}' holds no run: there is no {files.STORE}"))
    texts = {}
    for name in PARTS:
        if (source / name).is_file():
            texts[name] = carry_file(source / name, carry, tally).content
    if target is not None:
        with files.storage_errors(target, "create"):
            target.mkdir(parents=True, exist_ok=True)
    rows = _Rows(home, {s for s, labels in old_slots.items() if home.slots.get(s) != labels}, carry, tally)
    with RunStore.of(source, readonly=True) as store:  # a database of another kind or version is refused here
        _record(store, None if target is None else target / files.STORE, rows)
    if target is not None:
        files.write_text(target / files.SPACE, home.grammar)
        for name, text in texts.items():
            if text:
                files.write_text(target / name, text)
    return CarriedRun(rows.kept, rows.total, len(rows.left))


def _record(store: RunStore, target: Path | None, rows: _Rows) -> None:
    """Copy the record to a file, wherever it is kept, but for what is carried; all of it or nothing."""
    temporary = None if target is None else target.with_name(f".{target.name}.new")
    try:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        with closing(Sqlite(temporary)) as new:
            copy(store.backend, store.runs(), new, rows)
        if temporary is not None and target is not None:
            temporary.replace(target)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@dataclass
class _Rows:
    """Carries the rows of a record that speak of architectures, and counts them."""

    home: Home
    stale: set[str]
    carry: Carry
    tally: Tally
    kept: int = 0
    total: int = 0
    left: set[str] = field(default_factory=set)

    def __call__(self, table: str, row: dict[str, Any]) -> dict[str, Any] | None:
        if table == "runs":
            home, digest = self.home, hashlib.sha256(self.home.grammar.encode()).hexdigest()
            facts = {"space": home.space, "digest": home.digest, "grammar": home.grammar, "grammar_sha256": digest}
            return {**row, **facts, "header": dict(home.header), "job": ""}
        if table == "architectures":
            return self._carried(row, "text", f"{table} {row['run']} {row['role']} {row['epoch']}")
        if table == "trials":
            return self._carried(row, "architecture", f"{table} {row['run']} {row['number']}")
        if table == "probabilities" and row["slot"] in self.stale:
            self.left.add(row["slot"])
            return None
        return row

    def _carried(self, row: dict[str, Any], column: str, place: str) -> dict[str, Any] | None:
        self.total += 1
        self.tally.place(place)
        new = self.carry(row[column])
        if not isinstance(new, str):
            return None
        self.kept += 1
        return {**row, column: new}
