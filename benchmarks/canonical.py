"""How fast networks are named: digests of NAS-Bench-201 cells and networks, beside networkx' hash of the same cells.

    python -m benchmarks.canonical

Every number is of one process on one core, in CPU seconds. networkx' Weisfeiler-Lehman hash does less: it is given the
cell as a graph with operations on its nodes, without identities, zeros or dead edges told apart, and graphs of one hash
may still differ.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import networkx

import spacec
from benchmarks.report import ROOT, arguments, machine, publish
from spacec import Space
from spacec.space.architecture import Architecture

BENCH = ROOT / "grammars" / "nas_bench_201.space"
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
PEER = 2_000
"""Cells that the peer hashes."""


def spent(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def graph_of(arch: Architecture) -> networkx.DiGraph:
    """The cell with a node for each operation, as NAS-Bench-101 writes cells."""
    graph = networkx.DiGraph()
    for node in range(4):
        graph.add_node(("sum", node), op="sum")
    for (source, target), (decision, op) in zip(EDGES, arch.choices, strict=True):
        graph.add_node(decision, op=str(op))
        graph.add_edge(("sum", source), decision)
        graph.add_edge(decision, ("sum", target))
    return graph


def hashes(graphs: Sequence[networkx.DiGraph]) -> None:
    for graph in graphs:
        networkx.weisfeiler_lehman_graph_hash(graph, node_attr="op", iterations=4)


def names(space: Space, archs: Sequence[Architecture], owner: str | None) -> None:
    for arch in archs:
        space.canonical(arch, owner)


def fresh() -> Space:
    """The space, with all that does not depend on an architecture made."""
    space = spacec.load(BENCH)
    names(space, [space.unrank(0)], None)
    return space


def measured(runs: int) -> list[tuple[str, int, float]]:
    """What was named, how many, and the median of the seconds."""
    every = list(fresh().enumerate())
    drawn = fresh().sample(20_000, seed=1)
    graphs = [graph_of(a) for a in every[:: len(every) // PEER][:PEER]]
    rows: list[tuple[str, int, Callable[[], Callable[[], object]]]] = [
        ("all cells, each once", len(every), lambda: partial(names, fresh(), every, "cell")),
        ("20,000 cells drawn uniformly", len(drawn), lambda: partial(names, fresh(), drawn, "cell")),
        (
            "whole networks (three bodies of the cell, 15 calls), drawn",
            5_000,
            lambda: partial(names, fresh(), drawn[:5_000], None),
        ),
        ("networkx weisfeiler_lehman_graph_hash, graphs made before", PEER, lambda: partial(hashes, graphs)),
    ]
    found = []
    for what, number, prepare in rows:
        found.append((what, number, statistics.median(spent(prepare()) for _ in range(runs))))
    return found


def main() -> None:
    options = arguments("How fast networks are named.", runs=5).parse_args()
    facts = machine()
    rows = measured(options.runs)
    peer = rows[-1][1] / rows[-1][2]
    table = ["| what | number | per second | beside networkx |", "|---|---:|---:|---:|"]
    table += [f"| {what} | {n:,} | {n / s:,.0f} | {n / s / peer:.1f} |" for what, n, s in rows]
    about = (
        f"Medians of {options.runs} runs, CPU time of one core; each run begins without anything remembered.",
        "The target is 20,000 cells per second.",
        options.note,
    )
    publish("CANONICAL", "Naming networks", facts, about, table)


if __name__ == "__main__":
    main()
