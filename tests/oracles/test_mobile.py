"""Published integers of the MobileNet, NDS and NATS families; benchmarks/published_tables.py compares whole tables."""

from __future__ import annotations

import pytest

import spacec
from benchmarks.published_tables import accel
from tests.grammars.record import GRAMMARS

ACCEL_TABLE = {
    "451F 151F 433F 631F 452F 651F 632F": 4042824,
    "433F 451F 151F 653F 132F 153F 451F": 2481552,
    "153F 151F 133F 451F 452F 632F 653F": 5777104,
    "431T 431F 431T 653T 432T 432F 133T": 3036200,
    "432T 652F 633T 651T 433F 454F 433T": 5778888,
}
"""Weights of some networks of the table; a block is its expansion, kernel, layers, and squeeze and excitation."""
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
    assert spacec.load(GRAMMARS / "cream.space", preset="elastic_depth").count() == (6**2 + 6**3 + 6**4) ** 5


@pytest.mark.parametrize("path", MACRO_TABLE)
def test_nas_bench_macro(path: str) -> None:
    """Su et al. (CVPR 2021)."""
    space = spacec.load(GRAMMARS / "nas_bench_macro.space")
    arch = space.read(path, "nas-bench-macro")
    assert (space.params(arch), space.macs(arch)) == MACRO_TABLE[path]


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


@pytest.mark.parametrize("blocks", ACCEL_TABLE)
def test_accel_nasbench(blocks: str) -> None:
    """Ahmad et al. (DAC 2024)."""
    space = spacec.load(GRAMMARS / "accel_nasbench.space")
    assert space.params(accel(space, blocks.split())) == ACCEL_TABLE[blocks]


def test_once_for_all() -> None:
    """Cai et al. (ICLR 2020): (9^2 + 9^3 + 9^4)^5 sub-networks, over 10^19."""
    space = spacec.load(GRAMMARS / "ofa.space")
    assert space.count() == (9**2 + 9**3 + 9**4) ** 5 == 21758655492572485851


def test_mnasnet() -> None:
    """Tan et al. (CVPR 2019), section 4.1: 3 operations, 2 kernels, 2 ratios, 3 skips, 3 widths, and layers."""
    layers = (2, 3, 3, 3, 3, 3, 2)  # one block fewer where the baseline has one
    expected = 1
    for n in layers:
        expected *= 3 * 2 * 2 * 3 * 3 * n
    assert spacec.load(GRAMMARS / "mnasnet.space").count() == expected
