"""Certificates and automorphisms of normal graphs against networkx and brute force."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from random import Random

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.space.canonical import automorphisms, canonical_order, certificate
from spacec.space.normal import NormalGraph, Vertex


def random_graph(size: int, seed: int) -> NormalGraph:
    """Few labels, so that symmetric graphs are frequent; sums with a term twice; shared weights."""
    rng = Random(seed)
    kinds = rng.choice((("sum",), ("sum", "conv"), ("sum", "conv", "relu", "concat")))
    vertices = [Vertex("input:x")]
    for v in range(size):
        kind = rng.choice(kinds)
        count = rng.choice((1, 2, 2, 3)) if kind in ("sum", "concat") else 1
        inputs = tuple(rng.randrange(max(0, v + 1 - rng.choice((1, 2, 9))), v + 1) for _ in range(count))
        weights = rng.choice((f"w{v}", f"w{v}", "tied", f"tied{v // 3}")) if kind == "conv" else ""
        vertices.append(Vertex(kind, inputs, kind != "sum", weights))
    read = {u for v in vertices for u in v.inputs}
    sinks = [v for v in range(len(vertices)) if v not in read]
    if len(sinks) > 1 and rng.random() < 0.7:
        vertices.append(Vertex("sum", tuple(sinks), False))
        sinks = [len(vertices) - 1]
    return NormalGraph(tuple(vertices), tuple(sinks))


def relabelled(graph: NormalGraph, rng: Random) -> NormalGraph:
    """The same graph: another topological order, other orders of unordered inputs, other names of weights."""
    waiting, order = set(range(len(graph.vertices))), list[int]()
    while waiting:
        ready = sorted(v for v in waiting if waiting.isdisjoint(graph.vertices[v].inputs))
        order.append(rng.choice(ready))
        waiting.discard(order[-1])
    place = {v: k for k, v in enumerate(order)}

    def moved(vertex: Vertex) -> Vertex:
        inputs = [place[u] for u in vertex.inputs]
        if not vertex.ordered:
            rng.shuffle(inputs)
        return replace(vertex, inputs=tuple(inputs), weights=vertex.weights and f"other {vertex.weights}")

    return NormalGraph(tuple(moved(graph.vertices[v]) for v in order), tuple(place[v] for v in graph.outputs))


def as_networkx(graph: NormalGraph) -> networkx.DiGraph:
    """Tagged arcs as vertices of their own, so that plain labelled isomorphism is isomorphism of normal graphs."""
    g = networkx.DiGraph()
    for v, vertex in enumerate(graph.vertices):
        g.add_node(v, label=(vertex.label, vertex.ordered, bool(vertex.weights)))
        if vertex.weights:
            g.add_node(vertex.weights, label="weights")
            g.add_edge(vertex.weights, v)
        for k, u in enumerate(vertex.inputs):
            g.add_node((v, k), label=("input", k if vertex.ordered else 0))
            g.add_edge(u, (v, k))
            g.add_edge((v, k), v)
    for k, v in enumerate(graph.outputs):
        g.add_node(("output", k), label=("output", k))
        g.add_edge(v, ("output", k))
    return g


def isomorphic(a: NormalGraph, b: NormalGraph) -> bool:
    return networkx.is_isomorphic(
        as_networkx(a), as_networkx(b), node_match=lambda x, y: bool(x["label"] == y["label"])
    )


def mapped_onto_itself(graph: NormalGraph, image: tuple[int, ...]) -> bool:
    """Whether a permutation of vertices is an automorphism, by the definition."""
    weights: dict[str, str] = {}
    for v, vertex in enumerate(graph.vertices):
        other = graph.vertices[image[v]]
        inputs = [image[u] for u in vertex.inputs]
        same = inputs == list(other.inputs) if vertex.ordered else sorted(inputs) == sorted(other.inputs)
        if (vertex.label, vertex.ordered, bool(vertex.weights)) != (other.label, other.ordered, bool(other.weights)):
            return False
        if not same or weights.setdefault(vertex.weights, other.weights) != other.weights:
            return False
    return len(set(weights.values())) == len(weights) and tuple(image[v] for v in graph.outputs) == graph.outputs


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32))
def test_a_graph_written_otherwise_has_the_same_certificate(size: int, seed: int) -> None:
    graph = random_graph(size, seed)
    assert certificate(relabelled(graph, Random(seed + 1))) == certificate(graph)


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32), st.integers(0, 2**32))
def test_certificates_are_equal_exactly_where_graphs_are_isomorphic(size: int, one: int, two: int) -> None:
    rng = Random(two)
    a = random_graph(size, one)
    b = random_graph(size, one + rng.choice((0, 1)))
    if len(b.vertices) > 2 and rng.random() < 0.7:  # a graph next to it
        v = rng.randrange(1, len(b.vertices))
        vertex = b.vertices[v]
        inputs = tuple(rng.randrange(v) if rng.random() < 0.5 else u for u in vertex.inputs)
        weights = vertex.weights and rng.choice((vertex.weights, "tied", "own"))
        changed = replace(vertex, inputs=inputs, weights=weights)
        b = NormalGraph((*b.vertices[:v], changed, *b.vertices[v + 1 :]), b.outputs)
    b = relabelled(b, rng)
    assert (certificate(a) == certificate(b)) == isomorphic(a, b)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32))
def test_the_group_is_all_automorphisms(size: int, seed: int) -> None:
    graph = random_graph(size, seed)
    n = len(graph.vertices)
    expected = {p for p in permutations(range(n)) if mapped_onto_itself(graph, p)}
    symmetry = automorphisms(graph)
    found = {tuple(range(n))}
    while True:
        more = {tuple(g[v] for v in p) for p in found for g in symmetry.generators} | found
        if more == found:
            break
        found = more
    assert found == expected
    assert symmetry.order >= len(expected)  # weights that vertices share may be exchanged without them


def branches(count: int, rows: int, inside: bool) -> NormalGraph:
    """Rows of sums of equal branches; ``inside``: each with a reading of its own."""
    vertices, last = [Vertex("input:x")], 0
    for _ in range(rows):
        terms = []
        for _ in range(count):
            vertices.append(Vertex("relu", (last,)))
            first = len(vertices) - 1
            vertices.append(Vertex("conv", (first,), True, f"w{len(vertices)}"))
            terms.append(len(vertices) - 1)
            if inside:
                vertices.append(Vertex("mul", (first, terms[-1])))
                terms[-1] = len(vertices) - 1
        vertices.append(Vertex("sum", tuple(terms), False))
        last = len(vertices) - 1
    return NormalGraph(tuple(vertices), (last,))


@pytest.mark.parametrize("inside", [False, True])
def test_many_equal_branches_are_no_search(inside: bool) -> None:
    graph = branches(12, 30, inside)
    symmetry = automorphisms(graph)
    assert sorted(map(len, symmetry.classes)) == [12] * 30
    assert certificate(graph) == certificate(relabelled(graph, Random(3)))


def test_all_to_all_layers_are_searched_up_to_automorphism() -> None:
    vertices, layer = [Vertex("input:x")], [0]
    for _ in range(2):
        before, layer = layer, []
        for _ in range(6):
            terms = []
            for u in before:
                vertices.append(Vertex("conv", (u,), True, f"w{len(vertices)}"))
                terms.append(len(vertices) - 1)
            vertices.append(Vertex("sum", tuple(terms), False))
            layer.append(len(vertices) - 1)
    vertices.append(Vertex("sum", tuple(layer), False))
    graph = NormalGraph(tuple(vertices), (len(vertices) - 1,))
    assert certificate(graph) == certificate(relabelled(graph, Random(1)))
    assert len(automorphisms(graph).generators) >= 2


def test_the_order_is_canonical_and_whole() -> None:
    graph = branches(2, 2, True)
    assert sorted(canonical_order(graph)) == list(range(len(graph.vertices)))


def test_certificates_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "from tests.space.test_canonical import random_graph\nfrom spacec.space.canonical import certificate\n"
        "print([certificate(random_graph(7, s)).hex() for s in range(40)])"
    )
    found = set()
    for seed in ("0", "1", "random"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        found.add(ran.stdout)
    assert len(found) == 1
    assert str([certificate(random_graph(7, s)).hex() for s in range(40)]) == found.pop().strip()


def test_a_known_certificate_stays() -> None:
    """Certificates are stored: changing one breaks what users kept."""
    graph = NormalGraph((Vertex("input:x"), Vertex("conv", (0,), True, "w"), Vertex("sum", (0, 1), False)), (2,))
    assert certificate(graph).hex() == "21f641fbb7caf334c926743d9e944068f732af42"
    twins = (Vertex("input:x"), Vertex("conv", (0,), True, "v"), Vertex("conv", (0,), True, "w"))
    assert (
        certificate(NormalGraph((*twins, Vertex("sum", (1, 2), False)), (3,))).hex()
        == "5b140afeba4f0dcd1d7595d94189afad7bcb3c07"
    )
