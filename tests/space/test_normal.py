"""The normal form: NAS-Bench-201 by an independent brute force, laws of ops, digests that nothing accidental enters."""

from __future__ import annotations

import functools
from collections import defaultdict
from itertools import permutations, product

import pytest

import spacec
from spacec import Space

HEAD = "space s\ninput x: [4, 8, 8]\noutput y: [4, 8, 8]\n"


def space(text: str) -> Space:
    return spacec.loads(HEAD + text)


def digests(found: Space) -> list[str]:
    return [found.canonical(a) for a in found.enumerate()]


# ------------------------------------------------------ NAS-Bench-201, told apart by other means

CELL = tuple(product(range(5), repeat=6))
NONE, SKIP, CONV1, CONV3, POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target, in the order of the decisions."""


def network(cell: tuple[int, ...]) -> tuple[object, ...]:
    """The last node as a multiset of terms; a convolution carries its edge, everything else is its expression."""
    nodes: list[list[object]] = [["x"], [], [], []]
    for edge, (source, target) in enumerate(EDGES):
        terms = tuple(sorted(nodes[source], key=repr))
        op = cell[edge]
        if op == SKIP:
            nodes[target] += terms
        elif op in (CONV1, CONV3):
            nodes[target].append((op if terms else "norm", edge, terms))  # zeros pass a convolution, and no norm
        elif op == POOL and terms:
            nodes[target].append((op, terms))
    return tuple(sorted(nodes[3], key=repr))


def renamed(term: object, names: dict[int, object]) -> object:
    """A term with convolutions called by other names."""
    if not isinstance(term, tuple):
        return term
    if len(term) == 3:
        op, edge, terms = term
        return op, names[edge], inner(terms, names)
    return term[0], inner(term[1], names)


def inner(terms: tuple[object, ...], names: dict[int, object]) -> tuple[object, ...]:
    return tuple(sorted((renamed(t, names) for t in terms), key=repr))


def convolutions(terms: tuple[object, ...], found: dict[int, object]) -> dict[int, object]:
    for term in terms:
        if isinstance(term, tuple):
            if len(term) == 3:
                found[term[1]] = term
            convolutions(term[-1], found)
    return found


def expression(terms: tuple[object, ...]) -> tuple[object, ...]:
    return inner(terms, dict.fromkeys(range(6), ""))


def canonical(terms: tuple[object, ...]) -> object:
    """The least of all ways to name convolutions that compute one expression."""
    groups: dict[object, list[int]] = defaultdict(list)
    for edge, term in convolutions(terms, {}).items():
        groups[expression((term,))].append(edge)
    kinds = sorted(groups, key=repr)
    ways = product(*(permutations(range(len(groups[k]))) for k in kinds))
    found = []
    for way in ways:
        names: dict[int, object] = {}
        for place, (kind, own) in enumerate(zip(kinds, way, strict=True)):
            names.update({edge: f"{place}.{n}" for edge, n in zip(groups[kind], own, strict=True)})
        found.append(inner(terms, names))
    return tuple(kinds), min(found, key=repr)


@pytest.fixture(scope="module")
def bench() -> Space:
    return spacec.load("grammars/nas_bench_201.space", preset="tiny")


def test_classes_of_nas_bench_201(bench: Space) -> None:
    """5,485 networks, the same classes as by naming convolutions in every way; 5,155 expressions."""
    ways = functools.cache(canonical)
    pairs = set()
    for cell, arch in zip(CELL, bench.enumerate(), strict=True):
        assert tuple(arch.values.values()) == cell
        pairs.add((bench.canonical(arch), ways(network(cell))))
    assert len({ours for ours, _ in pairs}) == len({theirs for _, theirs in pairs}) == len(pairs) == 5485
    assert len({expression(network(cell)) for cell in CELL}) == 5155


def live_edges(cell: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Edges with an operation on a path from the first node to the last, with their operations."""
    kept = {edge: op for edge, op in enumerate(cell) if op != NONE}

    def reached(start: int, steps: list[tuple[int, int]]) -> set[int]:
        found = {start}
        for _ in range(3):
            found |= {b for a, b in steps if a in found}
        return found

    ahead = reached(0, [EDGES[e] for e in kept])
    back = reached(3, [EDGES[e][::-1] for e in kept])
    return tuple((e, op) for e, op in kept.items() if EDGES[e][0] in ahead and EDGES[e][1] in back)


def test_live_forms_of_nas_bench_201(bench: Space) -> None:
    """9,445, as Dong and Yang count."""
    found = set()
    for cell, arch in zip(CELL, bench.enumerate(), strict=True):
        edges = live_edges(cell)
        live = bench.live(arch)
        assert [value for _, value in live] == [op for _, op in edges]
        assert len(bench.dead(arch)) == 6 - len(edges)
        found.add(live)
    assert len(found) == 9445


def test_stream_without_duplicates(bench: Space) -> None:
    archs = bench.sample(300, seed=1)
    kept = list(bench.distinct(archs))
    assert len(kept) == len({bench.canonical(a) for a in archs}) < 300
    assert kept == sorted(kept, key=archs.index)
    assert all(sum(bench.same(a, b) for b in kept) == 1 for a in archs)


# ------------------------------------------------------ laws of ops, one by one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv(1) >> identity", "conv(1)"),
        ("conv(1) + zero", "conv(1)"),
        ("conv(1) + (relu >> zero >> max_pool(3) >> relu)", "conv(1)"),
        ("conv(1) + (zero >> conv(3))", "conv(1)"),
        ("conv(1) + relu", "relu + conv(1)"),
        ("(conv(1) + relu) + bn", "bn + (relu + conv(1))"),
        ("(conv(1) + relu) >> bn", "(relu + conv(1)) >> bn"),
        ("relu + relu", "dag(a) { b = a >> relu; return b + b }"),
        ("dag(a) { b = a >> conv(3); return a >> relu }", "relu"),
        ("let(conv(1)) >> let(identity)", "let(conv(1))"),
        ("let(identity | identity) >> conv(1)", "conv(1)"),
        ("(x: conv(1) | y: conv(1))", "conv(1)"),
        ("times(2.0) + (zero >> times(2.0))", "times(2.0)"),
        ("conv({3}) >> upsample(1)", "conv(3)"),
        ("dag(a) { return concat(a >> conv(1), a >> relu) >> conv(1, 4) }",
         "dag(a) { return concat(a >> relu, a >> conv(1)) >> conv(1, 4) }"),
        ("dag(a) { return mul(a >> conv(1), a >> relu) }", "dag(a) { return mul(a >> relu, a >> conv(1)) }"),
    ],
)  # fmt: skip
def test_one_network(one: str, other: str) -> None:
    assert set(digests(space(f"net = {one}\n"))) == set(digests(space(f"net = {other}\n")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv(1) + conv(1)", "dag(a) { b = a >> conv(1); return b + b }"),
        ("conv(1) + (zero >> bn)", "conv(1)"),
        ("conv(1) + (zero >> conv(3, bias = 1))", "conv(1)"),
        ("conv(1) + (zero >> sigmoid)", "conv(1)"),
        ("tied(conv(1)) * 2", "let(conv(1)) * 2"),
        ("conv(1) >> relu", "relu >> conv(1)"),
        ("frozen(conv(1))", "conv(1)"),
        ("dag(a) { return concat(a >> conv(1, 2), a >> conv(3, 2)) }",
         "dag(a) { return concat(a >> conv(3, 2), a >> conv(1, 2)) }"),
        ("dag(a) { return concat(a >> conv(1), a >> relu) >> layer_norm >> conv(1, 4, groups = 2) }",
         "dag(a) { return concat(a >> relu, a >> conv(1)) >> layer_norm >> conv(1, 4, groups = 2) }"),
    ],
)  # fmt: skip
def test_two_networks(one: str, other: str) -> None:
    assert set(digests(space(f"net = {one}\n"))).isdisjoint(digests(space(f"net = {other}\n")))


def test_sharing_across_bodies() -> None:
    """A tied layer that a let reads is told from another: sharing beyond the let is part of the network."""
    found = space(
        "tied s = conv(1)\ntied t = conv(1)\nlet a = s | t\nnet = s >> a\n",
    )
    assert len(set(digests(found))) == 2
