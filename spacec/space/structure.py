"""Normal graphs as coloured graphs with tagged arcs, and colour refinement on them.

Assumes vertices in topological order. Colours are the same in every process and version of Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from spacec.space.normal import NormalGraph

Colours = dict[int, int]

_MASK = (1 << 64) - 1
_SHARED = -1
"""Tag of the arcs from the vertices that share weights to the node of these weights."""


@dataclass(frozen=True)
class Arcs:
    """``inputs[v]`` and ``readers[v]``: tag and node of each arc into and out of ``v``; ``colours`` at the start.

    Nodes after the vertices stand for weights that several vertices share. Tags are places of ordered inputs, from
    1 on, or 0.
    """

    inputs: Sequence[Sequence[tuple[int, int]]]
    readers: Sequence[Sequence[tuple[int, int]]]
    colours: Sequence[int]


def arcs_of(graph: NormalGraph) -> Arcs:
    """The arcs of a normal graph."""
    inputs: list[list[tuple[int, int]]] = []
    sharing: dict[str, list[int]] = {}
    colours = []
    for v, vertex in enumerate(graph.vertices):
        inputs.append([(k if vertex.ordered else 0, u) for k, u in enumerate(vertex.inputs, 1)])
        colours.append(mixed(_named(vertex.label), 2 * vertex.ordered + bool(vertex.weights)))
        if vertex.weights:
            sharing.setdefault(vertex.weights, []).append(v)
    for k, v in enumerate(graph.outputs):
        colours[v] = mixed(colours[v], 3 + k)
    for members in sharing.values():
        if len(members) > 1:
            inputs.append([(_SHARED, v) for v in members])
            colours.append(0)
    readers: list[list[tuple[int, int]]] = [[] for _ in inputs]
    for v, arcs in enumerate(inputs):
        for tag, u in arcs:
            readers[u].append((tag, v))
    return Arcs(inputs, readers, colours)


def refine(arcs: Arcs, nodes: Iterable[int], colours: Colours) -> Colours:
    """The coarsest equitable refinement; ``nodes`` in topological order, arcs to others do not count."""
    order = list(nodes)
    inputs = {v: [a for a in arcs.inputs[v] if a[1] in colours] for v in order}
    readers = {v: [a for a in arcs.readers[v] if a[1] in colours] for v in order}
    known = len(set(colours.values()))
    while True:
        below: Colours = {}
        for v in order:
            below[v] = mixed(colours[v], sum([mixed(below[u], tag) for tag, u in inputs[v]]) & _MASK)
        above: Colours = {}
        for v in reversed(order):
            above[v] = mixed(below[v], sum([mixed(above[u], tag) for tag, u in readers[v]]) & _MASK)
        found = len(set(above.values()))
        if found == known:
            return colours
        colours, known = above, found
        if found == len(order):
            return colours


def mixed(a: int, b: int) -> int:
    """A 64-bit hash of two numbers (the finaliser of SplitMix64)."""
    x = (a * 0x9E3779B97F4A7C15 + b + 0x632BE59BD9B4E019) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


@lru_cache(maxsize=4096)
def _named(label: str) -> int:
    return int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little")
