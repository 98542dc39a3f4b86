"""Weights of every network in the published benchmark tables, against what spacec counts from the grammars.

    python benchmarks/published_tables.py FOLDER

FOLDER holds the tables under their released names (see ``TABLES``); one that is missing is said to be. The
tables themselves are not part of spacec. The last run is recorded in RESULTS.md.
"""

from __future__ import annotations

import ast
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import spacec

GRAMMARS = Path(__file__).parents[1] / "grammars"
Row = tuple[int, int]
"""Published weights, counted weights."""


def shipped(name: str, **given: object) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", **given)


def transnas(file: Path, grammar: str, text: Callable[[spacec.Space, tuple[int, ...]], str]) -> Iterator[Row]:
    """NASLib's sample of TransNAS-Bench-101, task class_object (100 classes); weights are given in millions."""
    space = shipped(grammar, classes=100)
    for key, found in read(file)["class_object"].items():
        yield (
            round(found["params"]["score"] * 1e6),
            space.params(space.architecture(text(space, ast.literal_eval(key)))),
        )


def micro_text(space: spacec.Space, code: tuple[int, ...]) -> str:
    return f"{space.digest}:cell=" + ",".join(("none", "skip", "conv1", "conv3")[c] for c in code)


MODULES = ("same", "wide", "down", "both")


def macro_text(space: spacec.Space, code: tuple[int, ...]) -> str:
    """Modules of kinds 1 to 4 (2 and 4 double the channels, 3 and 4 halve the map); zeros fill up."""
    kinds = [k for k in code if k]
    known = {d.owner for d in space.decisions}
    parts = [f"net={('four', 'five', 'six')[len(kinds) - 4]}"]
    left, wide, down = len(kinds), 0, 0
    for kind in kinds:
        if f"walk[{left},{wide},{down}]" in known:  # a module that could be of one kind only is no decision
            parts.append(f"walk@{left}.{wide}.{down}={MODULES[kind - 1]}")
        left, wide, down = left - 1, wide + (kind in (2, 4)), down + (kind in (3, 4))
    return ":".join((space.digest, *parts))


def transnas_macro(file: Path) -> Iterator[Row]:
    return transnas(file, "transnas_macro", macro_text)


def transnas_micro(file: Path) -> Iterator[Row]:
    return transnas(file, "transnas_micro", micro_text)


TABLES: dict[str, tuple[str, Callable[[Path], Iterator[Row]]]] = {
    "TransNAS-Bench-101 macro": ("naslib_zc_transbench101_macro.json.gz", transnas_macro),
    "TransNAS-Bench-101 micro": ("naslib_zc_transbench101_micro.json.gz", transnas_micro),
}


def read(file: Path) -> Any:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        return json.load(stream)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
    print("| table | networks | equal | largest difference |\n|---|---|---|---|")
    for title, (name, rows) in TABLES.items():
        file = folder / name
        if not file.is_file():
            print(f"| {title} | no file {name} | | |")
            continue
        differences = [abs(a - b) for a, b in rows(file)]
        print(f"| {title} | {len(differences)} | {differences.count(0)} | {max(differences):,} |")


if __name__ == "__main__":
    main()
