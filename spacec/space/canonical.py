"""Canonical labelling of normal graphs: when two networks are one, and what maps a network onto itself.

Vertices are told apart by colour refinement: what a vertex computes from, and what reads it. Where that tells all
apart the order of colours is canonical. What is left is split into parts that nothing connects but vertices which are
told apart; equal parts are interchangeable. Inside a part one vertex after the other is individualised, and a branch
that an automorphism maps to an earlier one is not searched (McKay and Piperno, Practical graph isomorphism II, 2014).
Colours are 64-bit hashes and only guide the search: what is compared in the end is the whole graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from math import factorial, prod

from spacec.space.normal import NormalGraph, expression, named_by
from spacec.space.structure import Arcs, Colours, arcs_of, mixed, refine

Permutation = tuple[int, ...]
"""Of the nodes of a part, by place."""

MAX_ELEMENTS = 20_000
"""Elements of one part's group that are listed."""

_Serial = tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
"""A part in canonical order: per node its colour, and its arguments by tag and place."""

_Leaf = tuple[tuple[int, ...], _Serial, list[int]]
"""Colours that tell all nodes of a part apart, in order; the part and its nodes in this order."""


class TooManyAutomorphisms(Exception):
    """A part of a graph has more automorphisms than are listed."""


@dataclass(frozen=True)
class Part:
    """Nodes that refinement leaves alike, connected with each other, in canonical order.

    ``generators`` of its group are permutations of places in ``nodes``.
    """

    nodes: tuple[int, ...]
    serial: _Serial
    generators: tuple[Permutation, ...] = ()

    @cached_property
    def elements(self) -> tuple[Permutation, ...]:
        """Its whole group. Raises :class:`TooManyAutomorphisms`."""
        identity = tuple(range(len(self.nodes)))
        found, frontier = {identity}, [identity]
        while frontier:
            products = {tuple(g[k] for k in p) for p in frontier for g in self.generators}
            frontier = list(products - found)
            found.update(frontier)
            if len(found) > MAX_ELEMENTS:
                raise TooManyAutomorphisms
        return tuple(sorted(found))


@dataclass(frozen=True)
class Symmetry:
    """The automorphisms of a graph: of the parts of each class, in any exchange of equal parts.

    ``fixed`` are the vertices that nothing moves. Nodes from ``vertices`` on stand for shared weights.
    """

    vertices: int
    fixed: tuple[int, ...]
    classes: tuple[tuple[Part, ...], ...]

    @property
    def order(self) -> int:
        """How many automorphisms there are. Raises :class:`TooManyAutomorphisms`."""
        return prod(factorial(len(parts)) * len(parts[0].elements) ** len(parts) for parts in self.classes)

    @property
    def generators(self) -> tuple[Permutation, ...]:
        """Permutations of the vertices that give all others."""
        found = []
        for parts in self.classes:
            for part in parts:
                images = (tuple(part.nodes[k] for k in g) for g in part.generators)
                found += [self._moving(zip(part.nodes, image, strict=True)) for image in images]
            for a, b in pairwise(parts):
                found.append(self._moving([*zip(a.nodes, b.nodes, strict=True), *zip(b.nodes, a.nodes, strict=True)]))
        return tuple(found)

    def _moving(self, moves: Iterable[tuple[int, int]]) -> Permutation:
        image = dict(moves)
        return tuple(image.get(v, v) for v in range(self.vertices))


def certificate(graph: NormalGraph) -> bytes:
    """Twenty bytes, equal for two graphs exactly where they are isomorphic.

    Isomorphic: a bijection of vertices keeps labels, inputs (in order, or as a multiset), which vertices share
    weights, and the outputs in order. (Different graphs of one certificate would be a collision of BLAKE2b.)
    """
    names: list[bytes] = []
    for v in graph.vertices:
        names.append(expression(v.label, v.ordered, bool(v.weights), [names[u] for u in v.inputs]))
    weights = [v.weights for v in graph.vertices if v.weights]
    if len(set(names)) == len(names) and len(set(weights)) == len(weights):
        return named_by([names[v] for v in graph.outputs])
    return certificate_by_order(graph)


def certificate_by_order(graph: NormalGraph) -> bytes:
    """The certificate of a graph with vertices that compute alike, or that share weights."""
    return _written(graph, canonical_order(graph))


def canonical_order(graph: NormalGraph) -> list[int]:
    """The vertices in an order that isomorphic graphs agree on."""
    order, _ = _solved(arcs_of(graph))
    return [v for v in order if v < len(graph.vertices)]


def automorphisms(graph: NormalGraph) -> Symmetry:
    """What maps the graph onto itself."""
    arcs = arcs_of(graph)
    order, parts = _solved(arcs)
    classes: dict[_Serial, list[Part]] = {}
    for part in parts:
        classes.setdefault(part.serial, []).append(part)
    moved = {v for part in parts for v in part.nodes}
    fixed = tuple(v for v in order if v not in moved and v < len(graph.vertices))
    return Symmetry(len(graph.vertices), fixed, tuple(map(tuple, classes.values())))


def _written(graph: NormalGraph, order: Sequence[int]) -> bytes:
    """The digest of a graph whose vertices are written in an order."""
    place = {v: k for k, v in enumerate(order)}
    weights: dict[str, int] = {}
    lines = []
    for v in order:
        vertex = graph.vertices[v]
        inputs = [place[u] for u in vertex.inputs]
        shown = ",".join(map(str, inputs if vertex.ordered else sorted(inputs)))
        state = weights.setdefault(vertex.weights, len(weights)) if vertex.weights else "-"
        lines.append(f"{vertex.label}\x1f{'o' if vertex.ordered else 'm'}\x1f{shown}\x1f{state}")
    lines.append(",".join(str(place[v]) for v in graph.outputs))
    return blake2b("\x1e".join(lines).encode(), digest_size=20).digest()


# ------------------------------------------------------------------- parts


def _solved(arcs: Arcs) -> tuple[list[int], list[Part]]:
    """All nodes in canonical order, and the parts that refinement leaves."""
    colours = refine(arcs, range(len(arcs.colours)), dict(enumerate(arcs.colours)))
    cells: dict[int, list[int]] = {}
    for v, colour in colours.items():
        cells.setdefault(colour, []).append(v)
    order = sorted((v for cell in cells.values() if len(cell) == 1 for v in cell), key=colours.__getitem__)
    left = {v for cell in cells.values() if len(cell) > 1 for v in cell}
    parts = sorted((_part(arcs, nodes, colours) for nodes in _connected(arcs, left)), key=lambda p: p.serial)
    return [*order, *(v for part in parts for v in part.nodes)], parts


def _connected(arcs: Arcs, nodes: set[int]) -> list[list[int]]:
    """The connected pieces of what is left, each in topological order."""
    pieces = []
    waiting = set(nodes)
    for start in sorted(nodes):
        if start not in waiting:
            continue
        waiting.discard(start)
        piece, stack = [], [start]
        while stack:
            v = stack.pop()
            piece.append(v)
            for _, u in (*arcs.inputs[v], *arcs.readers[v]):
                if u in waiting:
                    waiting.discard(u)
                    stack.append(u)
        pieces.append(sorted(piece))
    return pieces


def _part(arcs: Arcs, nodes: list[int], colours: Colours) -> Part:
    own = {v: colours[v] for v in nodes}
    if len(set(own.values())) == len(nodes):
        order = sorted(nodes, key=own.__getitem__)
        return Part(tuple(order), _serial(arcs, order, colours))
    search = _Search(arcs, nodes, own)
    _, serial, order = search.best(own)
    place = {v: k for k, v in enumerate(order)}
    generators = (tuple(place[g[v]] for v in order) for g in search.generators)
    return Part(tuple(order), serial, tuple(dict.fromkeys(generators)))


def _serial(arcs: Arcs, order: Sequence[int], colours: Colours) -> _Serial:
    place = {v: k for k, v in enumerate(order)}
    return tuple((colours[v], tuple(sorted((t, place[u]) for t, u in arcs.inputs[v] if u in place))) for v in order)


class _Search:
    """Individualisation and refinement inside one part."""

    def __init__(self, arcs: Arcs, nodes: list[int], colours: Colours) -> None:
        self.arcs, self.nodes, self.colours = arcs, nodes, colours
        self.generators: list[dict[int, int]] = []

    def best(self, colours: Colours) -> _Leaf:
        """The least leaf below a refined colouring."""
        cell = self.cell(colours)
        if cell is None:
            return self.leaf(colours)
        least: _Leaf | None = None
        tried: list[int] = []
        leaves: dict[object, list[int]] = {}
        for v in cell:
            if tried and not self.orbit(v, colours).isdisjoint(tried):
                continue
            below = self.individualised(colours, v)
            *key, order = self.first(below)
            tried.append(v)
            same = leaves.setdefault(tuple(key), order)
            if same is not order:
                self.generators.append(dict(zip(same, order, strict=True)))
                continue
            found = self.best(below)
            if least is not None and found[:2] == least[:2]:
                self.generators.append(dict(zip(least[2], found[2], strict=True)))
            elif least is None or found < least:
                least = found
        assert least is not None, "a cell has vertices"
        return least

    def first(self, colours: Colours) -> _Leaf:
        """The leaf of the first branches."""
        while (cell := self.cell(colours)) is not None:
            colours = self.individualised(colours, cell[0])
        return self.leaf(colours)

    def leaf(self, colours: Colours) -> _Leaf:
        order = sorted(self.nodes, key=colours.__getitem__)
        return tuple(colours[v] for v in order), _serial(self.arcs, order, self.colours), order

    def cell(self, colours: Colours) -> list[int] | None:
        """The smallest cell of two or more vertices; among such the one of the least colour."""
        cells: dict[int, list[int]] = {}
        for v in self.nodes:
            cells.setdefault(colours[v], []).append(v)
        open_cells = [(len(cell), colour) for colour, cell in cells.items() if len(cell) > 1]
        return cells[min(open_cells)[1]] if open_cells else None

    def individualised(self, colours: Colours, v: int) -> Colours:
        return refine(self.arcs, self.nodes, {**colours, v: mixed(colours[v], 1)})

    def orbit(self, v: int, colours: Colours) -> set[int]:
        """Where the automorphisms known so far that keep the individualised vertices take a vertex."""
        told = self.told(colours)
        keeping = [g for g in self.generators if all(g[u] == u for u in told)]
        orbit, stack = {v}, [v]
        while stack:
            u = stack.pop()
            for g in keeping:
                if g[u] not in orbit:
                    orbit.add(g[u])
                    stack.append(g[u])
        return orbit

    def told(self, colours: Colours) -> list[int]:
        """Vertices that are told apart here; automorphisms that keep the path keep all of them."""
        seen: dict[int, list[int]] = {}
        for v in self.nodes:
            seen.setdefault(colours[v], []).append(v)
        return [cell[0] for cell in seen.values() if len(cell) == 1]
