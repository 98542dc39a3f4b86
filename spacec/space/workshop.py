"""Where the vertices of normal forms are made and kept: equal ones, of however many architectures, are one.

A vertex is known by its label, its inputs and, where it has weights, the node that it comes from. So architectures
that agree in a part of their network have that part in common, and each part is named once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

from spacec.space.canonical import certificate_by_order
from spacec.space.holes import Hole, Label
from spacec.space.normal import NormalGraph, Vertex, expression, named_by

ZERO: Final = -1
"""A tensor of zeros."""
ABSENT: Final = -2
"""No tensor."""

Given = tuple[int, ...]
"""What is known of a body's inputs: :data:`ZERO`, :data:`ABSENT`, or 0 for a tensor. Empty: all are tensors."""

Result = int | tuple[bool, int]
"""What an output is: :data:`ZERO`, :data:`ABSENT`, ``(True, k)`` for input ``k``, ``(False, k)`` for output ``k``."""


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The normal form of a body.

    ``results`` says what became of each output that was asked for: of the body's inputs, or of the graph's outputs.
    ``inputs`` are the places of the inputs that the graph has, in order. ``certificate`` names the graph up to
    isomorphism (:func:`spacec.space.canonical.certificate`). ``holes``: vertices and the decisions that they leave
    open. ``calls``: vertices that are calls, with the forms of what they call.
    """

    results: tuple[Result, ...]
    inputs: tuple[int, ...]
    stateful: bool
    certificate: bytes
    shop: Workshop = field(repr=False)
    kept: tuple[int, ...] = field(repr=False)
    """The vertices of the workshop that the graph has, in order."""
    ends: tuple[int, ...] = field(repr=False)
    """Those that are its outputs."""
    holes: tuple[tuple[int, str], ...] = ()
    calls: tuple[tuple[int, Form], ...] = ()
    erased: tuple[tuple[int, Label], ...] = ()
    """Vertices whose labels depend on decisions that are left open."""

    @property
    def graph(self) -> NormalGraph:
        """The form as a graph, made anew each time."""
        return self.shop.graph(self.kept, self.ends)


@dataclass(eq=False)
class Workshop:
    """The vertices of one body. Pure ones are hash-consed; sums know their terms."""

    vertices: list[Vertex] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    """What each computes (:func:`spacec.space.normal.expression`)."""
    known: dict[tuple[str, tuple[int, ...], bool, Hashable], int] = field(default_factory=dict)
    terms: dict[int, tuple[int, ...]] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)
    """Vertices of inputs, and their places."""
    applied: dict[tuple[int, tuple[int, ...]], int] = field(default_factory=dict)
    """What a node gives on values, where no decision enters."""
    steps: dict[tuple[int, int], int] = field(default_factory=dict)
    """What the chain that ends in a node gives on a value."""
    hollow: dict[tuple[int, object], Hole] = field(default_factory=dict)
    """Holes that no other decision enters, by node and what is left open."""
    cuts: dict[tuple[int, ...], Form] = field(default_factory=dict)
    drawn: dict[tuple[object, ...], bytes] = field(default_factory=dict)
    """Certificates of graphs by what they look like, vertices in the order of their names."""

    def add(
        self,
        label: str,
        inputs: tuple[int, ...],
        ordered: bool = True,
        weights: str = "",
        own: Hashable = None,
    ) -> int:
        """A vertex; an equal one where there is one. One that is not pure is its ``own`` node's alone."""
        key = (label, inputs, ordered, own)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = len(self.vertices)
            self.vertices.append(Vertex(label, inputs, ordered, weights))
            self.names.append(expression(label, ordered, bool(weights), [self.names[u] for u in inputs]))
        return found

    def input(self, place: int, name: str) -> int:
        vertex = self.add(f"input:{name}", ())
        self.inputs[vertex] = place
        return vertex

    def sum(self, label: str, found: Sequence[int]) -> int:
        """The sum of the terms, those of sums among them one by one."""
        if len(found) == 1:
            return found[0]
        terms = tuple(sorted([t for v in found for t in self.terms.get(v, (v,))]))
        vertex = self.add(label, terms, ordered=False)
        self.terms[vertex] = terms
        return vertex

    def cut(self, ends: tuple[int, ...]) -> Form:
        """What the ends need: a form without holes and calls."""
        found = self.cuts.get(ends)
        if found is None:
            found = self.cuts[ends] = self._cut(ends)
        return found

    def _cut(self, ends: tuple[int, ...]) -> Form:
        real = tuple([e for e in dict.fromkeys(ends) if e >= 0 and e not in self.inputs])
        needed, stack, vertices = set(real), list(real), self.vertices
        while stack:
            for source in vertices[stack.pop()].inputs:
                if source not in needed:
                    needed.add(source)
                    stack.append(source)
        kept = tuple(sorted(needed))
        inputs = tuple(sorted([self.inputs[v] for v in needed & self.inputs.keys()]))
        results = tuple([self._result(e, real) for e in ends])
        weights = [w for v in kept if (w := vertices[v].weights)]
        return Form(results, inputs, bool(weights), self._named(kept, real, weights), self, kept, real)

    def graph(self, kept: tuple[int, ...], ends: tuple[int, ...]) -> NormalGraph:
        """The graph of some vertices."""
        place = {v: k for k, v in enumerate(kept)}
        made = []
        for v in kept:
            old = self.vertices[v]
            made.append(Vertex(old.label, tuple([place[u] for u in old.inputs]), old.ordered, old.weights))
        return NormalGraph(tuple(made), tuple([place[e] for e in ends]))

    def _named(self, kept: tuple[int, ...], ends: tuple[int, ...], weights: list[str]) -> bytes:
        """The certificate of a graph: at once where its vertices differ in names, else once for each look of it."""
        names = self.names
        if len({names[v] for v in kept}) == len(kept) and len(set(weights)) == len(weights):
            return named_by([names[e] for e in ends])
        by_name = sorted(kept, key=names.__getitem__)
        place = {v: k for k, v in enumerate(by_name)}
        shared: dict[str, int] = {}
        look: list[object] = [place[e] for e in ends]
        for v in by_name:
            vertex = self.vertices[v]
            given = [place[u] for u in vertex.inputs]
            seen = shared.setdefault(vertex.weights, len(shared)) if vertex.weights else -1
            look.append((names[v], seen, *(given if vertex.ordered else sorted(given))))
        key = tuple(look)
        found = self.drawn.get(key)
        if found is None:
            found = self.drawn[key] = certificate_by_order(self.graph(kept, ends))
        return found

    def _result(self, end: int, real: tuple[int, ...]) -> Result:
        if end < 0:
            return end
        return (True, self.inputs[end]) if end in self.inputs else (False, real.index(end))
