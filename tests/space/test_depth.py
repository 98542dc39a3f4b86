"""Depths against the longest path of the graph written out, and what is known of published networks."""

from __future__ import annotations

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.ir.conditions import holds
from spacec.ir.flat import FlatChoose, FlatInput, FlatMeet, FlatOp, FlatSwitch
from spacec.space.architecture import Architecture
from spacec.space.depth import STARTS
from spacec.testing.generate import random_space
from tests.grammars.record import GRAMMARS, NAMES


def longest(space: spacec.Space, arch: Architecture, layers: bool) -> int:
    """The longest path of the flat graph of an architecture, by networkx."""
    slots = {s.id: s for s in space.slots}
    nodes = space.flat.nodes
    graph = networkx.DiGraph()
    present: set[int] = set()

    def taken(node: FlatChoose) -> int | None:
        slot = slots[node.slot]
        if slot.pick is not None and slot.element not in (arch.get(slot.pick) or ()):
            return None
        k = 0 if slot.decision is None else arch.get(slot.decision)
        return None if k is None else node.alternatives[k + slot.absent]

    for index, node in enumerate(nodes):
        own = 0
        match node:
            case FlatInput():
                read: list[int | None] = []
            case FlatOp():
                if not holds(node.guard, arch.values.get):
                    continue
                types = tuple(nodes[i].type for i in node.inputs)
                multiplies = node.spec.rule(node.attrs, types).macs != 0
                own = int(multiplies if layers else node.spec.name != "identity")
                read = [] if node.spec.name in STARTS else list(node.inputs)
            case FlatChoose():
                read = [taken(node)]
            case FlatSwitch():
                held = [a for a, c in zip(node.alternatives, node.conditions, strict=True) if holds(c, arch.values.get)]
                read = held[:1]
            case FlatMeet():
                read = list(node.sources)
        known = [i for i in read if i in present]
        if read and not known:
            continue
        present.add(index)
        graph.add_node(index)
        graph.add_edges_from((i, index, {"weight": own}) for i in known)
        if not known:
            graph.add_edge("start", index, weight=own)
    ends = [i for i in space.flat.outputs.values() if i in present]
    lengths = dict.fromkeys(graph, 0)
    for node in networkx.topological_sort(graph):
        lengths[node] = max((lengths[i] + w["weight"] for i, _, w in graph.in_edges(node, data=True)), default=0)
    return max(lengths[i] for i in ends)


@pytest.mark.parametrize("name", NAMES)
def test_depth_is_the_longest_path(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    bounds = space.depth_bounds(), space.depth_bounds("layers")
    for arch in space.sample(4, seed=3):
        depths = space.depth(arch), space.depth(arch, "layers")
        assert depths == (longest(space, arch, False), longest(space, arch, True))
        assert all(low <= d <= high for d, (low, high) in zip(depths, bounds, strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_bounds_hold_on_random_spaces(seed: int) -> None:
    space = spacec.loads(random_space(seed))
    low, high = space.depth_bounds()
    for arch in space.sample(4, seed=seed):
        assert low <= space.depth(arch) == longest(space, arch, False) <= high


def test_published_depths() -> None:
    """NAS-Bench-201: stem, 15 cells, two residual blocks, classifier; a cell's longest way has three edges."""
    space = spacec.load(GRAMMARS / "nas_bench_201.space")
    assert space.depth_bounds("layers") == (1, 6 + 15 * 3)
    edges = {"none": 1, "skip": 6, "conv3": 6 + 15 * 3, "pool": 6}
    for label, layers in edges.items():
        arch = space.architecture("5d01f23b:cell=" + ",".join([label] * 6))
        assert space.depth(arch, "layers") == layers
    assert space.depth_bounds() == (min(map(space.depth, space.enumerate())), max(map(space.depth, space.enumerate())))
