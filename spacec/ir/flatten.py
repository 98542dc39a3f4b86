"""Expanding the region graph into the flat form that the back end reads.

Assumes a finished graph whose dead code is gone. Guarantees topological order, global decision ids
in every condition and size, and one weight key for each stateful activation (one for all uses of a
tied member).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from spacec.ir.conditions import ALWAYS, Cond, both
from spacec.ir.dims import Dim, Poly
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatNode, FlatOp, FlatSwitch
from spacec.ir.graph import CallNode, ChooseNode, OpNode, Ref, SpaceGraph, SwitchNode
from spacec.ir.naming import Place, decision_path, global_size, joined, root_place, state_path
from spacec.ir.ops import AttrValue, Precondition
from spacec.ir.types import TensorType


class _Flattener:
    """Accumulates flat nodes; ``names`` are the ids of the decisions whose symbols stand in sizes."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.nodes: list[FlatNode] = []
        self.names = names
        self.pure: dict[Hashable, int] = {}

    def add(self, node: FlatNode) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def dim(self, dim: Dim) -> Dim:
        return global_size(dim, self.names)

    def type(self, t: TensorType) -> TensorType:
        return TensorType(self.dim(t.channels), tuple(map(self.dim, t.space)), t.kind) if t.symbols else t

    def attr(self, value: AttrValue) -> AttrValue:
        if isinstance(value, Poly):
            return self.dim(value)
        return tuple(map(self.attr, value)) if isinstance(value, tuple) else value


def flatten(graph: SpaceGraph) -> FlatGraph:
    """The flat form of a space graph."""
    root = root_place(graph.root)
    work = _Flattener(root.shared)
    inputs = [work.add(FlatInput(p.name, p.type)) for p in graph.inputs]
    results = _expand(work, root, inputs, ALWAYS)
    outputs = {port.name: results[k] for k, port in enumerate(graph.outputs)}
    names = tuple(p.name for p in graph.inputs)
    pre = tuple(Precondition(work.dim(p.dim), p.divisor) for p in graph.root.preconditions)
    return FlatGraph(graph.name, tuple(work.nodes), names, outputs, pre)


def _expand(work: _Flattener, place: Place, inputs: list[int], guard: Cond) -> list[int]:
    """The flat nodes of one activation; returns the indices of its outputs."""
    region = place.region
    values: list[list[int]] = [[i] for i in inputs]

    def at(ref: Ref) -> int:
        return values[ref.node][ref.out]

    for node in region.nodes:
        here = both(guard, place.absolute(node.guard))
        match node:
            case OpNode():
                values.append([_op(work, place, node, tuple(map(at, node.inputs)), here)])
            case ChooseNode():
                alternatives = tuple(None if a is None else at(a) for a in node.alternatives)
                values.append([work.add(_choose(work, place, node, alternatives, here))])
            case SwitchNode():
                alternatives = tuple(None if a is None else at(a) for a in node.alternatives)
                conditions = tuple(map(place.absolute, node.conditions))
                type = work.type(node.type)
                values.append([work.add(FlatSwitch(alternatives, conditions, type, here, node.span))])
            case CallNode():
                values.append(_expand(work, place.child(node), [at(r) for r in node.inputs], here))
    return [at(out.ref) for out in region.outputs]


def _op(work: _Flattener, place: Place, node: OpNode, inputs: tuple[int, ...], guard: Cond) -> int:
    attrs = {k: work.attr(v) for k, v in node.attrs.items()}
    key = joined(place.key, state_path(node.step)) if node.step is not None else ""
    flat = FlatOp(node.spec, attrs, inputs, work.type(node.result.type), key, guard, node.span)
    if node.spec.state:
        return work.add(flat)
    same = (node.spec.name, tuple(attrs.items()), inputs, guard)
    if same not in work.pure:
        work.pure[same] = work.add(flat)
    return work.pure[same]


def _choose(
    work: _Flattener, place: Place, node: ChooseNode, alternatives: tuple[int | None, ...], guard: Cond
) -> FlatChoose:
    slot = node.slot
    if slot.decision is not None and id(slot.decision) in place.shared:
        name = place.shared[id(slot.decision)]
    else:
        name = joined(place.prefix, decision_path(slot.step)) or place.owner
    local = "_".join(p for p in decision_path(slot.step).replace("[", "_").replace("]", "").split(".") if p)
    return FlatChoose(name, alternatives, work.type(node.type), joined(place.key, local) or name, guard, node.span)
