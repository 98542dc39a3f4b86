"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): 26,206 graph networks on nine graphs, from the package nas-bench-graph.

The space has four nodes: which earlier one each reads (the benchmark's ``link``), and its operation. Many architectures
are one network; the package's own code finds the one that was trained. On ``proteins`` a part of them was.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured, Names, fitted, unreadable
from spacec.space.decisions import DecisionTable
from spacec_tables.sources import package_folder, version_of

NAME = "nas-bench-graph"
MODULE = "nas_bench_graph"
DATASETS = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins")
OPS: tuple[Names, ...] = tuple((op,) for op in ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip"))
LINKS: tuple[tuple[Names, ...], ...] = tuple(tuple((str(u),) for u in range(n)) for n in (2, 3, 4))
"""Of the nodes 2, 3 and 4; node 1 reads the features, which are 0."""

_COLUMNS = {"valid_perf": "valid_acc", "perf": "test_acc", "latency": "latency", "para": "params"}
_MEASURES = (
    Measure("valid_acc", "max", "", "share of the validation nodes, mean over seeds (proteins: area under the curve)"),
    Measure("test_acc", "max", "", "share of the test nodes"),
    Measure("latency", "min", "s", "of the whole graph"),
    Measure("params", "min", "M", "weights, those that nothing reads included"),
)


def open_nas_bench_graph(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark for a space of three links and four operations, in this order."""
    read = fitted(table, NAME, (*LINKS, *(OPS,) * 4))
    if path is not None:
        raise unreadable(NAME, path, f"it is read from the package {NAME}")
    package_folder(NAME, MODULE, NAME, NAME)
    package: Any = importlib.import_module(MODULE)
    loaded: dict[str, Any] = {}

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        dataset = which["dataset"]
        if dataset not in loaded:
            loaded[dataset] = package.light_read(dataset)
        chosen = read(arch)
        link, ops = [0, *map(int, chosen[:3])], list(chosen[3:])
        row = loaded[dataset].get(package.Arch(link, ops).valid_hash())
        return None if row is None else Measured({mine: float(row[theirs]) for theirs, mine in _COLUMNS.items()})

    return Benchmark(NAME, table, _MEASURES, lookup, {"dataset": DATASETS}, version_of(NAME))
