"""What one region is made of, as a reader of its text sees it: ops, calls, and choices with what only they read.

Assumes a finished region. The candidates' nodes of a choice are its *interior*: they carry its condition and nothing
else reads them. With an architecture, what is not in it is left out, and depths, gates and values are seen through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from spacec.ir.conditions import ALWAYS, Cond, Has, Is, conjuncts, decisions, holds
from spacec.ir.graph import (
    CallNode,
    ChooseNode,
    DecisionDecl,
    DecisionRef,
    Node,
    OpNode,
    Ref,
    Region,
    SlotDecl,
    SwitchNode,
)
from spacec.ir.naming import Place
from spacec.ir.types import TensorType
from spacec.space.architecture import Architecture
from spacec.space.values import Value

Kind = Literal["op", "call", "choice"]


@dataclass(frozen=True, eq=False)
class Part:
    """``nodes``: the op, the call, or the choose nodes of one slot; ``inputs``: what it reads from outside."""

    kind: Kind
    nodes: tuple[int, ...]
    inputs: tuple[Ref, ...]
    interior: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Scope:
    """A region at a place; ``calls`` lead to it from the panel's region. ``arch`` limits it to what is kept."""

    region: Region
    place: Place
    calls: tuple[CallNode, ...] = ()
    arch: Architecture | None = None

    def node(self, index: int) -> Node:
        return self.region.nodes[index - len(self.region.inputs)]

    def enter(self, call: CallNode) -> Scope:
        """The region of a call, still seen from this panel."""
        return Scope(call.region, self.place.child(call), (*self.calls, call), self.arch)

    def alone(self, call: CallNode) -> Scope:
        """The region of a call, in a panel of its own."""
        return replace(self.enter(call), calls=())

    def ref(self, decision: DecisionDecl) -> DecisionRef:
        return DecisionRef(self.calls, decision)

    def value(self, decision: DecisionDecl) -> Value | None:
        """What the architecture decides; ``None`` without one, or where the decision is inactive."""
        if self.arch is None:
            return None
        return self.arch.get(self.place.resolve(DecisionRef((), decision)))

    def alive(self, guard: Cond) -> bool:
        """Whether it is in the architecture."""
        arch = self.arch
        if arch is None or guard == ALWAYS:
            return True
        return holds(self.place.absolute(guard), lambda d: arch.get(str(d)))

    def type(self, ref: Ref) -> TensorType:
        if ref.node < len(self.region.inputs):
            return self.region.inputs[ref.node]
        node = self.node(ref.node)
        if isinstance(node, CallNode):
            return node.region.outputs[ref.out].type
        return node.result.type if isinstance(node, OpNode) else node.type

    def taken(self, choose: ChooseNode) -> Ref | None:
        """The alternative that the architecture takes; ``None`` where none is."""
        slot = choose.slot
        if slot.pick is not None:
            picked = self.value(slot.pick)
            if not isinstance(picked, tuple) or slot.element not in picked:
                return None
        if slot.decision is None:
            return choose.alternatives[-1]
        value = self.value(slot.decision)
        return choose.alternatives[value + slot.absent] if isinstance(value, int) else None

    def through(self, ref: Ref | None) -> Ref | None:
        """What a tensor is in the architecture, seen through depths and gates; ``None`` where it is absent."""
        while ref is not None and ref.node >= len(self.region.inputs):
            node = self.node(ref.node)
            if not self.alive(node.guard):
                return None
            if not isinstance(node, ChooseNode | SwitchNode) or self.arch is None:
                return ref
            if isinstance(node, ChooseNode) and not self.dissolved(node.slot):
                return ref if self.taken(node) is not None else None
            ref = self.taken(node) if isinstance(node, ChooseNode) else self.switched(node)
        return ref

    def switched(self, switch: SwitchNode) -> Ref | None:
        """The alternative of a switch whose condition holds in the architecture."""
        both = zip(switch.alternatives, switch.conditions, strict=True)
        return next((ref for ref, condition in both if self.alive(condition)), None)

    def dissolved(self, slot: SlotDecl) -> bool:
        """Whether its choice is made and what it takes is drawn in its stead."""
        return self.arch is not None and (slot.decision is None or slot.decision.kind != "op")

    @cached_property
    def readers(self) -> dict[int, set[int]]:
        """Who reads a node, in any architecture; -1 is the region's output."""
        found: dict[int, set[int]] = {}
        for index, node in enumerate(self.region.nodes, len(self.region.inputs)):
            for ref in reads(node):
                found.setdefault(ref.node, set()).add(index)
        for output in self.region.outputs:
            found.setdefault(output.ref.node, set()).add(-1)
        return found


def reads(node: Node) -> tuple[Ref, ...]:
    """What a node reads, in any architecture."""
    if isinstance(node, ChooseNode | SwitchNode):
        return tuple(r for r in node.alternatives if r is not None)
    return node.inputs


def parts_of(scope: Scope, within: Iterable[int] | None = None) -> list[Part]:
    """The parts of a region, or of some of its nodes, in topological order."""
    first = len(scope.region.inputs)
    wanted = sorted(range(first, first + len(scope.region.nodes)) if within is None else within)
    groups = _groups(scope, wanted)
    interiors = [interior(scope, nodes) for nodes in groups]
    inner = frozenset().union(*interiors)
    parts: list[tuple[int, Part]] = []
    for nodes, inside in zip(groups, interiors, strict=True):
        if not inner.intersection(nodes) and any(scope.through(Ref(n)) for n in nodes):
            found = Part("choice", tuple(nodes), _sources(scope, nodes, inside), inside)
            parts.append((max(nodes), found))
    for index in wanted:
        node = scope.node(index)
        if index in inner or isinstance(node, ChooseNode | SwitchNode) or not scope.alive(node.guard):
            continue
        if isinstance(node, CallNode) and not node.region.inputs and not node.region.outputs:
            continue  # a shared value
        inputs = [scope.through(ref) for ref in node.inputs]
        kept = tuple(ref for ref in inputs if ref is not None)
        if kept or not node.inputs:
            parts.append((index, Part("call" if isinstance(node, CallNode) else "op", (index,), kept)))
    return [part for _, part in sorted(parts, key=lambda p: p[0])]


def _groups(scope: Scope, wanted: Iterable[int]) -> list[list[int]]:
    """Choices and switches that are not seen through; the tensors of one choice stand side by side."""
    groups: list[list[int]] = []
    for index in wanted:
        node = scope.node(index)
        if isinstance(node, SwitchNode) and scope.arch is None:
            groups.append([index])
        if not isinstance(node, ChooseNode) or scope.dissolved(node.slot):
            continue
        last = scope.node(groups[-1][-1]) if groups and groups[-1][-1] == index - 1 else None
        if isinstance(last, ChooseNode) and last.slot is node.slot:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def interior(scope: Scope, chooses: list[int]) -> frozenset[int]:
    """The nodes of a choice's candidates: under its condition, and read by nothing else."""
    first = scope.node(chooses[0])
    inside: set[int] = set()
    members = set(chooses)
    waiting = {r.node for c in chooses for r in reads(scope.node(c))}
    while waiting:
        index = max(waiting)
        waiting.remove(index)
        if index < len(scope.region.inputs) or index in inside:
            continue
        node = scope.node(index)
        if _chosen_by(node.guard, first) and scope.readers[index] <= inside | members:
            inside.add(index)
            waiting.update(r.node for r in reads(node))
    return frozenset(inside)


def _chosen_by(guard: Cond, first: Node) -> bool:
    """Whether a node is there only for some candidates of a choice or switch."""
    if isinstance(first, ChooseNode):
        return under(guard, first.slot)
    mentioned = frozenset().union(*(decisions(c) for c in first.conditions)) if isinstance(first, SwitchNode) else set()
    return bool(decisions(guard) & mentioned)


def under(condition: Cond, slot: SlotDecl) -> bool:
    """Whether a condition asks for a candidate, or the element, of a slot."""
    for part in conjuncts(condition):
        if not isinstance(part, Is | Has) or not isinstance(part.decision, DecisionRef):
            continue
        if isinstance(part, Is) and part.decision.decision is slot.decision:
            return True
        if isinstance(part, Has) and part.decision.decision is slot.pick and part.element == slot.element:
            return True
    return False


def body(scope: Scope, part: Part, candidate: int) -> frozenset[int]:
    """The nodes of a choice's interior that one candidate (by its label's place in the decision) draws on."""
    inside: set[int] = set()
    stack: list[int] = []
    for index in part.nodes:
        choose = scope.node(index)
        assert isinstance(choose, ChooseNode)
        ref = choose.alternatives[candidate + choose.slot.absent]
        stack += [] if ref is None else [ref.node]
    while stack:
        node = stack.pop()
        if node in part.interior and node not in inside:
            inside.add(node)
            stack.extend(r.node for r in reads(scope.node(node)))
    return frozenset(inside)


def results(scope: Scope, part: Part, candidate: int) -> tuple[Ref, ...]:
    """What one candidate gives, absent tensors left out."""
    found = []
    for index in part.nodes:
        choose = scope.node(index)
        assert isinstance(choose, ChooseNode)
        found.append(scope.through(choose.alternatives[candidate + choose.slot.absent]))
    return tuple(ref for ref in found if ref is not None)


def _sources(scope: Scope, chooses: list[int], inside: frozenset[int]) -> tuple[Ref, ...]:
    """What a choice reads from outside; in an architecture, what its taken candidate reads."""
    found: dict[Ref, None] = {}
    seen: set[Ref] = set()
    stack: list[Ref] = []
    for index in reversed(chooses):
        choose = scope.node(index)
        decided = scope.arch is not None and isinstance(choose, ChooseNode)
        taken = (scope.taken(choose),) if decided and isinstance(choose, ChooseNode) else reversed(reads(choose))
        stack.extend(ref for ref in taken if ref is not None)
    while stack:
        ref = stack.pop()
        if ref in seen:
            continue
        seen.add(ref)
        if ref.node not in inside:
            passed = scope.through(ref)
            if passed is not None:
                found[passed] = None
        elif scope.alive(scope.node(ref.node).guard):
            stack.extend(reversed(reads(scope.node(ref.node))))
    return tuple(found)
