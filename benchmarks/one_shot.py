"""Shared weights beside networks trained alone: NAS-Bench-Macro's space on Fashion-MNIST, by rank correlation.

    python -m benchmarks.one_shot --published nas-bench-macro_cifar10.json

makes every row that has no record in ``one_shot/``, each in a process of its own, and writes ONE_SHOT.md and its
picture from the records alone; a run that is stopped goes on where it was. ``--row KEY`` makes one row again, ``--only
TEXT`` those whose key has the text in it, ``--page`` writes the page only, ``--list`` shows the keys and which have a
record. ``--published`` is the table of NAS-Bench-Macro's authors; of it only correlations are kept. Needs the
distributions of the strategies that are compared and spacec-tables, as `make` installs them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.one_shot_page import page, picture, transferred
from benchmarks.one_shot_rows import Alone, Supernet, rows
from benchmarks.recorded import Records
from benchmarks.report import HERE

RECORDS: Records[Alone | Supernet] = Records("benchmarks.one_shot", HERE / "one_shot", rows())
TRANSFER = HERE / "one_shot" / "transfer.json"


def make(row: Alone | Supernet) -> Mapping[str, Any]:
    """The record of a row."""
    from benchmarks.one_shot_run import alone, shared  # torch, which the parent of the processes does without

    return alone(row.settings()) if isinstance(row, Alone) else shared(row.settings())


def write(published: Path | None) -> None:
    """The page and its picture; first what the published table says, where it is given."""
    found = RECORDS.all()
    if published is not None:
        accuracies = json.loads(published.read_text(encoding="utf-8"))
        kept = transferred(found, {digits: row["mean_acc"] for digits, row in accuracies.items()})
        TRANSFER.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    (HERE / "ONE_SHOT.md").write_text(page(found, transfer()), encoding="utf-8")
    (HERE / "one_shot.svg").write_text(picture(found), encoding="utf-8")


def transfer() -> dict[str, list[float]]:
    """Correlations with the published accuracies, with their intervals; empty before a run with ``--published``."""
    return dict(json.loads(TRANSFER.read_text(encoding="utf-8"))) if TRANSFER.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--published", type=Path, help="the authors' table of accuracies on CIFAR-10 (JSON)")
    RECORDS.main(__doc__, make, lambda given: write(given.published), parser=parser)


if __name__ == "__main__":
    main()
