"""What supernets cost, form by form: time, memory, calls, and how far from the machine's floor.

``python -m benchmarks.supernet`` runs every row that has no record in ``records/supernet/``, each in a process of its
own, and writes SUPERNET.md from the records alone. A run that is stopped goes on where it was. ``--row KEY`` runs one
row again, ``--only TEXT`` those whose key has the text in it, ``--again`` runs rows that have a record too, ``--page``
writes the page only, ``--list`` shows the keys and which have a record. The forms of a row take turns, so a
machine that does other things slows them alike; floors and growth want a quiet one.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.apart import DONE, run_apart
from benchmarks.report import HERE
from benchmarks.supernet_page import page, pictures
from benchmarks.supernet_rows import Row, rows, stages

RECORDS = HERE / "records" / "supernet"


def path_of(key: str) -> Path:
    return RECORDS / f"{key}.json"


def records() -> dict[str, dict[str, Any]]:
    """Those that there are, by key, in the order of the rows."""
    return {r.key: json.loads(path_of(r.key).read_text(encoding="utf-8")) for r in rows() if path_of(r.key).exists()}


def make(row: Row) -> None:
    """Measure a row here and write its record."""
    from benchmarks.supernet_run import run  # torch, which the parent of the processes does without

    found = rounded(run(row, records()))
    RECORDS.mkdir(parents=True, exist_ok=True)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda flat: " ".join(flat[0].split()), json.dumps(found, indent=1))
    unfinished = path_of(row.key).with_suffix(".part")
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path_of(row.key))


def rounded(value: Any) -> Any:
    """A record whose numbers have six digits."""
    match value:
        case float():
            return float(f"{value:.6g}")
        case dict():
            return {name: rounded(v) for name, v in value.items()}
        case list() | tuple():
            return [rounded(v) for v in value]
    return value


def make_apart(row: Row) -> bool:
    """Measure a row in a process of its own; whether it ended well."""
    start = time.monotonic()
    result = run_apart("benchmarks.supernet", row.key)
    print(f"{row.key}: {result} ({time.monotonic() - start:.0f} s)", flush=True)
    return result == DONE


def write_page() -> None:
    found = records()
    (HERE / "SUPERNET.md").write_text(page(found), encoding="utf-8")
    for name, picture in pictures(found).items():
        (HERE / name).write_text(picture, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", metavar="KEY", help="measure one row again, here")
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose key has the text in it")
    parser.add_argument("--again", action="store_true", help="also rows that have a record")
    parser.add_argument("--jobs", type=int, default=2, help="rows at a time, a thread each")
    parser.add_argument("--page", action="store_true", help="write the page from the records")
    parser.add_argument("--list", action="store_true", help="show the keys")
    parser.add_argument("--alone", metavar="FORM", help=argparse.SUPPRESS)
    options = parser.parse_args()
    table: Mapping[str, Row] = {row.key: row for row in rows()}
    if options.row and options.row not in table:
        raise SystemExit(f"no row '{options.row}': see --list")
    if options.alone:
        from benchmarks.supernet_run import memory_of

        print(json.dumps(memory_of(table[options.row], options.alone, records())))
    elif options.row:
        make(table[options.row])
    elif options.list:
        print("\n".join(f"{key}{'' if path_of(key).exists() else '  (no record)'}" for key in table))
    elif options.page:
        write_page()
    else:
        good = True
        for stage in stages():
            wanted = [r for r in stage if options.only in r.key and (options.again or not path_of(r.key).exists())]
            with ThreadPoolExecutor(options.jobs) as pool:
                good = all([*pool.map(make_apart, wanted)]) and good
        write_page()
        raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
