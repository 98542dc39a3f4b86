"""NATS-Bench's size space (Dong et al., TPAMI 2021): 32,768 networks of five widths, from the authors' files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measured, Names, data_file, fitted
from spacec.space.decisions import DecisionTable
from spacec_tables.nats import DATASETS, MEASURES, SEEDS, Results

NAME = "nats-bench-size"
FILES = ("NATS-sss-v1_0-50262-simple", "NATS-sss-v1_0-50262.pickle.pbz2")
GET = "the files are linked in the README of the repository D-X-Y/NATS-Bench; unpack a .tar"
WIDTHS: tuple[Names, ...] = tuple((str(w),) for w in range(8, 65, 8))


def open_nats_bench_size(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of five widths."""
    read = fitted(table, NAME, (WIDTHS,) * 5)
    found = data_file(NAME, path, FILES, GET)
    results = Results(NAME, found)

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return results.measured(":".join(read(arch)), which)

    which = {"dataset": tuple(DATASETS), "epochs": ("90", "12", "01"), "seed": SEEDS}
    return Benchmark(NAME, table, MEASURES, lookup, which, str(found))
