"""NAS-Bench-Macro (Su et al., CVPR 2021): 6,561 networks of eight layers on CIFAR-10, from the authors' JSON file.

The file maps eight digits (0 identity, 1 expansion 3 with kernel 3, 2 expansion 6 with kernel 5) to ``test_acc`` (three
seeds), ``mean_acc``, ``std``, ``params`` and ``flops``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured, Names, data_file, fitted, unreadable
from spacec.space.decisions import DecisionTable
from spacec_tables.sources import json_of

NAME = "nas-bench-macro"
FILE = "nas-bench-macro_cifar10.json"
GET = f"{FILE} is in the folder data of the repository xiusu/NAS-Bench-Macro"
LAYERS = 8
OPS: tuple[Names, ...] = (("0", "identity"), ("1", "mb3_k3"), ("2", "mb6_k5"))

_MEASURES = (
    Measure("test_acc", "max", "%", "on CIFAR-10"),
    Measure("std", "min", "%", "over the seeds"),
    Measure("params", "min"),
    Measure("flops", "min", "", "multiplies"),
)


def open_nas_bench_macro(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of eight layers with its three choices."""
    read = fitted(table, NAME, (OPS,) * LAYERS)
    found = data_file(NAME, path, (FILE,), GET)
    data = json_of(NAME, found)
    keys = ("test_acc", "mean_acc", "std", "params", "flops")
    if not isinstance(data, dict) or not all(isinstance(r, dict) and set(keys) <= set(r) for r in data.values()):
        raise unreadable(NAME, found, f"it does not map architectures to {', '.join(keys)}")

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        row = data.get("".join(read(arch)))
        seed = which["seed"]
        if row is None or (seed != "mean" and int(seed) >= len(row["test_acc"])):
            return None
        accuracy = row["mean_acc"] if seed == "mean" else row["test_acc"][int(seed)]
        return Measured({"test_acc": float(accuracy), **{k: float(row[k]) for k in keys[2:]}})

    return Benchmark(NAME, table, _MEASURES, lookup, {"seed": ("mean", "0", "1", "2")}, str(found))
