"""Weights of every network in the published benchmark tables, against what spacec counts from the grammars.

    python -m benchmarks.published_tables FOLDER

FOLDER holds the tables under their released names (see ``TABLES``); one that is missing is said to be. The
tables themselves are not part of spacec. A run is recorded in TABLES.md beside this file.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import spacec
from benchmarks.report import ROOT, machine, publish

Row = tuple[int, int]
"""Published weights, counted weights."""


def shipped(name: str, **given: object) -> spacec.Space:
    return spacec.load(ROOT / "grammars" / f"{name}.space", **given)


def read(file: Path) -> Any:
    """JSON, compressed or not."""
    data = file.read_bytes()
    return json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)


# ------------------------------------------------------------ NAS-Bench-101 (Ying et al., ICML 2019)


def nas_bench_101(file: Path) -> Iterator[Row]:
    """NASLib's sample (NAS-Bench-Suite-Zero): a key is an adjacency matrix of 7 x 7, then 7 operations."""
    space = shipped("nas_bench_101")
    for key, found in read(file)["nasbench101"]["cifar10"].items():
        yield round(found["params"] * 1e6), space.params(space.read(key, "naslib"))


# --------------------------------------------------------- TransNAS-Bench-101 (Duan et al., CVPR 2021)


def transnas(file: Path, grammar: str) -> Iterator[Row]:
    """NASLib's sample, task class_object (100 classes); weights are given in millions."""
    space = shipped(grammar, classes=100)
    for key, found in read(file)["class_object"].items():
        yield round(found["params"]["score"] * 1e6), space.params(space.read(key, "naslib"))


# ------------------------------------------------------------- NAS-Bench-Macro (Su et al., CVPR 2021)


def nas_bench_macro(file: Path) -> Iterator[Row]:
    """A path is one digit for each of eight layers. Weights and multiplies must both agree; weights are returned."""
    space = shipped("nas_bench_macro")
    for path, row in read(file).items():
        arch = space.read(path, "nas-bench-macro")
        same = space.macs(arch) == row["flops"]
        yield row["params"], space.params(arch) if same else -1


# ------------------------------------------------------------- Accel-NASBench (Ahmad et al., DAC 2024)


def accel(space: spacec.Space, blocks: Sequence[str]) -> spacec.Architecture:
    """A block is its expansion, kernel, layers, and whether it has squeeze and excitation: ``451F``."""
    net = ",".join(f"{k},{int(se == 'T')},{layers}" for _, k, layers, se in blocks)
    ops = "".join(f":net.block@{b}.op=e{e}" for b, (e, *_) in enumerate(blocks))
    return space.architecture(f"{space.digest}:net={net}{ops}")


def accel_nasbench(file: Path) -> Iterator[Row]:
    space = shipped("accel_nasbench")
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            blocks = ["".join(row[f"block{b}_{part}"] for part in "ekl") + row[f"block{b}_se"][0] for b in range(7)]
            yield round(float(row["params"]) * 1e6), space.params(accel(space, blocks))


TABLES: dict[str, tuple[str, Callable[[Path], Iterator[Row]]]] = {
    "NAS-Bench-101": ("naslib_zc_nasbench101_500.json.gz", nas_bench_101),
    "TransNAS-Bench-101 macro": (
        "naslib_zc_transbench101_macro.json.gz",
        lambda file: transnas(file, "transnas_macro"),
    ),
    "TransNAS-Bench-101 micro": (
        "naslib_zc_transbench101_micro.json.gz",
        lambda file: transnas(file, "transnas_micro"),
    ),
    "NAS-Bench-Macro, with multiplies": ("nas-bench-macro_cifar10.json", nas_bench_macro),
    "Accel-NASBench": ("accel_nasbench_5138.csv.gz", accel_nasbench),
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
    facts = machine()
    lines = ["| table | networks | equal | largest difference |", "|---|---:|---:|---:|"]
    for title, (name, rows) in TABLES.items():
        file = folder / name
        if not file.is_file():
            lines.append(f"| {title} | no file {name} | | |")
            continue
        differences = [abs(a - b) for a, b in rows(file)]
        lines.append(f"| {title} | {len(differences):,} | {differences.count(0):,} | {max(differences):,} |")
    about = "Weights (NAS-Bench-Macro: multiplies too) of every network, as published and as counted from the grammar."
    made = "Made by `python -m benchmarks.published_tables FOLDER`."
    publish("TABLES", "Published benchmark tables", facts, (about, made), lines)


if __name__ == "__main__":
    main()
