"""Equal pure sub-expressions become one: a ReLU of one tensor is computed once, however many candidates begin with it.

Two ops are equal that have the same name, attributes, type and inputs (in any order where the op commutes), themselves
after sharing; so whole pure expressions merge, within and across candidates, edges and cells. Ops with weights, buffers
or random numbers never do. The one that is left stands where the first stood, and is there where any of them was: its
guard is the disjunction.

Assumes a flat graph. Guarantees names, slots and instances as they were: pure ops have none.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.conditions import Cond, either
from spacec.ir.flat import FlatGraph, FlatInput, FlatMix, FlatNode, FlatOp, with_sources


@dataclass(frozen=True)
class Share:
    """Compute equal pure expressions once."""

    name: ClassVar[str] = "share"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with one node for each different pure expression."""
        place: list[int] = []
        nodes: list[FlatNode] = []
        first: dict[Hashable, int] = {}
        guards: dict[int, list[Cond]] = {}
        for node in flat.nodes:
            moved = with_sources(node, place.__getitem__)
            what = expression(moved)
            index = len(nodes) if what is None else first.setdefault(what, len(nodes))
            place.append(index)
            if index == len(nodes):
                nodes.append(moved)
            if what is not None and not isinstance(moved, FlatInput):
                guards.setdefault(index, []).append(moved.guard)
        for index, told in guards.items():
            if len(told) > 1:
                nodes[index] = _guarded(nodes[index], either(*told))
        return replace(flat, nodes=tuple(nodes), outputs={name: place[i] for name, i in flat.outputs.items()})


def _guarded(node: FlatNode, guard: Cond) -> FlatNode:
    assert not isinstance(node, FlatInput), "inputs are always there"
    return replace(node, guard=guard)


def expression(node: FlatNode) -> Hashable | None:
    """What a pure node computes; ``None`` for any other."""
    if isinstance(node, FlatMix) and not any(term.norm for term in node.terms):
        return node.terms, node.type
    if not isinstance(node, FlatOp) or node.spec.state:
        return None
    inputs = tuple(sorted(node.inputs)) if node.spec.laws.commutes else node.inputs
    return node.spec.name, tuple(node.attrs.items()), inputs, node.type
