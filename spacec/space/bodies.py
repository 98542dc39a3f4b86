"""The network of one owner as one list of nodes: what its normal form, and what lives in it, are read from.

Assumes a finished space graph. A :class:`Body` is a region (of the whole space, of a ``let`` or a ``tied``) with
every call that decides nothing for itself written out; calls of lets and tied members stay, each with a body of its
own. Decisions have their global ids, sizes are functions of these. Nodes are in topological order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

from spacec.ir.conditions import Cond, decisions, holds
from spacec.ir.dims import Cases, Dim, Poly, poly
from spacec.ir.graph import CallNode, ChooseNode, OpNode, Ref, Region, SpaceGraph, SwitchNode
from spacec.ir.naming import Place, global_size, is_frozen, joined, root_place, state_path
from spacec.ir.ops import AttrValue, OpLaws
from spacec.ir.sizes import evaluate, substitute
from spacec.ir.symbol import Symbol
from spacec.ir.types import TensorType
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import Number, Value, number, symbol_number


@dataclass(frozen=True)
class Open:
    """Stands for the value of a decision that is left open, among some candidates; of none: among all."""

    candidates: tuple[int, ...] = ()

    HOLE: ClassVar[Open]
    """Any candidate."""


Open.HOLE = Open()

Decide = Callable[[str], "Value | Open | None"]
"""The value of a decision, ``None`` where it is inactive, or which candidates are left open."""

FOLLOWS = "*"
"""In a label, a size that is not compared."""

WHOLE = "."
"""Key of the weights of a call that is all of its caller."""

PRESENCE = "present"
"""The attribute in which the elaborator notes which terms of a concat are there: the graph shows that."""


class NotOpen(Exception):
    """A decision (its id) was left open whose candidates are not vertices of their own."""


def _settled(value: Value | Open | None) -> Value | None:
    return None if isinstance(value, Open) else value


@dataclass(slots=True, eq=False)
class InputCode:
    """Input ``place`` of the body."""

    place: int


@dataclass(slots=True, eq=False)
class OpCode:
    """A primitive. ``label`` is ready where no decision enters its attributes."""

    op: OpNode
    inputs: tuple[int, ...]
    laws: OpLaws
    weights: str
    attrs: dict[str, AttrValue]
    """With decisions by their global ids; :data:`FOLLOWS` for a size that is not compared."""
    type: TensorType
    sources: tuple[TensorType, ...]
    frozen: bool
    label: str | None = None
    apart: bool = False
    """Its label hides a size that is not compared, so that equal labels do not mean equal vertices."""
    uneven: bool = False
    """Such a size enters its type."""
    mentions: tuple[str, ...] = ()
    """Decisions that enter its attributes."""
    typed: tuple[str, ...] = ()
    """Decisions that enter the types of its inputs, which show where these are zeros."""


@dataclass(slots=True, eq=False)
class ChooseCode:
    """A choice: the candidate of ``decision``, behind the gate of an element of ``pick``."""

    decision: str | None
    pick: str | None
    element: int
    shift: int
    """Candidates that are absent come first."""
    alternatives: tuple[int | None, ...]
    chains: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """Alternatives that are chains of ops with one input and no decision: the node they begin from, the ops."""

    def taken(self, decide: Decide) -> int | Open | None:
        """The node that is chosen, if one is, or among which candidates it is left open."""
        if self.pick is not None:
            picked = decide(self.pick)
            if not isinstance(picked, tuple) or self.element not in picked:
                return None
        own = 0 if self.decision is None else decide(self.decision)
        return self.alternatives[own + self.shift] if isinstance(own, int) else own if isinstance(own, Open) else None


@dataclass(slots=True, eq=False)
class SwitchCode:
    """What other decisions choose."""

    conditions: tuple[Cond, ...]
    alternatives: tuple[int | None, ...]
    mentions: tuple[str, ...]

    def taken(self, decide: Decide) -> int | None:
        """The node whose condition holds, if it is there."""
        known = {d: decide(d) for d in self.mentions}
        for decision, value in known.items():
            if isinstance(value, Open):
                raise NotOpen(decision)
        pairs = zip(self.conditions, self.alternatives, strict=True)
        return next((a for c, a in pairs if holds(c, lambda d: _settled(known[str(d)]))), None)


@dataclass(slots=True, eq=False)
class CallCode:
    """A let or a tied member used. ``weights``: the key of its weights; ``name``: where other bodies share them."""

    body: Body
    inputs: tuple[int, ...]
    weights: str
    name: str


@dataclass(slots=True, eq=False)
class OutCode:
    """Output ``place`` of the call that is node ``call``."""

    call: int
    place: int


Code = InputCode | OpCode | ChooseCode | SwitchCode | CallCode | OutCode


@dataclass(slots=True, eq=False)
class Body:
    """The network of one owner; ``nodes`` begin with its inputs."""

    owner: str
    region: Region
    nodes: list[Code] = field(default_factory=list)
    types: list[TensorType] = field(default_factory=list)
    """Of each node; decisions in sizes have their global ids."""
    outputs: tuple[int, ...] = ()
    mentions: tuple[str, ...] = ()
    """Every decision that it depends on, calls included."""
    names: tuple[str, ...] = ()
    """Of its inputs."""
    askers: dict[str, int] = field(default_factory=dict)
    """How many nodes, of calls too, ask each decision."""


@dataclass(eq=False)
class Sizes:
    """Sizes and labels under decisions."""

    table: DecisionTable
    known: dict[tuple[Dim, tuple[Value | Open | None, ...]], str] = field(default_factory=dict)

    def text(self, dim: Dim, decide: Decide) -> str:
        """A size as text; what an input decides stays a symbol."""
        if isinstance(dim, int):
            return str(dim)
        named = sorted({s.name for s in dim.symbols if s.name in self.table.by_id})
        key = (dim, tuple(map(decide, named)))
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._text(dim, decide)
        return found

    def _text(self, dim: Poly, decide: Decide) -> str:
        if all(s.name in self.table.by_id for s in dim.symbols):
            return str(evaluate(dim, lambda s: self.number(s, decide)))

        def replaced(symbol: Symbol) -> Dim:
            if symbol.name not in self.table.by_id:
                return poly(symbol)
            found = self.number(symbol, decide)
            return found if isinstance(found, int) else Poly((((), found),))

        return str(substitute(dim, replaced))

    def number(self, symbol: Symbol, decide: Decide) -> Number:
        """What a decision contributes; where it is inactive, what makes sizes largest, as in networks."""
        decision = self.table.by_id[symbol.name]
        value = decide(symbol.name)
        if isinstance(value, Open):
            raise NotOpen(symbol.name)
        if value is None and symbol.part is None:
            return largest(decision)
        return symbol_number(decision, value, symbol.part)

    def type_text(self, type_: TensorType, decide: Decide) -> str:
        dims = ", ".join(FOLLOWS if _follows(d) else self.text(d, decide) for d in type_.dims)
        return f"{type_.kind}[{dims}]"

    def label(self, code: OpCode, decide: Decide) -> str:
        """The op and its attributes."""
        return code.label or _label(code, lambda value: self.value(value, decide))

    def value(self, value: AttrValue, decide: Decide) -> str:
        if isinstance(value, Poly):
            return self.text(value, decide)
        if isinstance(value, tuple):
            return "(" + ", ".join(self.value(v, decide) for v in value) + ")"
        return repr(value) if isinstance(value, str) and value != FOLLOWS else str(value)

    def same_type(self, code: OpCode, decide: Decide) -> bool:
        """Whether the op's output has its one input's type."""
        a, b = code.sources[0], code.type
        if a == b:
            return True
        if a.kind != b.kind or a.rank != b.rank or code.uneven or not a.symbols | b.symbols:
            return False
        return all(self.text(x, decide) == self.text(y, decide) for x, y in zip(a.dims, b.dims, strict=True))


def largest(decision: Decision) -> Number:
    """The number at which the sizes that mention an elastic decision are largest."""
    numbers = [number(decision, k) for k in range(len(decision.labels))]
    return (min if decision.grows is False else max)(numbers, default=Fraction(0))


def _label(code: OpCode, text: Callable[[AttrValue], str]) -> str:
    attrs = ", ".join(f"{name}={text(value)}" for name, value in code.attrs.items())
    return f"{code.op.spec.name}({attrs}){' frozen' if code.frozen else ''}"


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
        code.apart = any(_shares(v, seen) for v in code.attrs.values())
        code.uneven = any(_shares(d, seen) for t in (code.type, *code.sources) for d in t.dims)
        code.attrs = {k: FOLLOWS if _shares(v, seen) else v for k, v in code.attrs.items()}
        known = self.compiler.table.by_id
        named = {s.name for v in code.attrs.values() for d in _dims(v) for s in d.symbols}
        if code.laws.identity == "same type" and not code.apart:
            named |= {s.name for t in (code.type, *code.sources) for s in t.symbols}
        code.mentions = tuple(sorted(n for n in named if n in known))
        dims = (d for t in code.sources for d in t.dims if isinstance(d, Poly) and not _follows(d))
        code.typed = tuple(sorted({s.name for d in dims for s in d.symbols if s.name in known}))
        if not code.mentions:
            code.label = _label(code, lambda value: Sizes(self.compiler.table).value(value, lambda _: None))


def mentioned(code: Code) -> Iterator[str]:
    """Decisions that a node asks itself."""
    match code:
        case OpCode() | SwitchCode():
            yield from code.mentions
        case ChooseCode():
            yield from (d for d in (code.decision, code.pick) if d is not None)


def _id(place: Place, decision: Hashable) -> str:
    """The global id of a decision that a slot of a region is about."""
    known = place.shared.get(id(decision))
    return known if known is not None else place.id_of(decision)  # type: ignore[arg-type]  # a declaration


def _gates(nodes: Iterable[Code]) -> Iterator[str]:
    """Picks whose elements are nodes."""
    for code in nodes:
        if isinstance(code, ChooseCode) and code.pick is not None:
            yield code.pick


def _dims(value: AttrValue) -> Iterator[Poly]:
    if isinstance(value, Poly):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from _dims(inner)


def _follows(dim: Dim) -> bool:
    """Whether a size is a share: a quotient or an extreme that presence enters."""
    return not isinstance(dim, int) and any(isinstance(a, Cases) for monomial, _ in dim.terms for a, _ in monomial)


def _shares(value: AttrValue, seen: frozenset[str]) -> bool:
    """Whether a value is a share by picks whose elements the graph shows: such a size is not compared."""
    return any(_follows(d) and all(s.name in seen for s in d.symbols if s.part is not None) for d in _dims(value))


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
