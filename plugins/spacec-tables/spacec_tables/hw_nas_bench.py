"""HW-NAS-Bench (Li et al., ICLR 2021): NAS-Bench-201's cells on six devices, beside their accuracies.

Read from a folder of CSV files, packed (``.gz``) or not, that are joined by their column ``idx``, the number that
NAS-Bench-201 gives a cell:

- ``nb201_accuracy.csv``: ``idx``, ``arch`` (the cell as a string) and, by data set (``c10``, ``c100``, ``in16``),
  columns such as ``c10_val200`` and ``c10_val12`` (validation accuracy after so many epochs), ``c10_test12``,
  ``c10_train_s`` (seconds of 200 epochs) and ``c10_params_M``;
- ``nb201_hwnas_cifar10.csv``, ``…_cifar100.csv``, ``…_ImageNet16-120.csv``, as many as there are: ``idx`` and any of
  :data:`DEVICES`.

So one query has the accuracy and the latency of a cell. An epoch costs the same in the short training as in the long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured, data_file, fitted, unreadable
from spacec.space.decisions import DecisionTable
from spacec_tables.cells import ops_of_string, six
from spacec_tables.nas_bench_201 import NAMES, OPS
from spacec_tables.sources import number, rows_of

NAME = "hw-nas-bench"
FOLDER = "hw-nas-bench"
GET = "a folder with nb201_accuracy.csv and nb201_hwnas_cifar10.csv, …; the measurements are of RICE-EIC/HW-NAS-Bench"
PREFIXES = {"cifar10": "c10", "cifar100": "c100", "imagenet16-120": "in16"}
"""Of the columns of accuracies, by data set."""
FILES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "ImageNet16-120"}
EPOCHS = ("200", "12")
DEVICES = (
    Measure("edgegpu_latency", "min", "ms", "on an NVIDIA Jetson TX2"),
    Measure("edgegpu_energy", "min", "mJ", "on an NVIDIA Jetson TX2"),
    Measure("raspi4_latency", "min", "ms", "on a Raspberry Pi 4"),
    Measure("edgetpu_latency", "min", "ms", "on an Edge TPU"),
    Measure("pixel3_latency", "min", "ms", "on a Pixel 3"),
    Measure("eyeriss_latency", "min", "ms", "of the accelerator Eyeriss, simulated"),
    Measure("eyeriss_energy", "min", "mJ", "of the accelerator Eyeriss, simulated"),
    Measure("eyeriss_arithmetic_intensity", "max", "ops/bit", "of the accelerator Eyeriss, simulated"),
    Measure("fpga_latency", "min", "ms", "on a Xilinx ZC706"),
    Measure("fpga_energy", "min", "mJ", "on a Xilinx ZC706"),
)
_MEASURES = (
    Measure("val_acc", "max", "%", "validation accuracy"),
    Measure("test_acc", "max", "%", "test accuracy, where the file has it"),
    Measure("model_size", "min", "M", "weights"),
)

Row = Mapping[str, str]


def open_hw_nas_bench(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of six edges with NAS-Bench-201's five operations. ``path``: the folder."""
    read = fitted(table, NAME, six(OPS))
    folder = data_file(NAME, path, (FOLDER,), GET)
    found = {dataset: file for dataset in FILES if (file := _file(folder, f"nb201_hwnas_{FILES[dataset]}")) is not None}
    accuracy = _file(folder, "nb201_accuracy")
    if accuracy is None or not found:
        lacks = "nb201_accuracy.csv" if accuracy is None else "a file nb201_hwnas_….csv"
        raise unreadable(NAME, folder, f"it has no {lacks}")
    tables = _Tables(accuracy, found)
    devices = tuple(m for m in DEVICES if any(m.name in tables.header(dataset) for dataset in found))

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return tables.measured(read(arch), which["dataset"], which["epochs"])

    return Benchmark(
        NAME, table, (*_MEASURES, *devices), lookup, {"dataset": tuple(found), "epochs": EPOCHS}, str(folder)
    )


@dataclass
class _Tables:
    """The files; those of devices are read when their data set is first asked for."""

    accuracy: Path
    devices: Mapping[str, Path]

    def __post_init__(self) -> None:
        self._read: dict[str, dict[str, dict[str, float]]] = {}

    def header(self, dataset: str) -> tuple[str, ...]:
        """Columns of a data set's measurements."""
        return next((tuple(row) for _, row in rows_of(NAME, self.devices[dataset])), ())

    @cached_property
    def cells(self) -> dict[tuple[str, ...], tuple[int, Row]]:
        """Line and row of a cell, by its operations."""
        found: dict[tuple[str, ...], tuple[int, Row]] = {}
        for line, row in rows_of(NAME, self.accuracy):
            if missing := next((c for c in ("idx", "arch") if c not in row), None):
                raise unreadable(NAME, self.accuracy, f"it has no column '{missing}', only {', '.join(row)}")
            try:
                found[ops_of_string(row["arch"], NAMES)] = (line, row)
            except ValueError as error:
                raise unreadable(NAME, self.accuracy, f"line {line}: {error}") from None
        return found

    def measured(self, ops: tuple[str, ...], dataset: str, epochs: str) -> Measured | None:
        """What both files say of a cell; ``None`` where one of them lacks it."""
        line, row = self.cells.get(ops, (0, {}))
        if not row or (device := self._by_index(dataset).get(row["idx"])) is None:
            return None
        prefix = PREFIXES[dataset]
        headers = {
            "val_acc": f"val{epochs}",
            "test_acc": f"test{epochs}",
            "model_size": "params_M",
            "seconds": "train_s",
        }
        cells = {name: row.get(f"{prefix}_{header}", "").strip() for name, header in headers.items()}
        values = {name: number(NAME, self.accuracy, line, cell) for name, cell in cells.items() if cell}
        seconds = values.pop("seconds", None)
        return Measured({**values, **device}, None if seconds is None else seconds * int(epochs) / int(EPOCHS[0]))

    def _by_index(self, dataset: str) -> dict[str, dict[str, float]]:
        """Measurements by the number of the cell."""
        if dataset not in self._read:
            path, found = self.devices[dataset], dict[str, dict[str, float]]()
            for line, row in rows_of(NAME, path):
                if "idx" not in row:
                    raise unreadable(NAME, path, f"it has no column 'idx', only {', '.join(row)}")
                cells = {m.name: row[m.name] for m in DEVICES if row.get(m.name, "").strip()}
                found[row["idx"]] = {name: number(NAME, path, line, cell) for name, cell in cells.items()}
            self._read[dataset] = found
        return self._read[dataset]


def _file(folder: Path, stem: str) -> Path | None:
    return next((p for end in (".csv", ".csv.gz") if (p := folder / f"{stem}{end}").is_file()), None)
