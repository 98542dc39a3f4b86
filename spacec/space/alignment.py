"""Which concats may take their terms in any order, because weights on all sides absorb a permutation of channels.

Assumes a finished space graph. Tensors whose channels must be permuted together are in one class: what a channelwise
op reads and gives, the terms of a sum, the alternatives of a choice, the uses of one tied layer. A mixing op starts a
new class. The terms of a concat may be exchanged where its class holds no input or output of the network, no op of
which nothing is known and no other concat, and where the same is true of every concat that the class goes into.
All alternatives of every choice are taken to be there: so the answer is one for all architectures, and sound for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spacec.ir.graph import CallNode, OpNode, Ref, SpaceGraph
from spacec.ir.naming import Place, joined, root_place, state_path
from spacec.ir.ops import Channels
from spacec.ir.types import TensorType


@dataclass(frozen=True)
class _Concat:
    """One activation of a concat: the node of its region, its class and those of its terms."""

    node: int
    out: int
    terms: tuple[int, ...]


@dataclass(eq=False)
class _Classes:
    """Classes of channels as a union-find forest."""

    parent: list[int] = field(default_factory=list)
    pinned: list[int] = field(default_factory=list)
    concats: list[_Concat] = field(default_factory=list)
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Classes before and behind every layer with weights, by key."""
    members: dict[tuple[str, int], tuple[list[int], list[int]]] = field(default_factory=dict)
    """Inputs and outputs of tied members."""

    def new(self) -> int:
        self.parent.append(len(self.parent))
        return len(self.parent) - 1

    def find(self, a: int) -> int:
        while self.parent[a] != a:
            self.parent[a] = self.parent[self.parent[a]]
            a = self.parent[a]
        return a

    def join(self, classes: Sequence[int]) -> int:
        """One class of all; a new one of none."""
        if not classes:
            return self.new()
        first = self.find(classes[0])
        for other in classes[1:]:
            self.parent[self.find(other)] = first
        return first


def unordered_concats(graph: SpaceGraph) -> frozenset[int]:
    """The concats, by the identity of their node in its region, whose terms may come in any order."""
    nodes = (n for region in graph.regions() for n in region.nodes)
    if not any(isinstance(n, OpNode) and n.spec.laws.joins and len(n.inputs) > 1 for n in nodes):
        return frozenset()
    classes = _Classes()
    inputs = [classes.new() for _ in graph.inputs]
    outputs = _visit(classes, root_place(graph.root), inputs)
    classes.pinned += [*inputs, *outputs]
    refused = _refused(classes)
    return frozenset(c.node for c in classes.concats) - refused


def _visit(classes: _Classes, place: Place, inputs: list[int]) -> list[int]:
    """Classes of the outputs of one activation."""
    values: list[list[int]] = [[i] for i in inputs]
    types: list[tuple[TensorType, ...]] = [(t,) for t in place.region.inputs]

    def at(ref: Ref) -> int:
        return values[ref.node][ref.out]

    for node in place.region.nodes:
        match node:
            case OpNode():
                given = [types[r.node][r.out] for r in node.inputs]
                values.append([_op(classes, place, node, [at(r) for r in node.inputs], given)])
                types.append((node.result.type,))
            case CallNode():
                values.append(_call(classes, place, node, [at(r) for r in node.inputs]))
                types.append(tuple(out.type for out in node.region.outputs))
            case _:
                values.append([classes.join([at(a) for a in node.alternatives if a is not None])])
                types.append((node.type,))
    return [at(out.ref) for out in place.region.outputs]


def _call(classes: _Classes, place: Place, node: CallNode, inputs: list[int]) -> list[int]:
    child = place.child(node)
    if node.binder is None or node.binder.kind == "let":
        return _visit(classes, child, inputs)
    key = (child.owner, id(node.region))
    if key not in classes.members:
        classes.members[key] = inputs, _visit(classes, child, inputs)
    known, outputs = classes.members[key]
    for a, b in zip(known, inputs, strict=True):
        classes.join([a, b])
    return outputs


def _op(classes: _Classes, place: Place, node: OpNode, inputs: list[int], types: list[TensorType]) -> int:
    laws = node.spec.laws
    if laws.joins:
        out = classes.new()
        classes.concats.append(_Concat(id(node), out, tuple(inputs)))
        return out
    match _channels(node, types):
        case "channelwise":
            out = classes.join(inputs)
        case "mixing":
            out = classes.new()
        case _:
            out = classes.new()
            classes.pinned += [out, *inputs]
    if node.spec.state and node.step is not None and inputs:
        before, behind = classes.layers.setdefault(joined(place.key, state_path(node.step)), (inputs[0], out))
        classes.join([before, inputs[0]])
        classes.join([behind, out])
    return out


def _channels(node: OpNode, types: list[TensorType]) -> Channels:
    channels = node.spec.laws.channels
    if channels != "grouped":
        return channels
    groups = node.attrs.get("groups")
    if groups == 1:
        return "mixing"
    by_channel = bool(types) and groups == types[0].channels == node.result.type.channels
    return "channelwise" if by_channel else "fixed"


def _refused(classes: _Classes) -> set[int]:
    """Nodes of concats with an activation whose terms may not be exchanged."""
    pinned = {classes.find(c) for c in classes.pinned}
    made: dict[int, int] = {}
    into: dict[int, list[int]] = {}
    for concat in classes.concats:
        out = classes.find(concat.out)
        made[out] = made.get(out, 0) + 1
        for term in {classes.find(t) for t in concat.terms}:
            into.setdefault(term, []).append(out)
    bad = pinned | {c for c, count in made.items() if count > 1}
    free: dict[int, bool] = {}

    def is_free(start: int) -> bool:
        if start not in free:
            seen, stack = {start}, [start]
            while stack:
                for out in into.get(stack.pop(), ()):
                    if out not in seen:
                        seen.add(out)
                        stack.append(out)
            free[start] = seen.isdisjoint(bad)
        return free[start]

    refused: set[int] = set()
    for concat in classes.concats:
        out = classes.find(concat.out)
        if not is_free(out) or out in {classes.find(t) for t in concat.terms}:
            refused.add(concat.node)
    return refused
