"""What passes over flat graphs share: who reads what, which nodes have a name, and a graph with some nodes replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatNode, FlatOp, sources_of, with_sources


def readers_of(flat: FlatGraph) -> list[int]:
    """How many nodes and outputs read each node, once for each time that they name it."""
    count = [0] * len(flat.nodes)
    for node in flat.nodes:
        for source in sources_of(node):
            count[source] += 1
    for index in flat.outputs.values():
        count[index] += 1
    return count


def named(flat: FlatGraph, names: Collection[str]) -> frozenset[int]:
    """The nodes of these names: parameter keys, instances of choices, inputs and outputs."""
    found = {flat.outputs[name] for name in names if name in flat.outputs}
    for index, node in enumerate(flat.nodes):
        match node:
            case FlatOp(key=name) | FlatChoose(instance=name) | FlatInput(name=name):
                if name in names:
                    found.add(index)
    return frozenset(found)


def live_nodes(flat: FlatGraph, roots: Iterable[int]) -> list[bool]:
    """Which nodes these nodes, the inputs and the outputs of the graph need."""
    live = [isinstance(node, FlatInput) for node in flat.nodes]
    for index in (*roots, *flat.outputs.values()):
        live[index] = True
    for index in range(len(flat.nodes) - 1, -1, -1):
        if live[index]:
            for source in sources_of(flat.nodes[index]):
                live[source] = True
    return live


def without(flat: FlatGraph, gone: Mapping[int, int]) -> FlatGraph:
    """The graph without the nodes ``gone``; what read one reads the node that stands for it, which comes before it."""
    place: list[int] = []
    nodes: list[FlatNode] = []
    for index, node in enumerate(flat.nodes):
        if index in gone:
            place.append(place[gone[index]])
            continue
        sources = sources_of(node)
        moved = all(place[s] == s for s in sources)
        place.append(len(nodes))
        nodes.append(node if moved else with_sources(node, place.__getitem__))
    return replace(flat, nodes=tuple(nodes), outputs={name: place[i] for name, i in flat.outputs.items()})


def only(flat: FlatGraph, kept: Sequence[bool]) -> FlatGraph:
    """The graph with some of its nodes, none of which reads another."""
    place: dict[int, int] = {}
    nodes: list[FlatNode] = []
    for index, node in enumerate(flat.nodes):
        if kept[index]:
            place[index] = len(nodes)
            nodes.append(with_sources(node, place.__getitem__))
    return replace(flat, nodes=tuple(nodes), outputs={name: place[i] for name, i in flat.outputs.items()})
