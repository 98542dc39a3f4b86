"""How decisions are wired: for each owner, its choices as vertices, and what each of them reads.

A vertex is an input of the owner's network, a choice between operations, an elastic value (at the
first op that takes it), or an output; everything that decides nothing is contracted, so that a wire
from one vertex to another stands for the ways between them. With ``joins``, results of several tensors
(sums, concatenations) are vertices as well. A ``let`` or ``tied`` is one network however often it is used,
and what its caller sees of it is contracted too. Vertices are in topological order: inputs, choices,
values (and joins), outputs.

Assumes a space graph and its table. Guarantees that conditions are over ids of the table's decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from spacec.ir.conditions import ALWAYS, NEVER, Cond, Is, both, conjuncts, either
from spacec.ir.conditions import All as Conjunction
from spacec.ir.conditions import Any as Disjunction
from spacec.ir.dims import Poly
from spacec.ir.graph import CallNode, ChooseNode, OpNode, Ref, Region, SpaceGraph, SwitchNode
from spacec.ir.naming import ROOT_OWNER, Place, root_place
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.encodings.model import unfit

LIMIT = 60_000
"""Nodes that are looked at, calls written out."""

VERTICES = 512
"""Vertices of all owners together."""

Reach = dict[int, Cond]
"""The vertices that a node depends on over nodes that are none, and when."""

_Read = Callable[[Ref], Reach]


Kind = Literal["input", "choice", "value", "join", "output"]


@dataclass(frozen=True)
class Vertex:
    """``labels``: what it may be, one of them; of a choice those of its decision's candidates.

    ``guard``: when it is there, in a network that uses its owner.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    decision: str | None = None
    guard: Cond = ALWAYS
    shows: bool = False
    """It is there whenever its decision is active."""


@dataclass(frozen=True)
class Wire:
    """``target`` reads ``source`` (places in the vertices) where ``when`` holds."""

    source: int
    target: int
    when: Cond


@dataclass(frozen=True)
class Wiring:
    """The vertices and wires of one owner. ``active``: its decisions' ids; it is used where one of them is."""

    owner: str
    vertices: tuple[Vertex, ...]
    wires: tuple[Wire, ...]
    picks: Mapping[str, Cond]
    """When its subset decisions are active, in a network that uses the owner."""


def wirings(
    table: DecisionTable, graph: SpaceGraph, scheme: str, *, joins: bool = False, values: bool = True
) -> tuple[Wiring, ...]:
    """The wirings of a space: of its owners whose networks have choices or values, in the table's order.

    Raises :class:`SpacecError` (E0623) where there is too much to look at; ``scheme`` is what asks.
    """
    key = ("wirings", joins, values)
    if key not in table.memo:
        tracer = _Tracer(table, scheme, joins, values)
        tracer.trace_all(root_place(graph.root))
        order = {owner: i for i, owner in enumerate(table.owners)}
        found = [w for w in tracer.found.values() if any(v.decision for v in w.vertices)]
        table.memo[key] = tuple(sorted(found, key=lambda w: (order.get(w.owner, -1), w.owner)))
    made: tuple[Wiring, ...] = table.memo[key]
    return made


@dataclass
class _Body:
    """The wiring of one owner while it grows."""

    owner: str
    vertices: list[Vertex] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    own: dict[str, Cond] = field(default_factory=dict)
    """When its decisions are active, in a network that uses it."""
    names: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, kind: Kind, labels: Iterable[str], **more: object) -> int:
        """A new vertex; one of a decision that another owner has says both."""
        count = self.names[name] = self.names.get(name, 0) + 1
        told = name if count == 1 else f"{name}#{count}"
        self.vertices.append(Vertex(told, kind, tuple(labels), **more))  # type: ignore[arg-type]  # fields by name
        return len(self.vertices) - 1

    def connect(self, target: int, reach: Reach, guard: Cond) -> None:
        for source, when in sorted(reach.items()):
            told = both(guard, when)
            if told != NEVER:
                self.wires.append(Wire(source, target, told))


class _Tracer:
    def __init__(self, table: DecisionTable, scheme: str, joins: bool, values: bool) -> None:
        self.table, self.scheme, self.joins, self.values = table, scheme, joins, values
        self.found: dict[str, Wiring] = {}
        self.waiting: list[Place] = []
        self.seen: set[str] = set()
        self.order = {d.id: i for i, d in enumerate(table.decisions)}
        self.elastic: dict[int, bool] = {}
        self.looked = 0
        self.vertices = 0

    def trace_all(self, root: Place) -> None:
        """Every owner that a call enters, each at its first one."""
        self.waiting, self.seen = [root], {root.owner}
        while self.waiting:
            place = self.waiting.pop()
            body = _Body(place.owner)
            sources: list[Reach] = [
                {body.add(_numbered(f"{place.owner}.input", i, len(place.region.inputs)), "input", ("input",)): ALWAYS}
                for i in range(len(place.region.inputs))
            ]
            outputs = self._region(body, place, ALWAYS, sources)
            for i, reach in enumerate(outputs):
                name = _numbered(f"{place.owner}.output", i, len(outputs))
                guard = place.absolute(place.region.outputs[i].presence)
                target = body.add(name, "output", ("output",), guard=guard)
                body.connect(target, _without(reach, guard), guard)
            self.found[place.owner] = Wiring(body.owner, tuple(body.vertices), tuple(body.wires), self._picks(body))
            self.vertices += len(body.vertices) if len(body.vertices) > len(sources) + len(outputs) else 0
            if self.vertices > VERTICES:
                raise unfit(self.scheme, f"more than {VERTICES} vertices", _MEND)

    def _region(self, body: _Body, place: Place, outer: Cond, inputs: list[Reach]) -> list[Reach]:
        """What each output of a region depends on."""
        for decision in place.region.decisions:
            body.own[place.id_of(decision)] = both(outer, place.absolute(decision.condition))
        made: list[list[Reach]] = [[reach] for reach in inputs]
        for node in place.region.nodes:
            self.looked += 1
            if self.looked > LIMIT:
                raise unfit(self.scheme, f"more than {LIMIT:,} nodes to look at", _MEND)
            guard = both(outer, place.absolute(node.guard))

            def read(ref: Ref) -> Reach:
                return made[ref.node][ref.out]

            match node:
                case OpNode():
                    reach = _guarded(_union(read(r) for r in node.inputs), guard)
                    for name in self._values(body, place, node) if self.values else ():
                        reach = self._value(body, name, reach, guard)
                    if self.joins and len(node.inputs) > 1:
                        at = body.add(f"{body.owner}.{node.spec.name}", "join", (node.spec.name,), guard=guard)
                        body.connect(at, _without(reach, guard), guard)
                        reach = {at: guard}
                    made.append([reach])
                case ChooseNode():
                    made.append([self._choice(body, place, node, guard, read)])
                case SwitchNode():
                    cases = zip(node.alternatives, node.conditions, strict=True)
                    told = [_guarded(read(a), place.absolute(c)) for a, c in cases if a is not None]
                    made.append([_guarded(_union(told), guard)])
                case CallNode():
                    made.append(self._call(body, place, node, guard, [read(r) for r in node.inputs]))
        return [made[out.ref.node][out.ref.out] for out in place.region.outputs]

    def _values(self, body: _Body, place: Place, node: OpNode) -> list[str]:
        """Elastic values that the op takes, and no op of this owner before it."""
        symbols = {s for attr in node.attrs.values() if isinstance(attr, Poly) for s in attr.symbols}
        if not symbols:
            return []
        known = [self.table.by_id.get(place.shared.get(id(s.ref), "")) for s in symbols]
        seen = {v.decision for v in body.vertices}
        found = {d.id for d in known if d is not None and d.kind != "subset" and d.id not in seen}
        return sorted(found, key=self.order.__getitem__)

    def _shows(self, body: _Body, decision: Decision, guard: Cond) -> bool:
        """Whether a vertex is there whenever its decision is active: told from conditions as they are written."""
        return guard == body.own.get(decision.id) or (body.owner == ROOT_OWNER and guard == decision.active)

    def _picks(self, body: _Body) -> dict[str, Cond]:
        known = self.table.by_id
        return {name: when for name, when in body.own.items() if name in known and known[name].kind == "subset"}

    def _value(self, body: _Body, name: str, reach: Reach, guard: Cond) -> Reach:
        decision = self.table.by_id[name]
        shows = self._shows(body, decision, guard)
        at = body.add(_told(body, decision), "value", decision.labels, decision=name, guard=guard, shows=shows)
        body.connect(at, _without(reach, guard), guard)
        return {at: guard}

    def _call(self, body: _Body, place: Place, node: CallNode, guard: Cond, inputs: list[Reach]) -> list[Reach]:
        child = place.child(node)
        outputs = len(node.region.outputs)
        if node.binder is not None and node.region.searches and child.owner not in self.seen:
            self.seen.add(child.owner)
            self.waiting.append(child)
        single = outputs == 1 or len(inputs) == 1
        if node.binder is not None or (
            single and not node.region.searches and not (self.values and self._elastic(node.region))
        ):
            return [_guarded(_union(inputs), guard)] * outputs
        return self._region(body, child, guard, inputs)

    def _elastic(self, region: Region) -> bool:
        """Whether an op in it takes a value that a decision gives."""
        if id(region) not in self.elastic:
            ops = (n for n in region.nodes if isinstance(n, OpNode))
            found = any(isinstance(attr, Poly) and attr.symbols for n in ops for attr in n.attrs.values())
            calls = (n.region for n in region.nodes if isinstance(n, CallNode))
            self.elastic[id(region)] = found or any(self._elastic(r) for r in calls)
        return self.elastic[id(region)]

    def _choice(self, body: _Body, place: Place, node: ChooseNode, guard: Cond, read: _Read) -> Reach:
        """A choice between operations is a vertex, the gate of a picked element is none."""
        decision = node.slot.decision
        if decision is None:
            present = [read(a) for a in node.alternatives if a is not None]
            return _guarded(_union(present), guard)
        name = place.shared.get(id(decision)) or place.id_of(decision)
        known = self.table.by_id.get(name)
        if known is None:
            return _guarded(_union(read(a) for a in node.alternatives if a is not None), guard)
        at = body.add(
            _told(body, known),
            "choice",
            known.labels,
            decision=name,
            guard=guard,
            shows=self._shows(body, known, guard),
        )
        present_from = len(node.alternatives) - len(known.labels)
        told = []
        for index, alternative in enumerate(node.alternatives[present_from:]):
            if alternative is not None:
                taken = Is(name, frozenset((index,)))
                told.append((index, _without(read(alternative), both(guard, taken))))
        for source in sorted({s for _, reach in told for s in reach}):
            taken_when: dict[Cond, set[int]] = {}
            for index, reach in told:
                if source in reach:
                    taken_when.setdefault(reach[source], set()).add(index)
            body.connect(at, {source: either(*(_taken(known, w, ks) for w, ks in taken_when.items()))}, guard)
        return {at: guard}


_MEND = ("`onehot`, `categorical` and `tokens` have no such bound",)


def _taken(decision: Decision, when: Cond, candidates: set[int]) -> Cond:
    every = len(candidates) == len(decision.labels)
    return when if every else both(Is(decision.id, frozenset(candidates)), when)


def _told(body: _Body, decision: Decision) -> str:
    return decision.id if decision.owner == body.owner else f"{body.owner}: {decision.id}"


def _numbered(name: str, index: int, count: int) -> str:
    return name if count == 1 else f"{name}[{index}]"


def _union(parts: Iterable[Reach]) -> Reach:
    found: dict[int, list[Cond]] = {}
    for reach in parts:
        for vertex, when in reach.items():
            found.setdefault(vertex, []).append(when)
    return {v: whens[0] if len(whens) == 1 else either(*whens) for v, whens in found.items()}


def _guarded(reach: Reach, guard: Cond) -> Reach:
    return reach if guard == ALWAYS else {v: both(guard, when) for v, when in reach.items()}


def _without(reach: Reach, known: Cond) -> Reach:
    """The same where ``known`` holds, said shortly."""
    told = conjuncts(known)
    return {v: _given(when, told) for v, when in reach.items()}


def _given(when: Cond, known: frozenset[Cond]) -> Cond:
    if when in known:
        return ALWAYS
    if isinstance(when, Conjunction):
        return both(*(p for p in when.parts if p not in known))
    if isinstance(when, Disjunction):
        parts = [_given(p, known) for p in when.parts]
        return ALWAYS if ALWAYS in parts else either(*parts)
    return when
