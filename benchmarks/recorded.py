"""Rows of a benchmark, each made in a process of its own and kept as a file of JSON; pages are written from these.

A row whose record is there is not made again, unless the record is one of other settings: a run that was stopped goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from benchmarks.apart import DONE, run_apart


class Row(Protocol):
    """One record's worth of work."""

    @property
    def key(self) -> str:
        """The name of its record."""
        ...

    def settings(self) -> dict[str, Any]:
        """Everything that decides what it computes."""
        ...


def _nothing(row: Row) -> str:
    return ""


R = TypeVar("R", bound=Row)


class Records(Generic[R]):
    """The records of ``rows`` in ``folder``; ``module`` is the script whose ``--row KEY`` makes one."""

    def __init__(self, module: str, folder: Path, rows: Sequence[R]) -> None:
        self.module, self.folder, self.rows = module, folder, rows

    def path(self, row: R) -> Path:
        return self.folder / f"{row.key}.json"

    def of(self, row: R) -> dict[str, Any] | None:
        """The record of a row; ``None`` where there is none, or one of other settings."""
        if not self.path(row).exists():
            return None
        found: dict[str, Any] = json.loads(self.path(row).read_text(encoding="utf-8"))
        return found if found["settings"] == json.loads(json.dumps(row.settings())) else None

    def all(self) -> dict[str, dict[str, Any]]:
        """Those that there are, by key, in the order of the rows."""
        return {row.key: found for row in self.rows if (found := self.of(row)) is not None}

    def keep(self, row: R, record: Mapping[str, Any]) -> None:
        """Write a record; a list of numbers is one line."""
        self.folder.mkdir(exist_ok=True)
        text = re.sub(r"\[[^\[\]{}]*\]", lambda flat: " ".join(flat[0].split()), json.dumps(record, indent=1))
        self.path(row).write_text(text + "\n", encoding="utf-8")

    def make_apart(self, row: R) -> bool:
        """Have a row made in a process of its own, unless its record is there by now; whether it ended well."""
        if self.of(row) is not None:
            return True
        result = run_apart(self.module, row.key)
        print(f"{row.key}: {result}", flush=True)
        return result == DONE

    def main(
        self,
        about: str | None,
        make: Callable[[R], Mapping[str, Any]],
        write_page: Callable[[argparse.Namespace], None],
        lacks: Callable[[R], str] = _nothing,
        parser: argparse.ArgumentParser | None = None,
    ) -> None:
        """The command line of ``module``. ``lacks`` says what a row cannot be made without ("strategy 'x'")."""
        parser = parser or argparse.ArgumentParser()
        parser.description, parser.formatter_class = about, argparse.RawDescriptionHelpFormatter
        parser.add_argument("--row", metavar="KEY", help="run one row again")
        parser.add_argument("--only", metavar="TEXT", default="", help="rows whose key has the text in it")
        parser.add_argument("--jobs", type=int, default=2, help="rows at a time")
        parser.add_argument("--page", action="store_true", help="write the page from the records")
        parser.add_argument("--list", action="store_true", help="show the keys")
        given = parser.parse_args()
        table = {row.key: row for row in self.rows}
        if given.row:
            if given.row not in table:
                raise SystemExit(f"no row '{given.row}': see --list")
            self.keep(table[given.row], make(table[given.row]))
        elif given.list:
            print("\n".join(f"{key}{'' if self.of(row) else '  (no record)'}" for key, row in table.items()))
        elif given.page:
            write_page(given)
        else:
            ended = self._make_missing([row for row in self.rows if given.only in row.key], lacks, given.jobs)
            write_page(given)
            raise SystemExit(0 if ended else 1)

    def _make_missing(self, wanted: Sequence[R], lacks: Callable[[R], str], jobs: int) -> bool:
        missing = [row for row in wanted if self.of(row) is None]
        lacking = {row.key: why for row in missing if (why := lacks(row))}
        for key, why in lacking.items():
            print(f"{key}: left out, it needs {why}")
        with ThreadPoolExecutor(jobs) as pool:
            ended = list(pool.map(lambda row: self.make_apart(row), (r for r in missing if r.key not in lacking)))
        return all(ended)
