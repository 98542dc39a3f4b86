"""TransNAS-Bench-101's micro space (Duan et al., CVPR 2021): 4,096 cells on seven tasks, from a CSV file of one task.

A column ``net`` holds the cell: the benchmark's own string (``64-41414-1_02_333``), or a tuple of six digits in its
order (``(1, 0, 2, 3, 3, 3)``); 0 none, 1 skip, 2 convolution 1x1, 3 convolution 3x3. The other columns:
:mod:`spacec_tables.columns`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from spacec.space.benchmark import Benchmark, Names, data_file, fitted
from spacec.space.decisions import DecisionTable
from spacec_tables.cells import EDGES, six
from spacec_tables.columns import csv_benchmark

NAME = "transnas-bench-101-micro"
GET = "a CSV file of one task with a column `net`; the tables come with the repository yawen-d/TransNASBench"
OPS: tuple[Names, ...] = (
    ("0", "none", "zero"),
    ("1", "skip", "identity"),
    ("2", "conv1", "nor_conv_1x1"),
    ("3", "conv3", "nor_conv_3x3"),
)
_STRING = re.compile(r"64-41414-([0-3])_([0-3]{2})_([0-3]{3})")
_LOWER = ("params", "flops", "latency")


def open_transnas_micro(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of six edges with its four operations."""
    read = fitted(table, NAME, six(OPS))
    found = data_file(NAME, path, (), GET)
    return csv_benchmark(NAME, table, found, ("net",), _ops, read, lower=_LOWER)


def _ops(row: Mapping[str, str]) -> tuple[str, ...]:
    string = _STRING.fullmatch(row["net"].strip())
    digits = tuple("".join(string.groups()) if string else re.findall(r"\d+", row["net"]))
    if len(digits) != len(EDGES) or any(d not in "0123" for d in digits):
        raise ValueError(f"'{row['net']}' is neither of the form 64-41414-1_02_333 nor six digits of 0 to 3")
    return digits
