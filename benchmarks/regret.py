"""Regret of every multi-trial strategy over NAS-Bench-201's table, and hypervolume of accuracy and latency.

    python -m benchmarks.regret --cells cells.csv.gz --hardware latency.csv.gz

runs every row that has no record in ``regret/``, each in a process of its own, and writes REGRET.md and its pictures
from the records alone; a run that is stopped goes on where it was. Rows whose strategy is not installed, or whose file
is not given, are left out and named. ``--row KEY`` runs one row again, ``--only TEXT`` those whose key has the text in
it, ``--page`` writes the page only, ``--list`` shows the keys and which have a record.

``--cells`` is a CSV file with a row for each cell: ``idx``, ``arch`` (NAS-Bench-201's string) and its validation
accuracies after 12 epochs (``c10_val12``, ``c100_val12``, ``in16_val12``); ``--hardware`` one with ``idx`` and
``edgegpu_latency`` of HW-NAS-Bench. Needs the distributions of all strategies and spacec-tables[nas-bench-201], as
`make` installs them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.regret_page import page, pictures
from benchmarks.regret_rows import QUERIES, RUNS, Row, rows
from benchmarks.report import HERE, ROOT

RECORDS = HERE / "regret"


def path_of(row: Row) -> Path:
    return RECORDS / f"{row.key}.json"


def recorded(row: Row) -> dict[str, Any] | None:
    """The record of a row; ``None`` where there is none, or one of other settings."""
    if not path_of(row).exists():
        return None
    found: dict[str, Any] = json.loads(path_of(row).read_text(encoding="utf-8"))
    return found if found["settings"] == json.loads(json.dumps(row.settings())) else None


def records() -> dict[str, dict[str, Any]]:
    """Those that there are, by key, in the order of the rows."""
    return {row.key: found for row in rows() if (found := recorded(row)) is not None}


def run(row: Row, cells: Path | None, hardware: Path | None) -> None:
    """Run a row here and write its record."""
    from benchmarks.regret_run import Data, make  # torch, which the parent of the processes does without

    record = make(row, Data(cells, hardware), RUNS, QUERIES)
    RECORDS.mkdir(exist_ok=True)
    lines = (f' "{name}": {json.dumps(value)}' for name, value in record.items())
    path_of(row).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def run_apart(row: Row, files: Sequence[str]) -> bool:
    """Run a row in a process of its own; whether it ended well."""
    here = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), here))), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.regret", "--row", row.key, *files]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(f"{row.key}: {'done' if ended.returncode == 0 else ended.stderr[-600:]}", flush=True)
    return ended.returncode == 0


def write_page() -> None:
    found = records()
    (HERE / "REGRET.md").write_text(page(found), encoding="utf-8")
    for name, picture in pictures(found).items():
        (HERE / name).write_text(picture, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=Path, help="cells by index, with accuracies after 12 epochs (CSV)")
    parser.add_argument("--hardware", type=Path, help="latencies of HW-NAS-Bench by index (CSV)")
    parser.add_argument("--row", metavar="KEY", help="run one row again")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose key has the text in it")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time")
    parser.add_argument("--page", action="store_true", help="write the page from the records")
    parser.add_argument("--list", action="store_true", help="show the keys")
    given = parser.parse_args()
    table = {row.key: row for row in rows()}
    if given.row:
        if given.row not in table:
            raise SystemExit(f"no row '{given.row}': see --list")
        run(table[given.row], given.cells, given.hardware)
    elif given.list:
        print("\n".join(f"{key}{'' if recorded(row) else '  (no record)'}" for key, row in table.items()))
    elif given.page:
        write_page()
    else:
        raise SystemExit(_run_all(table.values(), given))


def _run_all(table: Iterable[Row], given: argparse.Namespace) -> int:
    from benchmarks.regret_run import Data  # as above

    data = Data(*(path.resolve() if path else None for path in (given.cells, given.hardware)))
    missing = [row for row in table if given.only in row.key and recorded(row) is None]
    lacking = {row.key: why for row in missing if (why := data.lacks(row))}
    for key, why in lacking.items():
        print(f"{key}: left out, it needs {why}")
    pairs = (("--cells", data.cells), ("--hardware", data.hardware))
    files = [text for flag, path in pairs if path for text in (flag, str(path))]
    with ThreadPoolExecutor(given.jobs) as pool:
        ended = list(pool.map(lambda row: run_apart(row, files), (r for r in missing if r.key not in lacking)))
    write_page()
    return 0 if all(ended) else 1


if __name__ == "__main__":
    main()
