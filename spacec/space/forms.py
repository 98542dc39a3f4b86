"""From a body and its decisions to the normal form: what is left of a network when nothing in it is idle.

Assumes bodies (:mod:`spacec.space.bodies`). One sweep from the outputs finds what they may read under the decisions,
a second one in the order of the nodes builds the graph by the laws of the ops. Callees are normalised on their own,
once for each set of values of the decisions that they depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from spacec.ir.ops import DROPS_ABSENT, AttrValue
from spacec.space.bodies import (
    Body,
    CallCode,
    ChooseCode,
    Decide,
    InputCode,
    NotOpen,
    OpCode,
    OutCode,
    Sizes,
    SwitchCode,
)
from spacec.space.canonical import certificate
from spacec.space.holes import Hole, check_apart, hole_of
from spacec.space.normal import NormalGraph, Vertex
from spacec.space.reading import Reading

ZERO: Final = -1
"""A tensor of zeros."""
ABSENT: Final = -2
"""No tensor."""

MAX_KNOWN = 20_000
"""Forms that a normaliser remembers."""

Given = tuple[int, ...]
"""What is known of a body's inputs: :data:`ZERO`, :data:`ABSENT`, or 0 for a tensor. Empty: all are tensors."""

Result = int | tuple[bool, int]
"""What an output is: :data:`ZERO`, :data:`ABSENT`, ``(True, k)`` for input ``k``, ``(False, k)`` for output ``k``."""


@dataclass(frozen=True, slots=True)
class Form:
    """The normal form of a body.

    ``results`` says what became of each output that was asked for: of the body's inputs, or of the graph's outputs.
    ``inputs`` are the places of the inputs that the graph has, in order. ``holes``: vertices and the decisions that
    they leave open.
    """

    graph: NormalGraph
    results: tuple[Result, ...]
    inputs: tuple[int, ...]
    stateful: bool
    certificate: bytes
    holes: tuple[tuple[int, str], ...] = ()
    calls: tuple[tuple[int, Form], ...] = ()
    """Vertices that are calls, with the forms of what they call."""


@dataclass(eq=False)
class Normaliser:
    """Normal forms under decisions."""

    sizes: Sizes
    unordered: frozenset[int] = frozenset()
    """Concats (by the identity of their node in a region) whose terms may come in any order."""
    known: dict[tuple[object, ...], Form] = field(default_factory=dict)

    def form(self, body: Body, decide: Decide, wanted: tuple[int, ...] | None = None, given: Given = ()) -> Form:
        """The form of a body's ``wanted`` outputs (all, if not told). Raises :class:`NotOpen`."""
        wanted = tuple(range(len(body.outputs))) if wanted is None else wanted
        key = (id(body), wanted, given, *map(decide, body.mentions))
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= MAX_KNOWN:
                self.known.clear()
            found = self.known[key] = self._form(body, decide, wanted, given)
        return found

    def _form(self, body: Body, decide: Decide, wanted: tuple[int, ...], given: Given) -> Form:
        walk = _Walk(body, decide, owner=self, given=given)
        ends = [body.outputs[k] for k in wanted]
        walk.run(ends)
        graph, place, inputs, results = walk.graph.cut([walk.values[e] for e in ends])
        holes = tuple((place[v], d) for v, d in walk.holes.items() if v in place)
        check_apart(graph, {place[v] for v in walk.pure_holes if v in place}, dict(holes))
        calls = tuple((place[v], form) for form, _, v in walk.called.values() if v in place)
        return Form(graph, results, inputs, any(v.weights for v in graph.vertices), certificate(graph), holes, calls)


@dataclass(eq=False)
class _Builder:
    """Vertices in the making. Pure ones are hash-consed; sums know their terms."""

    vertices: list[Vertex] = field(default_factory=list)
    pure: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)
    terms: dict[int, tuple[int, ...]] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)
    """Vertices of inputs, and their places."""

    def add(
        self, label: str, inputs: tuple[int, ...], ordered: bool = True, weights: str = "", apart: bool = False
    ) -> int:
        """A vertex; an equal one where it is pure, unless it stays ``apart``."""
        if weights or apart:
            self.vertices.append(Vertex(label, inputs, ordered, weights))
            return len(self.vertices) - 1
        key = inputs if ordered else tuple(sorted(inputs))
        found = self.pure.setdefault((label, key), len(self.vertices))
        if found == len(self.vertices):
            self.vertices.append(Vertex(label, inputs, ordered))
        return found

    def input(self, place: int, name: str) -> int:
        vertex = self.add(f"input:{name}", ())
        self.inputs[vertex] = place
        return vertex

    def sum(self, label: str, found: Sequence[int]) -> int:
        """The sum of the terms, those of sums among them one by one."""
        terms = tuple(t for v in found for t in self.terms.get(v, (v,)))
        if len(terms) == 1:
            return terms[0]
        vertex = self.add(label, terms, ordered=False)
        self.terms[vertex] = terms
        return vertex

    def cut(self, ends: Sequence[int]) -> tuple[NormalGraph, dict[int, int], tuple[int, ...], tuple[Result, ...]]:
        """What the ends need; where each vertex of it is; the inputs among it; what became of each end."""
        real = list(dict.fromkeys(e for e in ends if e >= 0 and e not in self.inputs))
        needed, stack = set(real), list(real)
        while stack:
            for source in self.vertices[stack.pop()].inputs:
                if source not in needed:
                    needed.add(source)
                    stack.append(source)
        place = {v: k for k, v in enumerate(sorted(needed))}
        vertices = []
        for v in place:
            old = self.vertices[v]
            vertices.append(Vertex(old.label, tuple([place[u] for u in old.inputs]), old.ordered, old.weights))
        graph = NormalGraph(tuple(vertices), tuple(place[e] for e in real))
        inputs = tuple(sorted(self.inputs[v] for v in needed & self.inputs.keys()))
        return graph, place, inputs, tuple(self.result(e, real) for e in ends)

    def result(self, end: int, real: list[int]) -> Result:
        if end < 0:
            return end
        return (True, self.inputs[end]) if end in self.inputs else (False, real.index(end))


@dataclass(eq=False, kw_only=True)
class _Walk(Reading):
    """``values`` are vertices, :data:`ZERO` or :data:`ABSENT`, by node."""

    owner: Normaliser
    given: Given
    graph: _Builder = field(default_factory=_Builder)
    values: dict[int, int] = field(default_factory=dict)
    hollow: dict[int, Hole] = field(default_factory=dict)
    called: dict[int, tuple[Form, tuple[int, ...], int]] = field(default_factory=dict)
    """Forms of calls, the outputs that were asked of them, their vertices."""
    holes: dict[int, str] = field(default_factory=dict)
    pure_holes: set[int] = field(default_factory=set)

    def run(self, ends: Sequence[int]) -> None:
        for index in reversed(self.read(ends)):
            self.values[index] = self.value(index)

    def taken(self, index: int, code: ChooseCode | SwitchCode) -> tuple[int, ...]:
        if isinstance(code, ChooseCode) and code.is_open(self.decide):
            self.hollow[index] = hole_of(self.body, index, self.owner.sizes, self.decide)
            return (self.hollow[index].source,)
        return super().taken(index, code)

    def value(self, index: int) -> int:
        code = self.body.nodes[index]
        match code:
            case OpCode():
                return self.op(code)
            case ChooseCode() | SwitchCode():
                if index in self.hollow:
                    return self.hole(index, code)
                taken = self.chosen[index]
                return ABSENT if taken is None else self.values[taken]
            case OutCode():
                return self.out(code)
            case CallCode():
                return self.call(index, code)
            case InputCode():
                known = self.given[code.place] if self.given else 0
                return known or self.graph.input(code.place, self.body.names[code.place])

    def op(self, code: OpCode) -> int:
        """A primitive, by its laws."""
        laws, given = code.laws, [self.values[i] for i in code.inputs]
        if ABSENT in given:
            if code.op.spec.name not in DROPS_ABSENT:
                return ABSENT
            given = [v for v in given if v != ABSENT]
            if not given:
                return ABSENT
        if laws.zero or (ZERO in given and keeps_zero(code, given)):
            return ZERO
        if laws.adds:
            return self.graph.sum(self.label(code), [v for v in given if v != ZERO])
        if laws.alone and len(given) == 1:
            return given[0]
        if laws.identity == "always" or (laws.identity != "never" and self.owner.sizes.same_type(code, self.decide)):
            return given[0]
        if ZERO in given:
            given = [self.real(i) for i in code.inputs if self.values[i] != ABSENT]
        ordered = not laws.commutes and id(code.op) not in self.owner.unordered
        return self.graph.add(self.label(code), tuple(given), ordered, code.weights, code.apart)

    def label(self, code: OpCode) -> str:
        return code.label or self.owner.sizes.label(code, self.decide)

    def real(self, index: int) -> int:
        """The vertex of a value, also where it is zeros."""
        value = self.values[index]
        if value != ZERO:
            return value
        return self.graph.add(f"zero {self.owner.sizes.type_text(self.body.types[index], self.decide)}", ())

    def call(self, index: int, code: CallCode) -> int:
        """A let or tied member: one vertex for all of its outputs that are neither inputs nor zeros."""
        given = tuple(min(self.values[i], 0) for i in code.inputs)
        wanted = tuple(sorted(self.outs[index]))
        form = self.owner.form(code.body, self.decide, wanted, given if any(given) else ())
        vertex = ABSENT
        if form.graph.outputs:
            label = f"call {form.certificate.hex()}{' as ' if code.name else ''}{code.name}"
            inputs = tuple(self.values[code.inputs[k]] for k in form.inputs)
            vertex = self.graph.add(label, inputs, weights=code.weights if form.stateful else "")
        self.called[index] = form, wanted, vertex
        return vertex

    def out(self, code: OutCode) -> int:
        form, wanted, vertex = self.called[code.call]
        result = form.results[wanted.index(code.place)]
        if isinstance(result, int):
            return result
        from_input, place = result
        if from_input:
            call = self.body.nodes[code.call]
            assert isinstance(call, CallCode), "an output is of a call"
            return self.values[call.inputs[place]]
        return vertex if len(form.graph.outputs) == 1 else self.graph.add(f"output:{place}", (vertex,))

    def hole(self, index: int, code: ChooseCode | SwitchCode) -> int:
        found = self.hollow[index]
        source = self.values[found.source]
        assert isinstance(code, ChooseCode), "a choice is left open"
        decision = code.decision or ""
        if source == ABSENT:
            return ABSENT
        vertex = self.graph.add(found.label, (self.real(found.source),), weights=f"hole {decision}")
        self.holes[vertex] = decision
        if found.pure:
            self.pure_holes.add(vertex)
        if source == ZERO:
            raise NotOpen(decision)
        return vertex


def keeps_zero(code: OpCode, given: Sequence[int]) -> bool:
    """Whether an op gives zeros on what is given."""
    laws = code.laws
    if laws.keeps_zero == "never" or not all(_none(code.attrs[name]) for name in laws.unless):
        return False
    return laws.keeps_zero == "any" or all(v == ZERO for v in given)


def _none(value: AttrValue) -> bool:
    return isinstance(value, int | float) and value == 0
