"""RobustDARTS' reduced spaces, TransNAS-Bench-101 and HRNet: the integers their sources give.

Sources: Zela et al. (ICLR 2020) and its src/spaces.py; Duan et al. (CVPR 2021), parameters of the networks in its
table as NASLib distributes it (task class_object, 100 classes); Wang et al. (TPAMI 2020), table of parameters.
"""

from __future__ import annotations

from math import comb

import pytest

import spacec
from tests.grammars.record import GRAMMARS
from tests.lower.helpers import count_parameters


def shipped(name: str, **given: object) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", **given)


@pytest.mark.parametrize(("which", "logits"), [(1, 56), (2, 56), (3, 84), (4, 56)])
def test_reduced_spaces(which: int, logits: int) -> None:
    space = shipped("robust_darts", set=which)
    assert space.count("normal") == space.count("reduce") == 180 * 2**8 == 46_080
    assert space.count() == 2_123_366_400
    assert sum(len(s.labels) for s in space.slots) == logits


def test_supernet_of_s2() -> None:
    space = shipped("robust_darts", set=2)
    assert space.supernet_params() == 665_466
    assert count_parameters(space.supernet()) == 665_466


S1_NORMAL = (
    "skip/dil3 skip/dil5 skip/dil5 skip/sep3 skip/dil3 max/skip skip/sep3 skip/sep3 skip/dil3 skip/sep3 "
    "max/skip skip/dil3 dil3/dil5 dil3/dil5"
)
S1_REDUCE = (
    "max/avg max/dil3 max/avg max/avg skip/dil5 max/avg max/sep3 skip/dil3 skip/dil5 max/avg max/avg skip/dil5 "
    "skip/dil5 skip/dil5"
)
LABELS = {
    "max": "max3",
    "avg": "avg3",
    "skip": "skip",
    "sep3": "sep_conv(3)",
    "dil3": "dil_conv(3)",
    "dil5": "dil_conv(5)",
}


@pytest.mark.parametrize(("owner", "listed"), [("normal", S1_NORMAL), ("reduce", S1_REDUCE)])
def test_candidates_of_s1(owner: str, listed: str) -> None:
    """Per edge, in the order of the released list (both projects' lists are the same)."""
    table = {d.id: d.labels for d in shipped("robust_darts", set=1).decisions}
    edges = [(k, j) for k in range(4) for j in range(k + 2)]
    for (k, j), pair in zip(edges, listed.split(), strict=True):
        assert set(table[f"{owner}.pick[{k}].edge[{j}]"]) == {LABELS[op] for op in pair.split("/")}


def test_s4_replaces_its_input_by_noise() -> None:
    space = shipped("robust_darts", set=4)
    assert {d.labels for d in space.decisions if d.kind == "op"} == {("noise", "sep_conv(3)")}


def test_darts_of_series_and_of_dense_prediction() -> None:
    """One grammar: the 1-D and the dense form share the architectures of the 2-D one."""
    plane, series = shipped("darts"), shipped("darts", channels=1, size=[1000])
    dense = shipped("darts", dense=1, size=[85, 85])
    assert plane.digest == series.digest == dense.digest
    arch = plane.sample(seed=1)[0]
    assert series.params(arch) < plane.params(arch)
    assert dense.outputs["logits"].dims == (10, 85, 85)
    assert [d.id for d in dense.decisions] == [d.id for d in plane.decisions if d.id.startswith("normal")]


MICRO = {"100210": 929_668, "100223": 9_459_588, "011233": 16_275_332, "110312": 7_400_068, "133223": 23_256_964}
"""Operations of the six edges (none, skip, 1x1, 3x3), and the published number of weights."""


@pytest.mark.parametrize("code", MICRO)
def test_transnas_micro(code: str) -> None:
    space = shipped("transnas_micro", classes=100)
    assert space.count() == 4_096
    arch = space.architecture(
        f"{space.digest}:cell=" + ",".join(("none", "skip", "conv1", "conv3")[int(c)] for c in code)
    )
    assert space.params(arch) == MICRO[code]


MACRO = {
    (1, 2, 4, 2): ("net=four", "walk@4.0.0=same", "walk@3.0.0=wide", "walk@2.1.0=both", "walk@1.2.1=wide", 11_237_764),
    (3, 4, 4, 3): ("net=four", "walk@4.0.0=down", "walk@3.0.1=both", "walk@2.1.2=both", "walk@1.2.3=down", 5_250_052),
}
"""Published code of the modules, the same as decisions, and the published number of weights."""


@pytest.mark.parametrize("code", MACRO)
def test_transnas_macro(code: tuple[int, ...]) -> None:
    space = shipped("transnas_macro", classes=100)
    assert space.count() == sum(
        sum(comb(n, k) for k in (1, 2, 3)) * sum(comb(n, k) for k in (1, 2, 3, 4)) for n in (4, 5, 6)
    )
    assert space.count() == 3_256
    *parts, weights = MACRO[code]
    assert space.params(space.architecture(":".join((space.digest, *map(str, parts))))) == weights


def test_hrnet_with_every_connection() -> None:
    """HRNetV2-W48 for segmentation has 65.9 M weights in the paper; its supernet here is that network."""
    assert round(shipped("hrnet", width=48).supernet_params() / 1e6, 1) == 65.9
