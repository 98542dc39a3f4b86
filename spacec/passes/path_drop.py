"""Drop-path on the edges of a supernet: in training whole samples of an edge are dropped, what other edges give stays.

An *edge* is a choice of which every reader adds it to something else: the sums of cells. RobustDARTS' search drops them
so (Zela et al., ICLR 2020), skips included. Elsewhere, as in a chain, nothing would be left of the sample.

Assumes a flat graph. Guarantees slots, instances and keys as they were, but for the drop-path stages, whose keys begin
with :data:`PREFIX`. Their rate is zero until ``set_drop_path`` says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from spacec.ir.flat import FlatChoose, FlatGraph, FlatNode, FlatOp, sources_of, with_sources
from spacec.std.primitives import PRIMITIVE_TABLE

PREFIX = "edge_drop_path"
"""No name of a space: those of its steps end in numbers."""

_DROP_PATH = PRIMITIVE_TABLE.ops["drop_path"]


def edges(flat: FlatGraph) -> frozenset[int]:
    """The choices that are only read by sums, by node."""
    readers: dict[int, list[FlatNode]] = {}
    for node in flat.nodes:
        for source in sources_of(node):
            readers.setdefault(source, []).append(node)
    outputs = set(flat.outputs.values())
    return frozenset(
        index
        for index, node in enumerate(flat.nodes)
        if isinstance(node, FlatChoose)
        and index not in outputs
        and index in readers
        and all(map(_adds, readers[index]))
    )


def with_path_drop(flat: FlatGraph) -> FlatGraph:
    """The graph with a drop-path stage between every edge and the sums that read it."""
    found = edges(flat)
    nodes: list[FlatNode] = []
    place: dict[int, int] = {}
    for index, node in enumerate(flat.nodes):
        now = with_sources(node, place.__getitem__)
        nodes.append(now)
        if index in found:
            assert isinstance(now, FlatChoose), "edges are choices"
            key = f"{PREFIX}.{now.instance}_{index}"
            nodes.append(FlatOp(_DROP_PATH, {}, (len(nodes) - 1,), now.type, key, now.guard))
        place[index] = len(nodes) - 1
    outputs = {name: place[index] for name, index in flat.outputs.items()}
    return replace(flat, nodes=tuple(nodes), outputs=outputs)


def _adds(node: FlatNode) -> bool:
    return isinstance(node, FlatOp) and node.spec.name == "sum" and len(node.inputs) > 1
