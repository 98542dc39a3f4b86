"""NAS-Bench-Graph through its package: every architecture has a network, of the weights that the table says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from spacec_tables.nas_bench_graph import DATASETS, open_nas_bench_graph

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space.architecture import Architecture

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "grammars" / "nas_bench_graph.space"
SPACE = spacec.load(FILE)
TABLE = open_nas_bench_graph(SPACE.table, None)


def arch(links: str, ops: str) -> Architecture:
    """``links`` of the nodes 2 to 4, ``ops`` of all four."""
    first, *others = ops.split()
    lets = ":".join(f"op@{i}={op}" for i, op in enumerate((first, *others), 1))
    return SPACE.architecture(f"{SPACE.digest}:net={','.join(links)}:{lets}")


def counted(links: list[int], ops: list[str]) -> Iterator[int]:
    """Weights in the table that no output reads: the norms of nodes that start, and PyTorch Geometric's of ARMA."""
    features = [True]
    for link, op in zip(links, ops, strict=True):
        if features[link]:
            yield 2 * 256
        if op == "arma":
            yield 256 * 256
        features.append(features[link] and op == "skip")


@pytest.mark.parametrize(
    ("links", "ops"),
    [
        ("123", "gcn gcn gcn gcn"),
        ("000", "gcn gat gin cheb"),
        ("000", "skip skip skip gcn"),
        ("123", "skip sage arma graph"),
        ("011", "fc arma sage gat"),
        ("112", "gin skip gcn cheb"),
    ],
)
def test_weights_are_those_of_the_table(links: str, ops: str) -> None:
    from nas_bench_graph import Arch  # the package's own canonical form, of which the table has the weights

    found = Arch([0, *map(int, links)], ops.split()).regularize()
    found.move_skip_op()
    unread = sum(counted(found.link, found.ops))
    mine = arch(links, ops)
    assert TABLE.query(mine).metrics["params"] * 1e6 == pytest.approx(SPACE.params(mine) + unread, abs=0.5)


def test_every_architecture_has_a_row() -> None:
    tiny = spacec.load(FILE, preset="tiny")
    table = open_nas_bench_graph(tiny.table, None)
    assert tiny.count() == 24 * (9**4 - 1), "without those of skips alone, which have no output"
    rows = [tuple(table.query(a).metrics.values()) for a in tiny.sample(500, seed=1)]
    assert 200 < len(set(rows)) <= 500


def test_one_network_in_several_spellings_has_one_row() -> None:
    same = [arch("121", "gcn gin fc cheb"), arch("112", "gcn gin cheb fc"), arch("113", "gcn cheb gin fc")]
    other = arch("112", "gcn cheb gin fc")
    assert len({tuple(TABLE.query(a).metrics.values()) for a in same}) == 1
    assert TABLE.query(other) != TABLE.query(same[0]), "here fc reads what cheb gives"
    assert SPACE.same(same[0], same[1])
    assert SPACE.same(same[0], same[2])
    assert not SPACE.same(same[0], other)


def test_the_graphs() -> None:
    chain = arch("123", "gcn gcn gcn gcn")
    assert TABLE.query(chain).metrics["valid_acc"] == pytest.approx(0.78667, abs=1e-5)
    assert TABLE.query(chain, dataset="arxiv").metrics["test_acc"] == pytest.approx(0.72026, abs=1e-5)
    assert TABLE.which == {"dataset": DATASETS}
    assert TABLE.query(chain).seconds is None
    with pytest.raises(SpacecError, match="does not have the architecture"):
        TABLE.query(arch("123", "gat gin gin cheb"), dataset="proteins")


def test_it_reads_the_package_only(tmp_path: Path) -> None:
    with pytest.raises(SpacecError) as error:
        open_nas_bench_graph(SPACE.table, tmp_path)
    assert error.value.diagnostics[0].code == "E0734"
