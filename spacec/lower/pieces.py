"""Pieces of a flat graph: ops that run together or not at all, whatever a mask selects.

An op that one other op alone reads, and nothing else, belongs to that op's piece where nothing of another piece stands
between the two: plans keep the graph's order. Only a sum or a concat may run without some of its inputs, so each is a
piece by itself; so is a mix. A plan for one architecture is then put together of pieces made once: a candidate of
ReLU, convolution and norm is one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from spacec.ir.flat import FlatGraph, FlatMix, FlatOp, sources_of
from spacec.ir.ops import DROPS_ABSENT


@dataclass(frozen=True, slots=True)
class OpStep:
    """Run the op or the mix ``node`` on the present ``inputs``."""

    node: int
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """The ops of the piece whose value is that of the node ``root``, in order.

    ``sources``: nodes outside that it reads, each with the step that reads it last; ``releases``: after each step, the
    values of the piece that nothing reads any more.
    """

    root: int
    steps: tuple[OpStep, ...]
    releases: tuple[tuple[int, ...], ...]
    sources: tuple[int, ...]
    last_reads: tuple[int, ...]
    lenient: bool
    """It is a sum or a concat, which absent terms may leave."""


def pieces_of(flat: FlatGraph) -> dict[int, Piece]:
    """The pieces, by root."""
    readers: list[set[int]] = [set() for _ in flat.nodes]
    for index, node in enumerate(flat.nodes):
        for source in sources_of(node):
            readers[source].add(index)
    for index in flat.outputs.values():
        readers[index].add(-1)
    roots = list(range(len(flat.nodes)))
    members: dict[int, list[int]] = {}
    for index in range(len(flat.nodes) - 1, -1, -1):
        node = flat.nodes[index]
        if isinstance(node, FlatMix):
            members[index] = [index]
        if not isinstance(node, FlatOp):
            continue
        if len(readers[index]) == 1 and node.spec.name not in DROPS_ABSENT:
            (reader,) = readers[index]
            adjoins = reader >= 0 and roots[reader] == roots[index + 1]
            if adjoins and isinstance(op := flat.nodes[reader], FlatOp) and op.spec.name not in DROPS_ABSENT:
                roots[index] = roots[reader]
        members.setdefault(roots[index], []).append(index)
    return {root: _piece(flat, root, found[::-1]) for root, found in members.items()}


def _piece(flat: FlatGraph, root: int, members: list[int]) -> Piece:
    steps = tuple(OpStep(i, sources_of(flat.nodes[i])) for i in members)
    last = {source: place for place, step in enumerate(steps) for source in step.inputs}
    inside = frozenset(members)
    outside = tuple(source for source in dict.fromkeys(i for s in steps for i in s.inputs) if source not in inside)
    releases = tuple(
        tuple(i for i in dict.fromkeys(step.inputs) if i in inside and last[i] == place)
        for place, step in enumerate(steps)
    )
    op = flat.nodes[root]
    lenient = isinstance(op, FlatOp) and op.spec.name in DROPS_ABSENT
    return Piece(root, steps, releases, outside, tuple(last[s] for s in outside), lenient)
