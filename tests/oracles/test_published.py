"""The integers of the literature, on the shipped spaces and on networks that are really built.

Sources: DARTS (Liu et al., ICLR 2019) and its released code; NAS-Bench-201 (Dong & Yang, ICLR 2020); CLEARER
(Gou et al., NeurIPS 2020) and its released code; TabNAS (Yang et al., NeurIPS 2022).
"""

from __future__ import annotations

import random

import pytest

import spacec
from tests.grammars.record import GRAMMARS
from tests.lower.helpers import count_parameters

Node = tuple[tuple[str, int], tuple[str, int]]
DARTS_V2: dict[str, tuple[Node, ...]] = {
    "normal": (
        (("sep_conv(3)", 0), ("sep_conv(3)", 1)),
        (("sep_conv(3)", 0), ("sep_conv(3)", 1)),
        (("sep_conv(3)", 1), ("skip", 0)),
        (("skip", 0), ("dil_conv(3)", 2)),
    ),
    "reduce": (
        (("max3", 0), ("max3", 1)),
        (("skip", 2), ("max3", 1)),
        (("max3", 0), ("skip", 2)),
        (("skip", 2), ("max3", 1)),
    ),
}
"""The architecture of the released code (cnn/genotypes.py): per node, two (operation, input state)."""


def shipped(name: str, **given: object) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", **given)


def darts_v2(space: spacec.Space) -> spacec.Architecture:
    choices: dict[str, object] = {}
    for owner, nodes in DARTS_V2.items():
        for k, node in enumerate(nodes):
            if k > 0:
                choices[f"{owner}.pick[{k}]"] = sorted(j for _, j in node)
            for op, j in node:
                choices[f"{owner}.pick[{k}].edge[{j}]"] = op
    example = space.to_json(space.sample(seed=0)[0])
    return space.architecture(
        {**example, "decisions": {d.id: choices[d.id] for d in space.decisions if d.id in choices}}
    )


def test_darts_counts() -> None:
    space = shipped("darts")
    assert space.count() == 1_076_746_950_455_072_400
    assert space.count(owner="normal") == space.count(owner="reduce") == 1_037_664_180


@pytest.mark.parametrize(
    ("name", "size"), [("nas_bench_201", 15_625), ("clearer", 4_096), ("tabular", 856)], ids=lambda v: str(v)
)
def test_counts(name: str, size: int) -> None:
    assert shipped(name).count() == size


def test_tabular_before_its_limit() -> None:
    assert shipped("tabular").count(where=False) == 8_000


@pytest.mark.parametrize(
    ("name", "given", "weights"),
    [
        ("darts", {}, 1_930_618),
        ("darts", {"absent": 0}, 1_930_618),
        ("nas_bench_201", {}, 1_699_546),
        ("clearer", {}, 12_558_144),
    ],
)
def test_supernet_parameters(name: str, given: dict[str, object], weights: int) -> None:
    space = shipped(name, **given)
    assert space.supernet_params() == weights
    assert count_parameters(space.supernet()) == weights


@pytest.mark.parametrize(("aux", "weights"), [(0, 3_349_342), (1, 3_825_768)])
def test_darts_v2(aux: int, weights: int) -> None:
    """The evaluation form: found at C = 16 with 8 cells, built at C = 36 with 20."""
    found = darts_v2(shipped("darts"))
    space = shipped("darts", preset="evaluation", aux=aux)
    arch = space.architecture(found.text())
    assert space.params(arch) == weights
    assert count_parameters(space.network(arch)) == weights


def test_clearer_all_parallel() -> None:
    space = shipped("clearer")
    arch = next(a for a in space.enumerate() if all(v == 0 for _, v in a.choices))
    assert space.params(arch) == 8_723_264
    assert count_parameters(space.network(arch)) == 8_723_264


def test_clearer_formula() -> None:
    """526,656 + sum over cells of parallel columns times their weights and fusion columns times theirs (facts A8)."""
    parallel, fusion = (92_544, 387_968, 1_568_640), (20_672, 153_536, 784_512)
    space = shipped("clearer")
    for arch in space.sample(40, seed=3):
        kinds = [v for _, v in arch.choices]
        expected = 526_656
        for s in range(3):
            columns = kinds[4 * s : 4 * s + 4]
            expected += columns.count(0) * parallel[s] + columns.count(1) * fusion[s]
        assert space.params(arch) == expected


def test_tabular_reference() -> None:
    space = shipped("tabular")
    arch = space.architecture(f"{space.digest}:net=32,144,24")
    assert space.params(arch) == 41_153
    assert count_parameters(space.network(arch)) == 41_153


def test_nas_bench_201_formulas() -> None:
    space = shipped("nas_bench_201")
    labels = space.decisions[0].labels
    for arch in space.enumerate():
        ops = [labels[v] for _, v in arch.choices if isinstance(v, int)]
        n3, n1 = ops.count("conv3"), ops.count("conv1")
        assert space.params(arch) == 73_306 + 243_040 * n3 + 28_000 * n1
        assert space.macs(arch) == 7_783_040 + 35_389_440 * n3 + 3_932_160 * n1


def test_nas_bench_201_built_networks() -> None:
    space = shipped("nas_bench_201")
    for arch in space.sample(3, seed=1):
        assert count_parameters(space.network(arch)) == space.params(arch)


def test_architecture_logits() -> None:
    assert [len(s.labels) for s in shipped("darts").slots] == [8] * 28
    assert [len(s.labels) for s in shipped("darts", absent=0).slots] == [7] * 28
    assert [len(s.labels) for s in shipped("nas_bench_201").slots] == [5] * 6
    assert [len(s.labels) for s in shipped("clearer").slots] == [2] * 12


def test_an_architecture_builds_in_any_form_of_its_digest() -> None:
    rng = random.Random(0)
    for arch in shipped("darts").sample(2, seed=5):
        form = shipped("darts", C=rng.choice((4, 6)), layers=rng.choice((3, 5)), affine=1)
        assert form.params(form.architecture(arch.text())) > 0
