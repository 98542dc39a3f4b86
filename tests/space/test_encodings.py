"""Encodings: what is lossless decodes, what is not says so, and columns are where the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import holds
from spacec.ir.flat import FlatChoose, FlatInput, FlatOp, FlatSwitch
from spacec.space.architecture import Architecture
from spacec.space.encodings.graphs import GraphEncoding
from spacec.space.encodings.model import Encoding
from spacec.space.encodings.presence import Presence
from spacec.space.encodings.registry import SCHEMES
from spacec.space.encodings.wiring import Wiring, wirings
from spacec.testing.generate import random_space

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(p.stem for p in (ROOT / "grammars").glob("*.space"))


def shipped(name: str) -> spacec.Space:
    return spacec.load(ROOT / "grammars" / f"{name}.space")


def encoding_or_none(space: spacec.Space, scheme: str) -> Encoding | GraphEncoding | None:
    try:
        return space.encoding(scheme)
    except SpacecError as error:
        if [d.code for d in error.diagnostics] != ["E0623"]:
            raise
    return None


def check_round_trips(space: spacec.Space, archs: list[Architecture]) -> None:
    for scheme in SCHEMES:
        encoding = encoding_or_none(space, scheme)
        if encoding is None or isinstance(encoding, GraphEncoding):
            assert scheme in ("adjacency", "path", "graph")
            continue
        rows = space.encode(archs, scheme)
        assert rows.shape == (len(archs), *encoding.shape)
        assert rows.dtype == encoding.dtype
        assert len(set(encoding.columns)) == len(encoding.columns) == rows.shape[1]
        if encoding.lossless:
            assert list(space.decode(rows, scheme)) == archs
            assert space.decode(rows[0], scheme) == archs[0]
        else:
            with pytest.raises(SpacecError) as caught:
                space.decode(rows, scheme)
            assert [d.code for d in caught.value.diagnostics] == ["E0621"]
            assert caught.value.diagnostics[0].notes == (encoding.loses,)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_spaces(name: str) -> None:
    space = shipped(name)
    check_round_trips(space, space.sample(3 if name == "hierarchical" else 20, seed=1))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_random_spaces(seed: int) -> None:
    space = spacec.loads(random_space(seed))
    check_round_trips(space, space.sample(12, seed=seed))


def test_one_hot_and_categorical_and_tokens_as_written() -> None:
    space = spacec.loads(
        "space s()\ninput x: [3, 8, 8]\noutput y: [3]\ndef op = a: relu | b: identity\n"
        "net = dag(x) { t = [x, x >> relu]; return sum(pick 1..2 from t: op) } >> op * {1..2} >> global_pool\n"
    )
    chosen = {"net.pick[0]": [1], "net.pick[0].op[1]": "b", "net.depth[0]": "1", "net.op[0]": "a"}
    arch = space.architecture({**space.to_json(space.sample()[0]), "decisions": chosen})
    assert space.encode(arch, "categorical").tolist() == [2, -1, 1, 0, 0, -1]
    assert dict(zip(space.encoding("onehot").columns, space.encode(arch).tolist(), strict=True)) == {
        "net.pick[0] has 0": 0,
        "net.pick[0] has 1": 1,
        "net.pick[0].op[0] = a": 0,
        "net.pick[0].op[0] = b": 0,
        "net.pick[0].op[1] = a": 0,
        "net.pick[0].op[1] = b": 1,
        "net.depth[0] = 1": 1,
        "net.depth[0] = 2": 0,
        "net.op[0] = a": 1,
        "net.op[0] = b": 0,
        "net.op[1] = a": 0,
        "net.op[1] = b": 0,
    }
    words = space.encoding("tokens").options["vocabulary"]
    told = [words[token] for token in space.encode(arch, "tokens")]
    assert told == ["<bos>", "<out>", "<in>", "b", "1", "a", "<eos>", "<pad>", "<pad>"]


def flat_wires(space: spacec.Space, arch: Architecture) -> set[tuple[str, str]]:
    """Which choice reads which, followed node by node through the flat graph of one network."""
    slots = {s.id: s for s in space.slots}
    reaches: list[set[str]] = []
    wires: set[tuple[str, str]] = set()
    for node in space.flat.nodes:
        found: set[str] = set()
        if isinstance(node, FlatInput):
            found = {"input"}
        elif holds(node.guard, lambda d: arch.get(str(d))):
            if isinstance(node, FlatOp):
                found = set().union(*(reaches[i] for i in node.inputs))
            elif isinstance(node, FlatSwitch):
                taken = [a for a, c in zip(node.alternatives, node.conditions, strict=True) if holds(c, arch.get)]
                found = set().union(*(reaches[a] for a in taken if a is not None))
            elif isinstance(node, FlatChoose):
                slot = slots[node.slot]
                picked = slot.pick is None or slot.element in (arch.get(slot.pick) or ())
                index = slot.absent if slot.decision is None else arch[slot.decision] + slot.absent
                alternative = node.alternatives[index] if picked else None
                if alternative is not None:
                    found = reaches[alternative]
                    if slot.decision is not None:
                        wires |= {(source, slot.decision) for source in found}
                        found = {slot.decision}
        reaches.append(found)
    return wires | {(source, "output") for i in space.flat.outputs.values() for source in reaches[i]}


def told_wires(wiring: Wiring, truths: list[np.ndarray], row: int) -> set[tuple[str, str]]:
    names = [v.decision or v.kind for v in wiring.vertices]
    return {(names[w.source], names[w.target]) for w, t in zip(wiring.wires, truths, strict=True) if t[row]}


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000))
def test_wires_are_those_of_the_flat_graph(seed: int) -> None:
    space = spacec.loads(random_space(seed))
    if {d.owner for d in space.decisions} != {"net"}:
        return
    archs = space.sample(10, seed=seed)
    found = wirings(space.table, space.graph, "test", values=False)
    there = Presence(space.table, found).of(space.batch(archs).codes)
    for row, arch in enumerate(archs):
        for wiring, truths in zip(found, there.wires, strict=True):
            assert told_wires(wiring, truths, row) == flat_wires(space, arch)


def test_nas_bench_201_is_the_graph_of_arch2vec() -> None:
    """Its adjacency is constant: 0->1,2,4; 1->3,5; 2->6; 3->6; 4,5,6->7 (arch2vec's released preprocessing)."""
    space = shipped("nas_bench_201")
    order = ("input", "conv1", "conv3", "pool", "skip", "none", "output")
    archs = space.sample(30, seed=0)
    graphs = space.encode(archs, "graph", labels=order)
    wires = {(0, 1), (0, 2), (0, 4), (1, 3), (1, 5), (2, 6), (3, 6), (4, 7), (5, 7), (6, 7)}
    for arch, nodes, adjacency in zip(archs, graphs.nodes, graphs.adjacency, strict=True):
        assert set(zip(*map(list, np.nonzero(adjacency)), strict=True)) == wires
        ops = [space.decisions[i].labels[arch[d]] for i, d in enumerate(arch)]
        assert [order[int(v.argmax())] for v in nodes] == ["input", *ops, "output"]
        assert (nodes.sum(axis=1) == 1).all()


def test_joins_are_vertices_when_asked_for() -> None:
    space = shipped("nas_bench_201")
    encoding = space.encoding("graph", joins=True)
    assert [v.split(".")[1] for v in encoding.vertices] == (
        ["input", "edge[0]", "edge[1]", "edge[2]", "sum", "edge[3]", "edge[4]", "edge[5]", "sum#2", "output"]
    )
    assert encoding.labels == ("input", "none", "skip", "conv1", "conv3", "pool", "sum", "output")


@pytest.mark.parametrize(("name", "columns"), [("nas_bench_201", 155), ("nas_bench_101", 364)])
def test_paths_are_as_many_as_published(name: str, columns: int) -> None:
    """Sums of powers of the number of operations: 5 + 25 + 125, and 1 + 3 + ... + 243 (White et al., BANANAS)."""
    assert shipped(name).encoding("path").shape == (columns,)


def test_paths_of_nas_bench_201_by_hand() -> None:
    """The four ways from node 0 to node 3, over edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2."""
    space = shipped("nas_bench_201")
    archs = space.sample(50, seed=3)
    columns = space.encoding("path").columns
    for arch, row in zip(archs, space.encode(archs, "path"), strict=True):
        ops = [space.decisions[i].labels[arch[d]] for i, d in enumerate(arch)]
        ways = {", ".join(ops[e] for e in way) for way in ([3], [0, 4], [1, 5], [0, 2, 5])}
        assert {columns[i].split(": ")[1] for i in np.nonzero(row)[0]} == ways


def test_truncated_paths_are_columns_of_the_whole() -> None:
    space = shipped("darts")
    archs = space.sample(300, seed=5)
    whole, columns = space.encode(archs, "path"), space.encoding("path").columns
    short = space.encode(archs, "path", length=2)
    assert space.encoding("path", length=2).columns == columns[: short.shape[1]]
    assert (short == whole[:, : short.shape[1]]).all()
    kept = space.encoding("path", keep=40).columns
    assert kept == tuple(sorted(kept, key=columns.index))
    assert (space.encode(archs, "path", keep=40) == whole[:, [columns.index(c) for c in kept]]).all()
    seen = whole.sum(axis=0)
    assert {c for c, n in zip(columns, seen, strict=True) if n > 50} <= set(kept)


def test_hashed_paths_depend_on_the_set_of_paths_only() -> None:
    space = shipped("nas_bench_201")
    archs = space.sample(400, seed=5)
    whole, folded = space.encode(archs, "path"), space.encode(archs, "path", hashed=64)
    said = {row.tobytes(): fold.tobytes() for row, fold in zip(whole, folded, strict=True)}
    assert all(said[row.tobytes()] == fold.tobytes() for row, fold in zip(whole, folded, strict=True))
    assert len(set(said.values())) > 0.9 * len(said)


def test_compact_graphs_and_edges_say_the_same() -> None:
    space = shipped("darts")
    archs = space.sample(20, seed=2)
    whole, compact = space.encode(archs, "graph"), space.encode(archs, "graph", compact=True)
    assert space.encoding("graph", compact=True).size == compact.mask.shape[1] == 2 * (2 + 8 + 1)
    for i in range(len(archs)):
        there = whole.mask[i].astype(bool)
        assert (whole.nodes[i][there] == compact.nodes[i]).all()
        assert (whole.adjacency[i][there][:, there] == compact.adjacency[i]).all()
        assert (whole.nodes[i][~there] == 0).all()
    for ours, theirs in zip(whole.edges(), compact.edges(), strict=True):
        assert (ours == theirs).all()
    pairs, nodes, graph = compact.edges()
    assert (graph[pairs[0]] == graph[pairs[1]]).all()
    assert nodes.shape == (20 * 22, len(space.encoding("graph").labels))


def codes_of(make: object) -> list[str]:
    with pytest.raises(SpacecError) as caught:
        make()  # type: ignore[operator]
    return [d.code for d in caught.value.diagnostics]


def test_what_cannot_be_is_said() -> None:
    space = shipped("nas_bench_201")
    arch = space.sample()[0]
    assert codes_of(lambda: space.encode(arch, "one-hot")) == ["E0620"]
    assert codes_of(lambda: space.encode(arch, "onehot", length=3)) == ["E0620"]
    assert codes_of(lambda: space.encode(arch, "path", length=0)) == ["E0620"]
    assert codes_of(lambda: space.encode(arch, "path", keep=5, hashed=5)) == ["E0620"]
    assert codes_of(lambda: space.encode(arch, "graph", labels=["input"])) == ["E0620"]
    assert codes_of(lambda: space.decode(space.encode([arch], "graph"), "graph")) == ["E0621"]
    row = space.encode(arch)
    assert codes_of(lambda: space.decode(row[:-1])) == ["E0622"]
    assert codes_of(lambda: space.decode(np.ones_like(row))) == ["E0622"]
    assert codes_of(lambda: space.decode(np.zeros_like(row))) == ["E0622"]
    tokens = space.encode(arch, "tokens")
    tokens[0] = 0
    assert codes_of(lambda: space.decode(tokens, "tokens")) == ["E0622"]
    assert codes_of(lambda: shipped("cream").encode(shipped("cream").sample(), "path")) == ["E0623"]


def test_an_inactive_decision_with_a_value_is_no_encoding() -> None:
    space = shipped("darts")
    row = space.encode(space.sample()[0], "categorical")
    row[list(row).index(-1)] = 0
    assert codes_of(lambda: space.decode(row, "categorical")) == ["E0622"]


def test_columns_do_not_depend_on_the_process() -> None:
    program = (
        "import hashlib, spacec\n"
        "s = spacec.load('grammars/nas_bench_101.space')\n"
        "schemes = ('adjacency', 'path', 'tokens')\n"
        "made = [(s.encoding(x).columns, s.encode(s.sample(20), x).tolist()) for x in schemes]\n"
        "graphs = s.encode(s.sample(20), 'graph')\n"
        "folded = s.encode(s.sample(20), 'path', hashed=50).tolist()\n"
        "print(hashlib.sha256(repr((made, graphs.nodes.tolist(), folded)).encode()).hexdigest())\n"
    )
    seen = set()
    for seed in "17":
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1
