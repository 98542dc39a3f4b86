"""Formats of other projects: published texts give the published networks, and what is written is read back."""

from __future__ import annotations

import ast
import itertools
import json
from collections import namedtuple
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space.formats.nas_bench_101 import on_paths
from spacec.space.formats.nas_bench_201 import DVAE_WIRES, dvae_types, unique_string
from spacec.space.subject import Subject

ROOT = Path(__file__).resolve().parents[2]
GRAMMARS = ROOT / "grammars"

DARTS_V1 = (
    "DARTS_V1 = Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
PC_DARTS = (
    "PC_DARTS_cifar = Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), "
    "('dil_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], "
    "normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), "
    "('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], "
    "reduce_concat=range(2, 6))"
)
"""Released genotypes: cnn/genotypes.py of DARTS, and the one of PC-DARTS (Xu et al., ICLR 2020)."""


@cache
def shipped(name: str, **given: object) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", **given)


def codes_of(make: object) -> list[str]:
    with pytest.raises(SpacecError) as caught:
        make()  # type: ignore[operator]  # a thunk
    return [d.code for d in caught.value.diagnostics]


def test_values_and_files_are_read_as_their_texts(tmp_path: Path) -> None:
    genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")  # as DARTS has it
    space = shipped("darts")
    arch = space.read(DARTS_V2)
    value = eval(DARTS_V2, {"Genotype": genotype})  # a constant of this file
    assert space.read(value) == space.architecture(value) == arch
    assert space.architecture(ast.literal_eval(space.write(arch, "naslib"))) == arch
    assert space.read(json.loads(space.write(arch, "nas-bench-301"))) == arch
    assert space.architecture(json.loads(space.write(arch, "nni"))) == arch
    assert space.architecture(space.to_json(arch)) == arch
    (tmp_path / "genotype.txt").write_text(DARTS_V2 + "\n")
    (tmp_path / "arch.json").write_text(space.write(arch, "nas-bench-301"))
    assert space.architecture(tmp_path / "genotype.txt") == space.architecture(tmp_path / "arch.json") == arch
    assert codes_of(lambda: space.read([1, 2])) == ["E0632"]


@pytest.mark.parametrize("path", sorted(GRAMMARS.glob("*.space")), ids=lambda p: p.stem)
def test_what_is_written_is_read_back(path: Path) -> None:
    space = spacec.load(path)
    names = space.formats()
    assert "nni" in names
    for arch in space.sample(2 if path.stem == "hierarchical" else 25, seed=4):
        for name in names:
            if path.stem == "nas_bench_101" and name != "nni":
                matrix = ast.literal_eval(space.write(arch, "nas-bench-101"))["matrix"]
                assert on_paths(matrix) == set(range(len(matrix)))
                again = space.read(space.write(arch, name), name)
                assert space.write(again, name) == space.write(arch, name)
                assert space.read(space.write(again, name), name) == again
            else:
                assert space.read(space.write(arch, name), name) == arch


def test_every_cell_of_nas_bench_201() -> None:
    """15,625 strings there and back; 6,466 string classes, as the authors count them."""
    space = shipped("nas_bench_201")
    ops = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    classes, seen = set(), set()
    for told in itertools.product(ops, repeat=6):
        text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*told)
        arch = space.architecture(text)
        assert space.write(arch, "nas-bench-201") == text
        seen.add(arch)
        classes.add(unique_string(text))
    assert (len(seen), len(classes)) == (15_625, 6_466)


def test_the_best_cell_of_nas_bench_201() -> None:
    """Index 6,111 of the benchmark; NASLib's tuple of it, and its weights by the published formula."""
    space = shipped("nas_bench_201")
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    arch = space.read(text)
    assert space.write(arch, "naslib") == "(2, 2, 0, 2, 2, 2)"
    assert space.read("(2, 2, 0, 2, 2, 2)") == arch
    assert json.loads(space.write(arch, "nni"))["cell/0_3"] == "skip_connect"
    assert space.params(arch) == 73_306 + 5 * 243_040


def test_published_genotypes() -> None:
    """Weights of DARTS_V2 as its authors' code counts them; what is written is sorted by input."""
    space = shipped("darts", C=36, layers=20, affine=1, pool_bn=0)
    second = space.architecture(DARTS_V2)
    assert space.params(second) == 3_349_342
    assert shipped("darts", C=36, layers=20, affine=1, pool_bn=0, aux=1).params(second) == 3_825_768
    assert round(space.params(space.read(PC_DARTS)) / 1e6, 1) == 3.6  # Xu et al., table 1
    first = space.read(DARTS_V1, "darts")
    assert "normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('skip_connect', 0)" in space.write(first, "darts")


def test_genotypes_in_lists_of_nodes() -> None:
    space = shipped("darts")
    cell = "[[('skip_connect', 0), ('skip_connect', 1)]] * 1"
    nodes = "[[('skip_connect', 0), ('skip_connect', 1)], [('skip_connect', 0), ('skip_connect', 1)], "
    nodes += "[('skip_connect', 0), ('skip_connect', 1)], [('skip_connect', 0), ('skip_connect', 1)]]"
    arch = space.read(f"Genotype(normal={nodes}, normal_concat=range(2, 6), reduce={nodes}, reduce_concat=range(2, 6))")
    labels = {d.id: d.labels for d in space.decisions}
    assert {labels[name][v] for name, v in arch.choices if isinstance(v, int)} == {"skip"}
    assert codes_of(lambda: space.read(f"Genotype(normal={cell}, reduce={cell})")) == ["E0632"]


def test_naslib_samples() -> None:
    """Architectures of NASLib's zero-cost samples (NAS-Bench-Suite-Zero) with the weights recorded there."""
    vertices = (
        "(0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, "
    )
    vertices += "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 4, 4, 4, 1)"
    space = shipped("nas_bench_101")
    assert space.params(space.read(vertices)) == 4_095_778
    macro = shipped("transnas_macro", classes=100)
    assert macro.write(macro.read("(1, 2, 4, 2, 0, 0)"), "transnas-bench-101") == "64-1242-basic"
    micro = shipped("transnas_micro", classes=100)
    assert micro.read("(1, 0, 0, 2, 1, 0)") == micro.read("64-41414-1_00_210")


def test_nas_bench_301_samples() -> None:
    """Two of NASLib's sample, of 32 channels and 8 cells: all its networks have 2,560 weights more than DARTS'."""
    space = shipped("darts", C=32, layers=8)
    first = "[[(0, 0), (1, 5), (1, 1), (0, 1), (1, 3), (0, 3), (1, 3), (3, 2)], "
    first += "[(1, 0), (0, 2), (1, 3), (0, 3), (3, 0), (0, 1), (2, 0), (3, 6)]]"
    second = "[[(0, 5), (1, 0), (2, 1), (0, 2), (3, 2), (0, 3), (1, 0), (3, 5)], "
    second += "[(1, 1), (0, 2), (0, 5), (1, 0), (0, 6), (2, 2), (4, 6), (0, 0)]]"
    assert 856_298 - space.params(space.read(first)) == 2_560
    arch = space.read(second)
    config = json.loads(space.write(arch, "nas-bench-301"))
    assert config["NetworkSelectorDatasetInfo:darts:inputs_node_normal_3"] == "0_2"
    assert space.read(json.dumps(config)) == arch


def test_nas_bench_101_spec_of_fewer_vertices_and_dead_ones() -> None:
    """The inception-like cell of the released example; a vertex on no path changes nothing."""
    space = shipped("nas_bench_101")
    ops = ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"]
    matrix = [[0, 1, 1, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    arch = space.read(json.dumps({"matrix": matrix, "ops": ops}))
    written = json.loads(space.write(arch, "nas-bench-101"))
    assert written["ops"] == [ops[0], ops[1], ops[2], ops[4]]
    assert written["matrix"] == [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert space.read(f"ModelSpec(matrix={written['matrix']}, ops={written['ops']})") == arch


def test_other_strings() -> None:
    space = shipped("nas_bench_macro")
    arch = space.read("02012100")
    assert (space.params(arch), space.macs(arch)) == (890_666, 47_327_744)  # the benchmark's file
    size = shipped("nats_bench_size")
    assert size.write(size.architecture("16:24:32:40:64"), "nats-bench-size") == "16:24:32:40:64"


def test_shapes_are_told_by_decisions_not_by_names() -> None:
    """A user's grammar of the same cell, with the project's own labels; and one that is wired otherwise."""
    text = (
        "space mine(C = 4)\ninput x: [3, 8, 8]\noutput y: [10]\n"
        "def edge = none: zero | skip_connect: identity | nor_conv_3x3: relu >> conv(3) >> bn\n"
        "let c = dag(x) { s = [x];  for i in 1..3 { s += sum(from s: edge) };  return s[3] }\n"
        "net = conv(3, C) >> c * 2 >> global_pool >> linear(10)\n"
    )
    space = spacec.loads(text)
    assert "nas-bench-201" in space.formats()
    told = "|none~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|"
    assert space.write(space.architecture(told), "nas-bench-201") == told
    assert codes_of(lambda: space.read(told.replace("nor_conv_3x3", "nor_conv_1x1"))) == ["E0632"]
    other = spacec.loads(text.replace("return s[3]", "return s[2] + s[3]"))
    assert codes_of(lambda: other.read(told, "nas-bench-201")) == ["E0631"]
    assert codes_of(lambda: other.read(told)) == ["E0632"]


@pytest.mark.parametrize(
    "text",
    [
        DARTS_V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', 0"),
        DARTS_V2.replace("'dil_conv_3x3', 2", "'dil_conv_3x3', 5"),
        DARTS_V2.replace("dil_conv_3x3", "conv_7x1_1x7"),
        DARTS_V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=[4, 5]"),
        "Genotype(normal=[], reduce=[])",
        "Genotype(normal=__import__('os'))",
        "Genotype(",
        "Genotype(normal=range(10**9, 10**12), reduce=[])",
        "Genotype(" + "(" * 5000,
        "(1, 2, 3)",
        "|none~0|",
    ],
)
def test_mistakes_in_genotypes(text: str) -> None:
    space = shipped("darts")
    assert codes_of(lambda: space.read(text)) == ["E0632"]


READ_BY = [("darts", "darts"), ("nas-bench-301", "darts"), ("naslib", "darts"), ("nni", "darts")]
READ_BY += [("nas-bench-201", "nas_bench_201"), ("nas-bench-101", "nas_bench_101"), ("naslib", "transnas_macro")]


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="[](){}|~+:,-_ 0123456789'\"abGenotypnrmal=\n", max_size=60), st.sampled_from(READ_BY))
def test_nonsense_is_refused(text: str, by: tuple[str, str]) -> None:
    name, space = by[0], shipped(by[1])
    assert set(codes_of(lambda: space.read(text, name))) == {"E0632"}


def test_unknown_formats() -> None:
    space = shipped("nas_bench_201")
    assert codes_of(lambda: space.read("x", "nasbench201")) == ["E0630"]
    assert codes_of(lambda: space.write(space.sample()[0], "darts")) == ["E0631"]
    clearer = shipped("clearer")
    assert clearer.formats() == ("nni",)
    robust = shipped("robust_darts", set=4)
    noisy = next(a for a in robust.sample(50) if "noise" in robust.write(a, "darts"))
    assert codes_of(lambda: robust.write(noisy, "naslib")) == ["E0633"]


def test_the_twelve_vertices_of_e2nas() -> None:
    space = shipped("nas_bench_201")
    arch = space.read("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|")
    (types,) = dvae_types(Subject(space.table, space.graph), space.batch([arch])).tolist()
    assert types == [5, 6, 3, 6, 2, 0, 6, 1, 4, 3, 6, 7]
    assert len(DVAE_WIRES) == 14


def test_a_space_that_decides_nothing_has_no_numbers() -> None:
    space = spacec.loads("space s\ninput x: [4]\noutput y: [4]\nnet = relu")
    arch = space.unrank(0)
    assert "nats-bench-size" not in space.formats()
    assert all(space.read(space.write(arch, name), name) == arch for name in space.formats())
