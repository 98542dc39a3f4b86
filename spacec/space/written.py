"""From a space graph to the bodies of its owners: calls written out, decisions under their global ids.

Assumes a finished graph and its table of decisions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from spacec.ir.conditions import decisions
from spacec.ir.dims import Dim, Poly
from spacec.ir.graph import CallNode, ChooseNode, OpNode, Ref, Region, SpaceGraph, SwitchNode
from spacec.ir.naming import Place, global_size, is_frozen, joined, root_place, state_path
from spacec.ir.ops import AttrValue
from spacec.ir.types import TensorType
from spacec.space.bodies import Body, CallCode, ChooseCode, Code, InputCode, OpCode, OutCode, SwitchCode, mentioned
from spacec.space.decisions import DecisionTable
from spacec.space.labels import FOLLOWS, Sizes, dims_of, is_share, label_of, shares

WHOLE = "."
"""Key of the weights of a call that is all of its caller."""

PRESENCE = "present"
"""The attribute in which the elaborator notes which terms of a concat are there: the graph shows that."""


def make_bodies(graph: SpaceGraph, table: DecisionTable) -> Body:
    """The body of the whole space, with those of all that it calls."""
    work = _Compiler(table, _shared_tied(graph))
    root = root_place(graph.root)
    body = work.body(root)
    body.names = tuple(port.name for port in graph.inputs)
    return body


@dataclass(eq=False)
class _Compiler:
    table: DecisionTable
    shared: frozenset[int]
    """Tied binders, by identity, whose weights more than one body may read."""
    done: dict[tuple[str, int], Body] = field(default_factory=dict)

    def body(self, place: Place) -> Body:
        """The body of a place that owns its decisions."""
        key = (place.owner, id(place.region))
        if key not in self.done:
            names = tuple(str(k) for k in range(len(place.region.inputs)))
            body = self.done[key] = Body(place.owner, place.region, names=names)
            work = _Expansion(self, body, place.shared)
            inputs = [work.add(InputCode(k), t) for k, t in enumerate(place.region.inputs)]
            body.outputs = tuple(work.expand(place, inputs))
            work.finish()
        return self.done[key]


@dataclass(eq=False)
class _Expansion:
    compiler: _Compiler
    body: Body
    names: dict[int, str]
    dims: dict[Dim, Dim] = field(default_factory=dict)

    def add(self, code: Code, type_: TensorType) -> int:
        self.body.nodes.append(code)
        self.body.types.append(self._type(type_))
        return len(self.body.nodes) - 1

    def expand(self, place: Place, inputs: list[int]) -> list[int]:
        """The nodes of one activation; the places of its outputs."""
        values: list[list[int]] = [[i] for i in inputs]

        def at(ref: Ref) -> int:
            return values[ref.node][ref.out]

        for node in place.region.nodes:
            match node:
                case OpNode():
                    values.append([self._op(place, node, tuple(map(at, node.inputs)))])
                case CallNode():
                    values.append(self._call(place, node, [at(r) for r in node.inputs]))
                case _:
                    alternatives = tuple(None if a is None else at(a) for a in node.alternatives)
                    values.append([self._choice(place, node, alternatives)])
        return [at(out.ref) for out in place.region.outputs]

    def _op(self, place: Place, node: OpNode, inputs: tuple[int, ...]) -> int:
        attrs = {k: self._attr(v) for k, v in node.attrs.items() if k != PRESENCE}
        weights = joined(place.key, state_path(node.step)) if node.spec.state and node.step is not None else ""
        frozen = bool(weights) and (place.frozen or is_frozen(node.step))
        sources = tuple(self.body.types[i] for i in inputs)
        type_ = self._type(node.result.type)
        return self.add(OpCode(node, inputs, node.spec.laws, weights, attrs, type_, sources, frozen), type_)

    def _call(self, place: Place, node: CallNode, inputs: list[int]) -> list[int]:
        child = place.child(node)
        if node.binder is None:
            return self.expand(child, inputs)
        own = Place(child.region, child.owner, "", child.owner, place.binders, place.shared, child.frozen)
        body = self.compiler.body(own.with_local_binders())
        name = child.key if id(node.binder) in self.compiler.shared else ""
        weights = child.key or WHOLE
        call = self.add(CallCode(body, tuple(inputs), weights, name), TensorType(0))
        return [self.add(OutCode(call, k), out.type) for k, out in enumerate(node.region.outputs)]

    def _choice(self, place: Place, node: ChooseNode | SwitchNode, alternatives: tuple[int | None, ...]) -> int:
        if isinstance(node, SwitchNode):
            conditions = tuple(map(place.absolute, node.conditions))
            mentions = sorted({str(d) for c in conditions for d in decisions(c)})
            return self.add(SwitchCode(conditions, alternatives, tuple(mentions)), node.type)
        slot = node.slot
        own = None if slot.decision is None else _id(place, slot.decision)
        pick = None if slot.pick is None else _id(place, slot.pick)
        return self.add(ChooseCode(own, pick, slot.element, int(slot.absent), alternatives), node.type)

    def _type(self, type_: TensorType) -> TensorType:
        if not type_.symbols:
            return type_
        return TensorType(self._dim(type_.channels), tuple(map(self._dim, type_.space)), type_.kind)

    def _dim(self, dim: Dim) -> Dim:
        if dim not in self.dims:
            self.dims[dim] = global_size(dim, self.names)
        return self.dims[dim]

    def _attr(self, value: AttrValue) -> AttrValue:
        if isinstance(value, Poly):
            return self._dim(value)
        return tuple(map(self._attr, value)) if isinstance(value, tuple) else value

    def finish(self) -> None:
        """Labels that need no decision, and what the body depends on."""
        seen = frozenset(_gates(self.body.nodes))
        found = self.body.askers
        for code in self.body.nodes:
            if isinstance(code, OpCode):
                self._settle(code, seen)
            for decision in mentioned(code):
                found[decision] = found.get(decision, 0) + 1
            if isinstance(code, OpCode):
                found.update({d: found.get(d, 0) + 1 for d in code.typed if d not in code.mentions})
            if isinstance(code, CallCode):
                for decision, count in code.body.askers.items():
                    found[decision] = found.get(decision, 0) + count
        self.body.mentions = tuple(found)
        for code in self.body.nodes:
            if isinstance(code, ChooseCode):
                code.chains = {a: self._chain(a) for a in code.alternatives if a is not None}

    def _chain(self, end: int) -> tuple[int, tuple[int, ...]]:
        ops: list[int] = []
        code = self.body.nodes[end]
        while isinstance(code, OpCode) and len(code.inputs) == 1 and not code.mentions:
            ops.append(end)
            end = code.inputs[0]
            code = self.body.nodes[end]
        return end, tuple(reversed(ops))

    def _settle(self, code: OpCode, seen: frozenset[str]) -> None:
        code.apart = any(shares(v, seen) for v in code.attrs.values())
        code.uneven = any(shares(d, seen) for t in (code.type, *code.sources) for d in t.dims)
        code.attrs = {k: FOLLOWS if shares(v, seen) else v for k, v in code.attrs.items()}
        known = self.compiler.table.by_id
        named = {s.name for v in code.attrs.values() for d in dims_of(v) for s in d.symbols}
        if code.laws.identity == "same type" and not code.apart:
            named |= {s.name for t in (code.type, *code.sources) for s in t.symbols}
        code.mentions = tuple(sorted(n for n in named if n in known))
        dims = (d for t in code.sources for d in t.dims if isinstance(d, Poly) and not is_share(d))
        code.typed = tuple(sorted({s.name for d in dims for s in d.symbols if s.name in known}))
        if not code.mentions:
            code.label = label_of(code, lambda value: Sizes(self.compiler.table).value(value, lambda _: None))


def _id(place: Place, decision: Hashable) -> str:
    """The global id of a decision that a slot of a region is about."""
    known = place.shared.get(id(decision))
    return known if known is not None else place.id_of(decision)  # type: ignore[arg-type]  # a declaration


def _gates(nodes: Iterable[Code]) -> Iterator[str]:
    """Picks whose elements are nodes."""
    for code in nodes:
        if isinstance(code, ChooseCode) and code.pick is not None:
            yield code.pick


def _shared_tied(graph: SpaceGraph) -> frozenset[int]:
    """Tied binders that are called in the body of another binder without being declared in it."""
    found: set[int] = set()
    for region in _callees(graph.root):
        inside = list(_written_out(region))
        declared = {id(b) for r in inside for b in r.binders}
        for node in (n for r in inside for n in r.nodes if isinstance(n, CallNode)):
            if node.binder is not None and node.binder.kind == "tied" and id(node.binder) not in declared:
                found.add(id(node.binder))
    return frozenset(found)


def _callees(root: Region) -> list[Region]:
    """Regions of lets and tied members."""
    seen: dict[int, Region] = {}
    bound: dict[int, Region] = {}
    stack = [root]
    while stack:
        region = stack.pop()
        if id(region) in seen:
            continue
        seen[id(region)] = region
        for node in region.nodes:
            if isinstance(node, CallNode):
                stack.append(node.region)
                if node.binder is not None:
                    bound[id(node.region)] = node.region
    return list(bound.values())


def _written_out(region: Region) -> Iterator[Region]:
    """A region and those that are written out in it, each once."""
    seen: set[int] = set()
    stack = [region]
    while stack:
        at = stack.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        stack.extend(n.region for n in at.nodes if isinstance(n, CallNode) and n.binder is None)
