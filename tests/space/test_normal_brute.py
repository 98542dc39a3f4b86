"""Classes of networks on small spaces, by another way: expressions over the flat graph, compared by networkx.

Spaces without lets and tied members, so that the whole network is one body, and without concat.
"""

from __future__ import annotations

import itertools
import re

import networkx
import pytest
from networkx.algorithms.isomorphism import categorical_multiedge_match, categorical_node_match

import spacec
from spacec import Space
from spacec.ir.conditions import holds
from spacec.ir.flat import FlatChoose, FlatInput, FlatOp, FlatSwitch
from spacec.ir.ops import AttrValue
from spacec.lower.masks import architecture_mask
from spacec.lower.sizes import architecture_sizes, number
from spacec.space.architecture import Architecture
from spacec.testing.generate import random_space

Term = tuple[object, ...]
Value = tuple[Term, ...] | None
"""The terms of a sum: none of zeros, one of anything else; ``None`` is absent."""

LINEAR = {"relu", "max_pool", "avg_pool", "global_pool"}
"""Ops of the generator that map zeros to zeros; convolutions and linear maps without bias beside them."""


class Brute:
    """One architecture's network as terms."""

    def __init__(self, space: Space, arch: Architecture) -> None:
        self.nodes = space.flat.nodes
        self.taken = architecture_mask(space.table, arch)
        self.sizes = architecture_sizes(space.table, arch)
        self.arch = arch
        self.values: dict[int, Value] = {}
        self.output = self.value(next(iter(space.flat.outputs.values())))

    def value(self, index: int) -> Value:
        if index not in self.values:
            self.values[index] = self.found(index)
        return self.values[index]

    def found(self, index: int) -> Value:
        node = self.nodes[index]
        if isinstance(node, FlatInput):
            return (("input",),)
        if isinstance(node, FlatChoose):
            k = self.taken[node.slot]
            chosen = None if k is None else node.alternatives[k]
            return None if chosen is None else self.value(chosen)
        if isinstance(node, FlatSwitch):
            pairs = zip(node.conditions, node.alternatives, strict=True)
            chosen = next((a for c, a in pairs if holds(c, lambda d: self.arch.get(str(d)))), None)
            return None if chosen is None else self.value(chosen)
        assert isinstance(node, FlatOp)
        return self.op(node)

    def op(self, node: FlatOp) -> Value:
        given = [self.value(i) for i in node.inputs]
        name = node.spec.name
        if name == "sum":
            there = [v for v in given if v is not None]
            return tuple(sorted((t for v in there for t in v), key=repr)) if there else None
        if None in given:
            return None
        if name == "zero":
            return ()
        if name == "identity" or (name == "global_pool" and self.nodes[node.inputs[0]].type == node.type):
            return given[0]
        silent = name in LINEAR or (name in ("conv", "linear") and not node.attrs["bias"])
        if silent and not any(given):
            return ()
        text = f"{name} {[(k, self.text(v)) for k, v in node.attrs.items()]} {node.frozen}"
        if not given[0]:
            text += f" of {self.text(self.nodes[node.inputs[0]].type.channels)} zeros"
        return ((text, node.key, *given),)

    def text(self, value: AttrValue) -> str:
        if isinstance(value, tuple):
            return str([self.text(v) for v in value])
        return str(value) if isinstance(value, int | float | str | None) else str(number(value, self.sizes))

    def graph(self) -> networkx.MultiDiGraph:
        """A vertex for each term and for each sum of several; edges know the place of what they bring."""
        graph = networkx.MultiDiGraph()

        def add(value: Value) -> Value:
            assert value is not None
            if graph.has_node(value):
                return value
            graph.add_node(value, label="sum" if len(value) > 1 else str(value[0][0]) if value else "zeros")
            terms = value if len(value) > 1 else ()
            for term in terms:
                graph.add_edge(add((term,)), value, place=0)
            if len(value) == 1:
                for place, inner in enumerate(value[0][2:]):
                    graph.add_edge(add(inner), value, place=place)  # type: ignore[arg-type]  # a value by construction
            return value

        graph.add_node("output", label="output")
        graph.add_edge(add(self.output), "output", place=0)
        return graph


def same(a: networkx.MultiDiGraph, b: networkx.MultiDiGraph) -> bool:
    nodes, edges = categorical_node_match("label", ""), categorical_multiedge_match("place", 0)
    return networkx.is_isomorphic(a, b, node_match=nodes, edge_match=edges)


def one_body() -> list[int]:
    """Seeds of spaces that are one body, and small."""
    found = []
    for seed in itertools.count():
        text = random_space(seed, 12)
        if not re.search(r"\b(let|tied|concat|noise|len|max\(|narrow|transition)\b", text):
            found.append(seed)
        if len(found) == 24:
            return found


DAG = "net = dag(x) {{ s = [x]; for i in 1..{} {{ s += sum(from s: e) }}; return s[{}] }}"
PICKS = "net = dag(x) { s = [x, x >> conv(1)]; for i in 1..2 { s += sum(pick 1..2 from s: e) }; return s[2] + s[3] }"
CELLS = (
    "def e = zero | identity | conv(1) | relu | bn\n" + DAG.format(2, 2),
    "def e = zero | conv(1) >> relu\n" + DAG.format(3, 3),
    "def e = relu >> conv(1) | identity\n" + PICKS,
    "def e = conv(1) * {0..2}\nnet = e + (e >> (relu | identity)) + (zero | avg_pool(3) >> e)",
)


@pytest.mark.parametrize("seed", one_body())
def test_random_spaces(seed: int) -> None:
    assert_classes(spacec.loads(random_space(seed, 12)), 80)


@pytest.mark.parametrize("text", CELLS)
def test_cells(text: str) -> None:
    found = spacec.loads(f"space s\ninput x: [4, 8, 8]\noutput y: [4, 8, 8]\n{text}\n")
    assert assert_classes(found, 130) < 0.85


def assert_classes(space: Space, most: int) -> float:
    """Our classes are networkx' classes; how many there are for an architecture."""
    archs = list(itertools.islice(space.enumerate(), most))
    classes: dict[str, list[networkx.MultiDiGraph]] = {}
    for arch in archs:
        classes.setdefault(space.canonical(arch), []).append(Brute(space, arch).graph())
    for graphs in classes.values():
        assert all(same(graphs[0], other) for other in graphs[1:])
    for one, other in itertools.combinations(classes.values(), 2):
        assert not same(one[0], other[0])
    return len(classes) / len(archs)
