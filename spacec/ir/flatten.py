"""Expanding the region graph into the flat form that the back end reads.

Assumes a finished graph whose dead code is gone and whose merged members are known. Guarantees topological order,
global decision ids in every condition and size, and one weight key for each stateful activation (one for
all uses of a tied member). A merged member is written out once, on the meeting of its calls' inputs.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

from spacec.ir.conditions import ALWAYS, All, Any, Cond, Has, Is, both, either
from spacec.ir.dims import Dim, Poly
from spacec.ir.flat import (
    Edge,
    FlatCall,
    FlatChoose,
    FlatEntry,
    FlatGraph,
    FlatInput,
    FlatMeet,
    FlatNode,
    FlatOp,
    FlatSwitch,
    sources_of,
    with_sources,
)
from spacec.ir.graph import CallNode, ChooseNode, DecisionRef, MemberUse, OpNode, Ref, SlotDecl, SpaceGraph, SwitchNode
from spacec.ir.naming import Place, decision_path, is_frozen, joined, known_global_size, root_place, state_path
from spacec.ir.ops import AttrValue, Precondition
from spacec.ir.reach import Reach
from spacec.ir.types import TensorType


@dataclass
class _Member:
    """A merged member: its calls as they are met, and the numbers that stand for its outputs until it is written."""

    place: Place
    results: list[int]
    calls: list[FlatCall] = field(default_factory=list)
    inputs: list[list[int]] = field(default_factory=list)
    guards: list[Cond] = field(default_factory=list)


class _Flattener:
    """Accumulates flat nodes; ``names`` are the ids of the decisions whose symbols stand in sizes."""

    def __init__(self, graph: SpaceGraph, names: Mapping[int, str], full: bool) -> None:
        self.nodes: list[FlatNode] = []
        self.names = names
        self.full = full
        """Guards say all that leads to a node."""
        self.dims: dict[Dim, Dim] = {}
        self.pure: dict[Hashable, int] = {}
        self.merged = frozenset(graph.merged)
        self.members: dict[MemberUse, _Member] = {}
        self.entries: list[FlatEntry] = []
        self.within: int | None = None
        """The entry that is being written out."""
        self.stands_for: dict[int, int] = {}
        """Negative numbers of outputs to come, with the nodes they turn out to be."""
        self.promised = 0

    def add(self, node: FlatNode) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def promise(self) -> int:
        self.promised -= 1
        return self.promised

    def dim(self, dim: Dim) -> Dim:
        return known_global_size(dim, self.names, self.dims)

    def type(self, t: TensorType) -> TensorType:
        return TensorType(self.dim(t.channels), tuple(map(self.dim, t.space)), t.kind) if t.symbols else t

    def attr(self, value: AttrValue) -> AttrValue:
        if isinstance(value, Poly):
            return self.dim(value)
        return tuple(map(self.attr, value)) if isinstance(value, tuple) else value


def flatten(graph: SpaceGraph, full: bool = False) -> FlatGraph:
    """The flat form of a space graph.

    With ``full``, guards inside a member that runs once say all that leads there, as sums over masks need it, which
    weigh decisions whether they are asked or not; else what tells architectures apart.
    """
    root = root_place(graph.root)
    work = _Flattener(graph, root.shared, full)
    inputs = [work.add(FlatInput(p.name, p.type)) for p in graph.inputs]
    results = _expand(work, root, inputs, Reach.of(root.owner), ALWAYS)
    for use in graph.merged:
        _enter(work, use)
    outputs = {port.name: results[k] for k, port in enumerate(graph.outputs)}
    names = tuple(p.name for p in graph.inputs)
    pre = tuple(Precondition(work.dim(p.dim), p.divisor) for p in graph.root.preconditions)
    flat = FlatGraph(graph.name, tuple(work.nodes), names, outputs, pre, tuple(work.entries))
    return _in_order(flat, work) if graph.merged else flat


def _enter(work: _Flattener, use: MemberUse) -> None:
    """Write a merged member out, once, on what its calls give it."""
    member = work.members[use]
    entry, guard = len(work.entries), either(*member.guards)
    work.entries.append(FlatEntry(use[0], tuple(member.calls)))
    inputs = []
    for k, type_ in enumerate(member.place.region.inputs):
        sources = tuple(given[k] for given in member.inputs)
        inputs.append(work.add(FlatMeet(entry, sources, work.type(type_), guard)))
    work.within = entry
    results = _expand(work, member.place, inputs, Reach.of(use[0], guard, guard), ALWAYS)
    work.stands_for.update(zip(member.results, results, strict=True))


def _expand(work: _Flattener, place: Place, inputs: list[int], reach: Reach, gate: Cond) -> list[int]:
    """The flat nodes of one activation; returns the indices of its outputs.

    ``gate`` is what leads to it from the entry that is being written out.
    """
    region = place.region
    values: list[list[int]] = [[i] for i in inputs]

    def at(ref: Ref) -> int:
        return values[ref.node][ref.out]

    for node in region.nodes:
        if isinstance(node, CallNode):
            values.append(_call(work, place, node, [at(r) for r in node.inputs], reach, gate))
            continue
        here = both(reach.guard if work.full else reach.entry, place.absolute(node.guard))
        if isinstance(node, OpNode):
            values.append([_op(work, place, node, tuple(map(at, node.inputs)), here)])
            continue
        alternatives = tuple(None if a is None else at(a) for a in node.alternatives)
        if isinstance(node, ChooseNode):
            values.append([work.add(_choose(work, place, node, alternatives, here))])
        else:
            values.append([work.add(_switch(work, place, node, alternatives, here))])
    return [at(out.ref) for out in region.outputs]


def _call(work: _Flattener, place: Place, node: CallNode, inputs: list[int], reach: Reach, gate: Cond) -> list[int]:
    child, under = place.child(node), reach.under(place, node.guard)
    leading = both(gate, _gate(place, node.guard)) if work.merged else ALWAYS
    use = (child.owner, id(node.region))
    if use not in work.merged:
        return _expand(work, child, inputs, under, leading)
    member = work.members.get(use)
    if member is None:
        member = work.members[use] = _Member(child, [work.promise() for _ in node.region.outputs])
    member.calls.append(FlatCall(work.within, leading))
    member.inputs.append(inputs)
    member.guards.append(under.entry)
    return member.results


def _op(work: _Flattener, place: Place, node: OpNode, inputs: tuple[int, ...], guard: Cond) -> int:
    attrs = {k: work.attr(v) for k, v in node.attrs.items()}
    key = joined(place.key, state_path(node.step)) if node.step is not None else ""
    frozen = bool(key) and (place.frozen or is_frozen(node.step))
    flat = FlatOp(node.spec, attrs, inputs, work.type(node.result.type), key, guard, node.span, frozen)
    if node.spec.state:
        return work.add(flat)
    same = (node.spec.name, tuple(attrs.items()), inputs, guard)
    if same not in work.pure:
        work.pure[same] = work.add(flat)
    return work.pure[same]


def _choose(
    work: _Flattener, place: Place, node: ChooseNode, alternatives: tuple[int | None, ...], guard: Cond
) -> FlatChoose:
    name, instance = _slot(place, node.slot)
    edges = node.slot.edges
    edge = Edge(*_slot(place, edges), node.slot.element) if edges is not None else None
    return FlatChoose(name, alternatives, work.type(node.type), instance, guard, node.span, edge)


def _switch(
    work: _Flattener, place: Place, node: SwitchNode, alternatives: tuple[int | None, ...], guard: Cond
) -> FlatSwitch:
    conditions = tuple(map(place.absolute, node.conditions))
    return FlatSwitch(alternatives, conditions, work.type(node.type), guard, node.span)


def _slot(place: Place, slot: SlotDecl) -> tuple[str, str]:
    """The global name of a slot, and the name of its instance in this activation."""
    if slot.decision is not None and id(slot.decision) in place.shared:
        name = place.shared[id(slot.decision)]
    else:
        name = place.slot_id(slot)
    local = "_".join(p for p in decision_path(slot.step).replace("[", "_").replace("]", "").split(".") if p)
    return name, joined(place.key, local) or name


def _gate(place: Place, condition: Cond) -> Cond:
    """A condition on decisions, named from ``place``, as one on the masks of their slots."""
    match condition:
        case Is(decision=DecisionRef() as ref):
            slot = ref.decision.slot
            if slot is None or ref.decision.single:
                return ALWAYS  # nothing that is merged hangs on a value
            return Is(_slot(place.home(ref), slot), frozenset(k + slot.absent for k in condition.candidates))
        case Has(decision=DecisionRef() as ref):
            home = place.home(ref)
            of_element = (s for s in home.region.slots if s.pick is ref.decision and s.element == condition.element)
            slot = next(of_element, None)
            if slot is None:
                return ALWAYS  # nothing relaxes it: the element is there
            return Is(_slot(home, slot), frozenset(range(slot.absent, len(slot.labels))))
        case All():
            return both(*(_gate(place, p) for p in condition.parts))
        case Any():
            return either(*(_gate(place, p) for p in condition.parts))
        case _:
            raise AssertionError(f"{condition!r} names no decision of a region")


def _in_order(flat: FlatGraph, work: _Flattener) -> FlatGraph:
    """The nodes sorted, and what stood for outputs to come replaced by the nodes they turned out to be."""

    def settled(index: int) -> int:
        while index < 0:
            index = work.stands_for[index]
        return index

    nodes = [with_sources(n, settled) for n in flat.nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    missing: list[int] = []
    for index, node in enumerate(nodes):
        read = set(sources_of(node))
        missing.append(len(read))
        for source in read:
            readers[source].append(index)
    place: dict[int, int] = {}
    ready = [i for i, n in enumerate(missing) if n == 0]
    while ready:
        index = heapq.heappop(ready)
        place[index] = len(place)
        for reader in readers[index]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    assert len(place) == len(nodes), "calls that wait for one another are not merged"
    ordered = sorted(place, key=place.__getitem__)
    moved = tuple(with_sources(nodes[i], place.__getitem__) for i in ordered)
    return replace(flat, nodes=moved, outputs={name: place[settled(i)] for name, i in flat.outputs.items()})
