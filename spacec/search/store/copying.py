"""A record copied from one database to another, row by row, with what changes on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spacec.search.store.backend import Backend, changes
from spacec.search.store.schema import TABLES

Change = Callable[[str, dict[str, Any]], "dict[str, Any] | None"]
"""Given the name of a table and a row of it, the row that is kept; ``None`` leaves it out."""


def copy(source: Backend, runs: Sequence[Mapping[str, Any]], target: Backend, change: Change) -> None:
    """Put ``runs`` of ``source``, whole, into ``target``: all rows or none."""
    rows: list[tuple[str, dict[str, Any]]] = []
    for run in runs:
        parts = [(t.name, {**row, "run": run["id"]}) for t in TABLES[1:] for row in
                 source.select(t.name, {"run": run["id"]}, t.key)]  # fmt: skip
        for name, row in (("runs", dict(run)), *parts):
            if (kept := change(name, row)) is not None:
                rows.append((name, kept))
    target.apply(changes(rows))
