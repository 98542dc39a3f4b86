"""Strategies beside random search on real data, and CLEARER beside random architectures of equal size.

``python -m benchmarks.strategies`` runs every row that has no record in ``records/``, each in a process of its own,
and writes STRATEGIES.md from the records alone. ``--row KEY`` runs one row again, ``--only TEXT`` those whose key has
the text in it, ``--page`` writes the page only, ``--list`` shows the keys and which have a record.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.apart import DONE, run_apart
from benchmarks.report import HERE
from benchmarks.strategy_page import page
from benchmarks.strategy_pictures import pictures
from benchmarks.strategy_rows import Pair, Row, rows

RECORDS = HERE / "records"


def path_of(key: str) -> Path:
    return RECORDS / f"{key}.json"


def records() -> dict[str, dict[str, Any]]:
    """Those that there are, by key, in the order of the rows."""
    return {r.key: json.loads(path_of(r.key).read_text(encoding="utf-8")) for r in rows() if path_of(r.key).exists()}


def make(row: Row | Pair) -> None:
    """Run a row here and write its record."""
    from benchmarks.strategy_run import run  # torch, which the parent of the processes does without

    record = run(row.settings())
    RECORDS.mkdir(exist_ok=True)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda flat: " ".join(flat[0].split()), json.dumps(record, indent=1))
    path_of(row.key).write_text(text + "\n", encoding="utf-8")  # a list of numbers is one line


def make_apart(row: Row | Pair) -> bool:
    """Run a row in a process of its own, unless another process has made its record by now; whether it ended well."""
    if path_of(row.key).exists():
        return True
    result = run_apart("benchmarks.strategies", row.key)
    print(f"{row.key}: {result}", flush=True)
    return result == DONE


def write_page() -> None:
    found = records()
    (HERE / "STRATEGIES.md").write_text(page(found), encoding="utf-8")
    for name, picture in pictures(found).items():
        (HERE / name).write_text(picture, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", metavar="KEY", help="run one row again")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose key has the text in it")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time")
    parser.add_argument("--page", action="store_true", help="write the page from the records")
    parser.add_argument("--list", action="store_true", help="show the keys")
    options = parser.parse_args()
    table: Mapping[str, Row | Pair] = {row.key: row for row in rows()}
    if options.row:
        if options.row not in table:
            raise SystemExit(f"no row '{options.row}': see --list")
        make(table[options.row])
    elif options.list:
        print("\n".join(f"{key}{'' if path_of(key).exists() else '  (no record)'}" for key in table))
    elif options.page:
        write_page()
    else:
        missing = [row for key, row in table.items() if options.only in key and not path_of(key).exists()]
        with ThreadPoolExecutor(options.jobs) as pool:
            ended = list(pool.map(make_apart, missing))
        write_page()
        raise SystemExit(0 if all(ended) else 1)


if __name__ == "__main__":
    main()
