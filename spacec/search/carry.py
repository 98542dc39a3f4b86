"""Results carried over to an edited grammar: files of architectures, tables and runs.

Assumes a function that carries one architecture (its text or its JSON). Everything else in a file stays as it is; where
no architecture changes, neither does the file, to the byte. Records whose architecture cannot be carried are left out
and counted, with the reason. Nothing here imports torch.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.files import read_json, storage_errors

FORMAT = "spacec architecture"
KEYS = ("architecture", "arch", "text")
"""Names of JSON fields that hold an architecture's text."""
_TEXT = re.compile(r"[0-9a-f]{8}(:[^\s]*)?")

Carry = Callable[[str | Mapping[str, Any]], "str | dict[str, Any] | None"]
"""An architecture's text or JSON in the new grammar; ``None`` where it cannot be carried (the reason is kept)."""


class Tally(Protocol):
    """Counts what happens; :meth:`place` says where the next architecture stands."""

    def place(self, text: str) -> None: ...


@dataclass
class Carried:
    """The new content of a file, and how many of its records it keeps."""

    content: str
    kept: int = 0
    total: int = 0


def carry_file(path: Path, carry: Carry, tally: Tally, column: str = "") -> Carried:
    """The content of ``path`` for the new grammar, by its suffix: ``.json``, ``.csv`` or ``.tsv``, else lines of text.

    ``column`` is that of a table's architectures. Raises :class:`SpacecError`: E0810 where the file cannot be read,
    E0813 for what is not of its kind, E0601 where it holds no architecture.
    """
    if path.suffix == ".json":
        return _json(path, carry, tally)
    with storage_errors(path, "read"):
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise SpacecError(Diagnostic("E0813", f"'{path}' is not a text file")) from None
    if path.suffix in (".csv", ".tsv"):
        return _table(path, text, carry, tally, column or KEYS[0])
    return _lines(path, text, carry, tally)


def _lines(path: Path, text: str, carry: Carry, tally: Tally) -> Carried:
    kept, total = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        spec = line.strip()
        if not spec or spec.startswith("#"):
            kept.append(line)
            continue
        total += 1
        tally.place(f"line {number}")
        new = carry(spec)
        if isinstance(new, str):
            kept.append(line.replace(spec, new))
    if not total:
        raise _without(path)
    return Carried("".join(kept), sum(bool(k.strip()) and not k.startswith("#") for k in kept), total)


def _table(path: Path, text: str, carry: Carry, tally: Tally, column: str) -> Carried:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    if not rows or column not in rows[0]:
        known = ", ".join(rows[0]) if rows else "none"
        note = f"its columns are {known}; name another with --column"
        raise SpacecError(Diagnostic("E0601", f"'{path}' has no column '{column}'", notes=(note,)))
    at = rows[0].index(column)
    kept, changed = [rows[0]], False
    for number, row in enumerate(rows[1:], 2):
        tally.place(f"row {number}")
        if len(row) != len(rows[0]):
            headline = f"row {number} of '{path}' has {len(row)} fields, its header has {len(rows[0])}"
            raise SpacecError(Diagnostic("E0601", headline, notes=("a text with commas stands in quotes",)))
        new = carry(row[at].strip())
        if isinstance(new, str):
            changed |= new != row[at]
            kept.append([*row[:at], new, *row[at + 1 :]])
    if not changed and len(kept) == len(rows):
        return Carried(text, len(kept) - 1, len(rows) - 1)
    out = io.StringIO(newline="")
    ending = "\r\n" if "\r\n" in text else "\n"
    csv.writer(out, delimiter=delimiter, lineterminator=ending).writerows(kept)
    return Carried(out.getvalue(), len(kept) - 1, len(rows) - 1)


# ------------------------------------------------------------------ JSON


class _Left(Exception):
    """The record that is being read cannot be carried."""


@dataclass
class _Walk:
    """A pass over JSON; a record is an item of a list, or the whole."""

    carry: Carry
    tally: Tally
    kept: int = 0
    total: int = 0
    changed: bool = False
    places: list[str] = field(default_factory=list)

    def value(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            if value.get("format") == FORMAT:
                return self.one(value)
            return {k: self.value(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return self.items(value)
        if isinstance(value, str) and key in KEYS and _TEXT.fullmatch(value):
            return self.one(value)
        return value

    def items(self, items: Sequence[Any]) -> list[Any]:
        found = []
        for number, item in enumerate(items):
            self.places.append(f"[{number}]")
            try:
                found.append(self.value(item, KEYS[0]))
            except _Left:
                self.changed = True
            self.places.pop()
        return found

    def one(self, spec: str | Mapping[str, Any]) -> Any:
        self.total += 1
        self.tally.place("record " + "".join(self.places) if self.places else "the file")
        new = self.carry(spec)
        if new is None:
            raise _Left
        self.kept += 1
        self.changed |= new != spec
        return new


def _json(path: Path, carry: Carry, tally: Tally) -> Carried:
    data = read_json(path)
    walk = _Walk(carry, tally)
    try:
        found = walk.value(data, KEYS[0])
    except _Left:
        return Carried("", 0, walk.total)
    if not walk.total:
        raise _without(path)
    if not walk.changed:
        with storage_errors(path, "read"):
            return Carried(path.read_bytes().decode("utf-8"), walk.kept, walk.total)
    return Carried(json.dumps(found, indent=2, ensure_ascii=False) + "\n", walk.kept, walk.total)


def _without(path: Path) -> SpacecError:
    return SpacecError(Diagnostic("E0601", f"'{path}' holds no architecture"))
