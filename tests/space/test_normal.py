"""The normal form: NAS-Bench-201 by an independent brute force, laws of ops, digests that nothing accidental enters."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import permutations, product
from pathlib import Path

import pytest

import spacec
from spacec import Space, SpacecError
from spacec.space.architecture import Architecture
from spacec.space.bodies import CallCode, NotOpen, Open
from spacec.space.canonical import certificate
from spacec.space.values import Value

GOLDEN = Path(__file__).parent / "canonical.txt"

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


@pytest.fixture(scope="module")
def digests_of_bench(bench: Space) -> dict[Architecture, str]:
    return {arch: bench.canonical(arch) for arch in bench.enumerate()}


def test_classes_of_nas_bench_201(digests_of_bench: dict[Architecture, str]) -> None:
    """5,485 networks, the same classes as by naming convolutions in every way; 5,155 expressions."""
    ways = functools.cache(canonical)
    pairs = set()
    for cell, (arch, digest) in zip(CELL, digests_of_bench.items(), strict=True):
        assert tuple(arch.values.values()) == cell
        pairs.add((digest, ways(network(cell))))
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


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("net = conv(1, elastic {2, 4}) >> zero >> bn >> conv(1, 4)", 2),
        ("let f = relu >> bn\nnet = conv(1, elastic {2, 4}) >> zero >> f >> conv(1, 4)", 2),
        ("net = conv(1, elastic {2, 4}) >> zero >> conv(1, 4)", 1),
    ],
)
def test_zeros_of_two_sizes(text: str, networks: int) -> None:
    """Zeros that a norm sees have the width that is chosen, also in a let that is called with them."""
    assert len(set(digests(space(f"{text}\n")))) == networks


def test_sharing_across_bodies() -> None:
    """A tied layer that a let reads is told from another: sharing beyond the let is part of the network."""
    found = space(
        "tied s = conv(1)\ntied t = conv(1)\nlet a = s | t\nnet = s >> a\n",
    )
    assert len(set(digests(found))) == 2


# ------------------------------------------------------ digests and what enters them


def kept() -> dict[str, tuple[str, str]]:
    """An architecture of every shipped space, and its digest."""
    rows = (line.split() for line in GOLDEN.read_text(encoding="utf-8").splitlines())
    return {name: (arch, digest) for name, arch, digest in rows}


def shipped(name: str) -> str:
    found = spacec.load(f"grammars/{name}.space", preset="tiny")
    return found.canonical(found.architecture(kept()[name][0]))


def test_digests_of_shipped_spaces_stay() -> None:
    """Digests are stored: a change of one needs another version of the normal form."""
    assert {name: digest for name, (_, digest) in kept().items()} == {name: shipped(name) for name in kept()}
    assert set(kept()) <= {path.stem for path in Path("grammars").glob("*.space")}


@pytest.mark.parametrize("seed", ["0", "1"])
def test_digests_are_the_same_in_every_process(seed: str) -> None:
    names = ("darts", "nas_bench_101", "nas_bench_201", "two_modality")
    code = "import sys; from tests.space.test_normal import shipped; print(*map(shipped, sys.argv[1:]))"
    env = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code, *names], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [kept()[name][1] for name in names]


def test_form_is_what_its_certificate_says(bench: Space) -> None:
    """The short cut by names is the certificate of the graph."""
    for arch in bench.sample(200, seed=4):
        form = bench.networks.form(arch.values.get)
        assert form.certificate == certificate(form.graph)
        assert all(callee.certificate == certificate(callee.graph) for _, callee in form.calls)
        cell = form.calls[0][1].graph if form.calls else form.graph
        assert all(u < v for v, vertex in enumerate(cell.vertices) for u in vertex.inputs)


def test_class_sizes(bench: Space, digests_of_bench: dict[Architecture, str]) -> None:
    sizes = Counter(digests_of_bench.values())
    asked = list(digests_of_bench)[::500]
    assert [bench.class_size(a) for a in asked] == [sizes[digests_of_bench[a]] for a in asked]
    darts = spacec.load("grammars/darts.space")
    arch = darts.sample()[0]
    with pytest.raises(SpacecError, match="E0540"):
        darts.class_size(arch)


def test_metamorphic() -> None:
    """Names, the order of definitions and of terms, identities and the order of nodes in a cell change no digest."""
    one = space(
        "def edge = none: zero | c: conv(1) >> bn | r: relu\n"
        "let cell = dag(a) { s = [a >> conv(1), a >> bn]; s += sum(from s: edge); return s[2] + s[0] }\n"
        "net = cell >> cell\n"
    )
    other = space(
        "let box = dag(t) { u = [t >> bn, t >> conv(1)]\n"
        "  u += sum(from v in [u[1], u[0]]: v >> (nothing: zero | k: conv(1) >> bn | id: identity >> relu))\n"
        "  return identity(u[1]) + u[2] }\n"
        "net = box >> identity >> box\n".replace("identity(u[1])", "(u[1] >> identity)")
    )
    assert digests(one) == digests(other)


def test_holes() -> None:
    """A decision left open is one vertex; equal graphs with holes are equal with equal candidates filled in."""
    found = spacec.load("grammars/nas_bench_101.space", preset="tiny")
    networks = found.networks
    cell = next(code.body for code in networks.body.nodes if isinstance(code, CallCode))
    kinds = {d.id: d.kind for d in found.decisions}
    groups: dict[bytes, set[bytes]] = defaultdict(set)
    for arch in found.sample(150, seed=1):

        def opened(decision: str, arch: Architecture = arch) -> Value | Open | None:
            value = arch.get(decision)
            return Open.HOLE if kinds[decision] == "op" and value is not None else value

        def filled(decision: str, arch: Architecture = arch) -> Value | None:
            return 1 if kinds[decision] == "op" and decision in arch else arch.get(decision)

        form = networks.normaliser.form(cell, opened)
        assert all(form.graph.vertices[v].label.startswith("hole:") for v, _ in form.holes)
        groups[form.certificate].add(networks.normaliser.form(cell, filled).certificate)
    assert all(len(group) == 1 for group in groups.values())
    assert len({c for group in groups.values() for c in group}) == len(groups)


@pytest.mark.parametrize("net", ["(zero | conv(1))", "(identity | conv(1))", "(relu | conv(1)) + (relu | bn)"])
def test_what_is_no_hole(net: str) -> None:
    networks = space(f"net = {net} >> bn\n").networks
    with pytest.raises(NotOpen):
        networks.form(lambda decision: Open.HOLE)
