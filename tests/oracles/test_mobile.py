"""Published integers of the MobileNet, NDS and NATS families, and a user's own copy of a benchmark's table.

Set ``SPACEC_NAS_BENCH_MACRO`` to the benchmark's ``nas-bench-macro_cifar10.json`` to compare all 6,561 networks.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import spacec

GRAMMARS = Path(__file__).parents[2] / "grammars"
MACRO = os.environ.get("SPACEC_NAS_BENCH_MACRO", "")
MACRO_LABELS = ("identity", "mb3_k3", "mb6_k5")
MACRO_TABLE = {
    "00000000": (387882, 7713280),
    "02012100": (890666, 47327744),
    "10000000": (396298, 12128768),
    "11111111": (1588874, 53246464),
    "11111221": (2181386, 65012224),
    "00200000": (464554, 17240576),
    "00000020": (1219370, 20910592),
    "22222222": (2932586, 105660928),
}
"""Weights and FLOPs of some networks, from the benchmark's table."""
CREAM_LABELS = ("k3e4", "k3e6", "k5e4", "k5e6", "k7e4", "k7e6")


def chosen(space: spacec.Space, owner: str, labels: list[str]) -> spacec.Architecture:
    return space.architecture(f"{space.digest}:{owner}={','.join(labels)}")


def cream(depths: list[int], path: str) -> tuple[int, int]:
    """Weights and multiplies of a network of Cream's code, by its path."""
    space = spacec.load(GRAMMARS / "cream.space", depths=depths)
    arch = chosen(space, "net", [CREAM_LABELS[int(c)] for c in path])
    return space.params(arch), space.macs(arch)


def test_cream_supernets_and_paths() -> None:
    """Peng et al.'s code: five blocks are built in stage 3, four are sampled."""
    sampled = spacec.load(GRAMMARS / "cream.space")
    assert sampled.count() == 6**20 == 3656158440062976
    assert sampled.supernet_params() == 28841912
    assert spacec.load(GRAMMARS / "cream.space", preset="released").supernet_params() == 29805072


def test_cream_networks() -> None:
    """Networks that the released builder makes for the published paths."""
    assert cream([1, 2, 3, 4, 3], "0" + "33" + "313" + "3333" + "333") == (6044368, 276262016)
    assert cream([1, 2, 3, 4, 3], "3" + "33" + "313" + "3333" + "333")[0] == 6050200
    assert cream([4, 4, 5, 4, 4], "3431" + "3230" + "33311" + "3333" + "3333")[0] == 7713360


def test_cream_built() -> None:
    space = spacec.load(GRAMMARS / "cream.space", depths=[1, 2, 3, 4, 3])
    arch = chosen(space, "net", ["k3e4", "k5e6", "k5e6", "k5e6", "k3e6", *["k5e6"] * 8])
    assert sum(p.numel() for p in space.network(arch).parameters()) == 6044368


def test_elastic_depths_of_cream_count_prefixes() -> None:
    """OFA's way of counting: the sum over depths of the choices of as many blocks, stage by stage."""
    assert spacec.load(GRAMMARS / "cream.space", sliced=1, shallower=2).count() == (6**2 + 6**3 + 6**4) ** 5


@pytest.mark.parametrize("path", MACRO_TABLE)
def test_nas_bench_macro(path: str) -> None:
    """Su et al. (CVPR 2021)."""
    space = spacec.load(GRAMMARS / "nas_bench_macro.space")
    arch = chosen(space, "net", [MACRO_LABELS[int(c)] for c in path])
    assert (space.params(arch), space.macs(arch)) == MACRO_TABLE[path]


@pytest.mark.skipif(not MACRO, reason="SPACEC_NAS_BENCH_MACRO names no table")
def test_nas_bench_macro_whole_table() -> None:
    space = spacec.load(GRAMMARS / "nas_bench_macro.space")
    table = json.loads(Path(MACRO).read_text(encoding="utf-8"))
    assert len(table) == space.count() == 3**8 == 6561
    for path, row in table.items():
        arch = chosen(space, "net", [MACRO_LABELS[int(c)] for c in path])
        assert (space.params(arch), space.macs(arch)) == (row["params"], row["flops"]), path


def test_nds() -> None:
    """Radosavovic et al. (ICCV 2019): the sizes of two design spaces."""
    assert spacec.load(GRAMMARS / "nds_resnet.space").count() == (9 * 12) ** 3 == 1259712
    assert spacec.load(GRAMMARS / "nds_resnext_a.space").count() == (5 * 5 * 3 * 3) ** 3 == 11390625


@pytest.mark.parametrize(
    ("widths", "params"),
    [((8, 8, 8, 8, 8), 11714), ((8, 8, 16, 40, 40), 107826), ((64, 64, 64, 64, 64), 713674)],
)
def test_nats_bench_size(widths: tuple[int, ...], params: int) -> None:
    """Dong et al.: weights that the benchmark stores."""
    space = spacec.load(GRAMMARS / "nats_bench_size.space")
    assert space.count() == 8**5 == 32768
    arch = space.architecture(space.digest + "".join(f":w@{i}={w}" for i, w in enumerate(widths)))
    assert space.params(arch) == params
    assert sum(p.numel() for p in space.network(arch).parameters()) == params
