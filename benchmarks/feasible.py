"""Rewards under a limit on the weights: two tables of 125 networks trained in full, and 100 searches over them each.

    python -m benchmarks.feasible

makes every row that has no record in ``feasible/``, each in a process of its own, and writes FEASIBLE.md and its
pictures from the records alone; a run that is stopped goes on where it was. ``--row KEY`` makes one row again, ``--only
TEXT`` those whose key has the text in it, ``--page`` writes the page only, ``--list`` shows the keys and which have a
record. Needs spacec-tabnas, scikit-learn, and Debian's package dataset-fashion-mnist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.feasible_page import page, pictures
from benchmarks.feasible_rows import FOLDER, RUNS, Searches, Table, rows
from benchmarks.recorded import Records
from benchmarks.report import HERE

RECORDS: Records[Table | Searches] = Records("benchmarks.feasible", FOLDER, rows())


def make(row: Table | Searches) -> Mapping[str, Any]:
    """The record of a row."""
    from benchmarks.feasible_run import make_searches  # torch, which the parent of the processes does without
    from benchmarks.feasible_train import make_table

    return make_table(row.settings()) if isinstance(row, Table) else make_searches(row.settings(), RUNS)


def write() -> None:
    """The page and its pictures."""
    found = RECORDS.all()
    (HERE / "FEASIBLE.md").write_text(page(found), encoding="utf-8")
    for name, picture in pictures(found).items():
        (HERE / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    RECORDS.main(__doc__, make, lambda given: write())
