"""Depth: how many ops lie on the longest way from an input to an output.

Told from the region graph: a region that decides nothing is walked once, however often it is called, and of an
architecture only what it has is walked. Every op on the way counts but ``identity``; or (``"layers"``) those that
multiply, convolutions and linear maps, as the layers of published networks are counted. A way begins at an input,
or at an op that reads no value of its input (``zero``, ``noise``). Among the terms of a sum the deepest counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from spacec.ir.conditions import ALWAYS, Cond, holds
from spacec.ir.graph import CallNode, ChooseNode, DecisionDecl, Node, OpNode, Ref, Region, SpaceGraph, SwitchNode
from spacec.ir.naming import Place, root_place
from spacec.ir.ops import DROPS_ABSENT
from spacec.space.values import Value

Counted = Literal["ops", "layers"]

STARTS = frozenset(("zero", "noise"))
"""Ops that read no more than the type of their input."""

Length = int | None
"""``None``: absent."""


def depth(graph: SpaceGraph, chosen: Mapping[str, Value], counted: Counted = "ops") -> int:
    """The depth of the network with these decisions: its deepest output that is there."""
    found = _Walk(chosen, counted).outputs(root_place(graph.root), [0] * len(graph.inputs))
    return max((length for length in found if length is not None), default=0)


def own_length(node: OpNode, counted: Counted) -> int:
    """What an op adds to the ways through it."""
    return int(node.result.macs != 0 if counted == "layers" else node.spec.name != "identity")


@dataclass
class _Walk:
    chosen: Mapping[str, Value]
    counted: Counted
    fixed: dict[int, list[dict[int, int]]] = field(default_factory=dict)
    """Of a region that is the same in all architectures: per output, the longest way from each input (-1: inside)."""

    def outputs(self, place: Place, inputs: list[Length]) -> list[Length]:
        values: list[list[Length]] = [[length] for length in inputs]
        known: dict[int, bool] = {}

        def there(condition: Cond) -> bool:
            if id(condition) not in known:
                known[id(condition)] = condition == ALWAYS or holds(place.absolute(condition), self.value)
            return known[id(condition)]

        def at(ref: Ref | None) -> Length:
            return None if ref is None else values[ref.node][ref.out]

        for node in place.region.nodes:
            match node:
                case CallNode():
                    given = [at(r) for r in node.inputs]
                    values.append(self.call(place, node, given) if there(node.guard) else _absent(node.region))
                case OpNode():
                    values.append([self.op(node, [at(r) for r in node.inputs]) if there(node.guard) else None])
                case ChooseNode():
                    values.append([at(self.taken(place, node))])
                case SwitchNode():
                    held = (a for a, c in zip(node.alternatives, node.conditions, strict=True) if there(c))
                    values.append([at(next(held, None))])
        return [at(out.ref) for out in place.region.outputs]

    def value(self, decision: Hashable) -> Value | None:
        return self.chosen.get(str(decision))

    def op(self, node: OpNode, inputs: list[Length]) -> Length:
        present = [length for length in inputs if length is not None]
        if len(present) < len(inputs) and (node.spec.name not in DROPS_ABSENT or not present):
            return None
        before = 0 if node.spec.name in STARTS else max(present, default=0)
        return before + own_length(node, self.counted)

    def taken(self, place: Place, node: ChooseNode) -> Ref | None:
        """The alternative that the decisions select."""
        slot = node.slot
        if slot.pick is not None:
            picked = self.chosen.get(_name(place, slot.pick))
            if not isinstance(picked, tuple) or slot.element not in picked:
                return None
        k = 0
        if slot.decision is not None:
            value = self.chosen.get(_name(place, slot.decision))
            if not isinstance(value, int):
                return None
            k = value
        return node.alternatives[k + slot.absent]

    def call(self, place: Place, node: CallNode, inputs: list[Length]) -> list[Length]:
        if node.region.searches or not self.is_fixed(node.region) or None in inputs:
            return self.outputs(place.child(node), inputs)
        given = {k: length for k, length in enumerate(inputs) if length is not None} | {-1: 0}
        return [max(given[k] + way for k, way in ways.items()) for ways in self.ways(node.region)]

    def is_fixed(self, region: Region) -> bool:
        """Whether a region has no choice that is decided outside, and no guard."""
        return all(
            n.guard == ALWAYS and (isinstance(n, OpNode) or (isinstance(n, CallNode) and self.is_fixed(n.region)))
            for n in region.nodes
        )

    def ways(self, region: Region) -> list[dict[int, int]]:
        if id(region) not in self.fixed:
            values: list[list[dict[int, int]]] = [[{k: 0}] for k in range(len(region.inputs))]
            for node in region.nodes:
                if isinstance(node, OpNode):
                    read = [] if node.spec.name in STARTS else [values[r.node][r.out] for r in node.inputs]
                    values.append([_longer(_longest(read), own_length(node, self.counted))])
                elif isinstance(node, CallNode):
                    given = {k: values[r.node][r.out] for k, r in enumerate(node.inputs)} | {-1: {-1: 0}}
                    inner = self.ways(node.region)
                    values.append([_longest([_longer(given[k], n) for k, n in ways.items()]) for ways in inner])
            self.fixed[id(region)] = [values[out.ref.node][out.ref.out] for out in region.outputs]
        return self.fixed[id(region)]


def _name(place: Place, decision: DecisionDecl) -> str:
    """The id of a decision; one that its declaration alone names has it from there."""
    return place.shared.get(id(decision)) or place.id_of(decision)


def _absent(region: Region) -> list[Length]:
    return [None] * len(region.outputs)


def _longest(ways: list[dict[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {} if ways else {-1: 0}
    for each in ways:
        for k, length in each.items():
            found[k] = max(found.get(k, 0), length)
    return found


def _longer(ways: dict[int, int], more: int) -> dict[int, int]:
    return {k: length + more for k, length in ways.items()}


# ------------------------------------------------------------------ over a space

Span = tuple[int, int, bool]
"""The least and the most that a depth can be, and whether it may be absent."""


def depth_bounds(graph: SpaceGraph, counted: Counted = "ops") -> tuple[int, int]:
    """Bounds of the depth of every architecture of a space, constraints apart: what each choice allows by itself.

    No architecture is deeper or shallower. Choices that are shared, or that shorten one way and
    lengthen another, may keep every architecture from reaching a bound.
    """
    spans = _Bounds(counted).outputs(graph.root, [(0, 0, False)] * len(graph.inputs))
    lows = [low for low, _, maybe in spans if not maybe] or [min(low for low, _, _ in spans)]
    return max(lows), max(high for _, high, _ in spans)


@dataclass
class _Bounds:
    counted: Counted
    known: dict[tuple[object, ...], list[Span]] = field(default_factory=dict)
    starts: dict[int, bool] = field(default_factory=dict)

    def outputs(self, region: Region, inputs: list[Span]) -> list[Span]:
        """Walked once for each way in which the depths of the inputs differ."""
        base = 0 if self.begins(region) else min((low for low, _, _ in inputs), default=0)
        key = (id(region), *((low - base, high - base, maybe) for low, high, maybe in inputs))
        if key not in self.known:
            self.known[key] = self.walked(region, [(low - base, high - base, maybe) for low, high, maybe in inputs])
        return [(low + base, high + base, maybe) for low, high, maybe in self.known[key]]

    def begins(self, region: Region) -> bool:
        """Whether a way begins inside, which is as long wherever the region stands."""
        if id(region) not in self.starts:
            calls = (n.region for n in region.nodes if isinstance(n, CallNode))
            own = any(isinstance(n, OpNode) and (n.spec.name in STARTS or not n.inputs) for n in region.nodes)
            self.starts[id(region)] = own or any(map(self.begins, calls))
        return self.starts[id(region)]

    def walked(self, region: Region, inputs: list[Span]) -> list[Span]:
        values: list[list[Span]] = [[span] for span in inputs]
        nodes: list[Node | None] = [*(None for _ in inputs), *region.nodes]
        for node in region.nodes:
            if isinstance(node, CallNode):
                found = self.outputs(node.region, [values[r.node][r.out] for r in node.inputs])
            elif isinstance(node, OpNode):
                found = [self.op(node, values, nodes)]
            else:
                terms = [values[a.node][a.out] for a in node.alternatives if a is not None]
                gone = len(terms) < len(node.alternatives) or any(maybe for _, _, maybe in terms)
                found = [(min(t[0] for t in terms), max(t[1] for t in terms), gone)] if terms else [(0, 0, True)]
            values.append([(low, high, maybe or node.guard != ALWAYS) for low, high, maybe in found])
        return [values[out.ref.node][out.ref.out] for out in region.outputs]

    def op(self, node: OpNode, values: list[list[Span]], nodes: list[Node | None]) -> Span:
        own = own_length(node, self.counted)
        terms = [values[r.node][r.out] for r in node.inputs]
        gone = any(maybe for _, _, maybe in terms)
        if node.spec.name in STARTS or not terms:
            return own, own, gone
        high = max(high for _, high, _ in terms)
        if node.spec.name not in DROPS_ABSENT:
            return max(low for low, _, _ in terms) + own, high + own, gone
        sure = [low for low, _, maybe in terms if not maybe]
        low = max([*sure, *self.picked(node, values, nodes)], default=min(low for low, _, _ in terms))
        return low + own, high + own, not sure

    def picked(self, node: OpNode, values: list[list[Span]], nodes: list[Node | None]) -> list[int]:
        """Of each pick whose elements are terms: the depth that one of its elements has at least."""
        groups: dict[int, tuple[int, list[int]]] = {}
        for r in node.inputs:
            term = nodes[r.node]
            if isinstance(term, ChooseNode) and term.slot.pick is not None:
                groups.setdefault(id(term.slot.pick), (term.slot.pick.low, []))[1].append(values[r.node][r.out][0])
        return [sorted(lows)[low - 1] for low, lows in groups.values() if 0 < low <= len(lows)]
