"""Accel-NASBench (Ahmad et al., DAC 2024): networks of MnasNet's kind on ImageNet, on six accelerators, from a CSV.

Seven blocks with four columns each: ``block0_e`` (expansion 1, 4 or 6), ``block0_k`` (kernel 3 or 5), ``block0_l``
(layers), ``block0_se`` (squeeze and excitation, True or False). ``train_time`` is the simulated cost in seconds; the
other columns: :mod:`spacec_tables.columns`. The results hold 5,125 of the space's 1.04e11 networks, some of them twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spacec.space.benchmark import Benchmark, Names, data_file, fitted
from spacec.space.decisions import DecisionTable
from spacec_tables.columns import csv_benchmark

NAME = "accel-nasbench"
GET = "a CSV file with columns block0_e, block0_k, block0_l, block0_se, …; the results come with afzalxo/Accel-NASBench"
DEEPEST = (3, 3, 3, 3, 3, 4, 3)
_LOWER = ("macs", "params", "latency_zcu102", "latency_vck190")


def open_accel_nasbench(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of seven blocks, each deciding kernel, squeezes, layers and expansion."""
    questions = [question for deepest in DEEPEST for question in _block(deepest)]
    read = fitted(table, NAME, questions)
    found = data_file(NAME, path, (), GET)
    columns = [f"block{i}_{what}" for i in range(len(DEEPEST)) for what in ("k", "se", "l", "e")]

    def key_of_row(row: Mapping[str, str]) -> tuple[str, ...]:
        cells = tuple({"True": "1", "False": "0"}.get(row[c].strip(), row[c].strip()) for c in columns)
        for column, cell, candidates in zip(columns, cells, questions, strict=True):
            if cell not in [names[0] for names in candidates]:
                raise ValueError(f"{column} cannot be '{cell}'")
        return cells

    return csv_benchmark(NAME, table, found, columns, key_of_row, read, "train_time", _LOWER)


def _block(deepest: int) -> list[tuple[Names, ...]]:
    depths: tuple[Names, ...] = tuple((str(n),) for n in range(1, deepest + 1))
    return [(("3",), ("5",)), (("0",), ("1",)), depths, (("1", "e1"), ("4", "e4"), ("6", "e6"))]
