"""Stacks: what is joined, what stands where afterwards, and that the same is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.ir.flat import FlatGraph, FlatMix, FlatOp
from spacec.ir.flat_read import read_flat
from spacec.ir.flat_text import flat_text
from spacec.ir.verify import violations
from spacec.lower.schedule import Schedule
from spacec.passes.base import drop_dead, parse
from spacec.passes.stack import Stack
from spacec.testing.forms import check_forms, mask_form
from spacec.testing.inputs import example_inputs
from tests.lower.helpers import disturb
from tests.passes.graphs import OPS

EDGES = """
space edges(width = 4)
input  x: [3, 8, 8]
output y: [width, 8, 8]
output z: [5]
def edge = skip | dense: conv(3) >> bn | wide: conv(5, bias = 1) >> bn | s3: sep_conv(3) | s5: sep_conv(5)
         | d3: dil_conv(3) | d5: dil_conv(5) | max: max_pool(3) >> bn | drop: conv(1) >> dropout(0.3)
let cell = dag(a, b) { c = sum(from [a, b]: edge);  return sum(from [a, b, c]: edge) }
net = dag(x) {
  a = x >> conv(3, width)
  y = (a, a >> conv(1) >> bn) >> cell
  z = y >> global_pool >> linear(5)
}
"""

TWO_BRANCHES = """\
graph two(x)
%0 = input x : [4, 8, 8]
%1 = relu(%0) : [4, 8, 8]
%2 = conv(%1) kernel=3 out=4 stride=1 groups=4 : [4, 8, 8] key=a.conv_0
%3 = conv(%2) kernel=1 out=4 stride=1 : [4, 8, 8] key=a.conv_1
%4 = bn(%3) affine=0 : [4, 8, 8] key=a.bn_0
%5 = conv(%1) kernel=3 out=4 stride=1 groups=4 : [4, 8, 8] key=b.conv_0
%6 = conv(%5) kernel=1 out=4 stride=1 : [4, 8, 8] key=b.conv_1
%7 = bn(%6) affine=0 : [4, 8, 8] key=b.bn_0
%8 = mix(%4 by s@i=0, %7 by s@i=1, %0 by s@i=2) : [4, 8, 8]
output y = %8
"""

TWO_STACKED = """\
graph two(x)
%0 = input x : [4, 8, 8]
%1 = relu(%0) : [4, 8, 8]
%2 = concat(%1, %1) : [8, 8, 8]
%3 = conv(%2) kernel=3 out=8 stride=1 groups=8 : [8, 8, 8] parts=(a.conv_0, b.conv_0)
%4 = conv(%3) kernel=1 out=8 stride=1 groups=2 : [8, 8, 8] parts=(a.conv_1, b.conv_1)
%5 = bn(%4) affine=0 : [8, 8, 8] parts=(a.bn_0, b.bn_0)
%6 = mix(%5 by s@i=0, %5 from 4 by s@i=1, %0 by s@i=2) : [4, 8, 8]
output y = %6
"""


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def stacked(text: str, keep: frozenset[str] = frozenset(), **options: object) -> FlatGraph:
    found = drop_dead(Stack(**options).apply(read_flat(text, OPS), keep))  # type: ignore[arg-type]  # flags and texts
    assert violations(found) == []
    return found


def ops(flat: FlatGraph) -> Counter[str]:
    return Counter(n.spec.name for n in flat.nodes if isinstance(n, FlatOp))


def test_two_branches_become_one() -> None:
    assert flat_text(stacked(TWO_BRANCHES)) == TWO_STACKED


def test_what_is_kept_or_not_asked_for_stays() -> None:
    kept = stacked(TWO_BRANCHES, frozenset(("a.conv_1",)))
    assert any(isinstance(n, FlatOp) and n.key == "a.conv_1" for n in kept.nodes)
    assert ops(kept)["conv"] == 4  # what leads to a kept value may get a gradient alone
    off = dict.fromkeys(("depthwise", "pointwise", "concat"), False)
    assert ops(stacked(TWO_BRANCHES, **off)) == ops(read_flat(TWO_BRANCHES, OPS))
    with pytest.raises(ValueError, match="late, same or early"):
        parse("stack:align=never")


def test_convolutions_of_one_tensor_read_it_once() -> None:
    text = TWO_BRANCHES.replace(" groups=4", "").replace("b.conv_0", "b.conv_0").replace("out=4", "out=4")
    found = stacked(text)
    (first,) = (n for n in found.nodes if isinstance(n, FlatOp) and "a.conv_0" in n.parts)
    assert first.attrs["groups"] == 1
    assert ops(found) == {"relu": 1, "conv": 2, "bn": 1}


def test_kernels_are_embedded_up_to_a_window() -> None:
    text = TWO_BRANCHES.replace(
        "kernel=3 out=4 stride=1 groups=4 : [4, 8, 8] key=b",
        "kernel=3 out=4 stride=1 dilation=2 groups=4 : [4, 8, 8] key=b",
    )
    assert ops(stacked(text))["conv"] == 3
    found = stacked(text, embed=5)
    (first,) = (n for n in found.nodes if isinstance(n, FlatOp) and "a.conv_0" in n.parts)
    assert (first.attrs["kernel"], first.attrs["dilation"]) == (5, 1)


def test_blocks_are_read_where_they_stand() -> None:
    found = stacked(TWO_BRANCHES)
    (mix,) = (n for n in found.nodes if isinstance(n, FlatMix))
    assert sorted(t.first for t in mix.terms) == [0, 0, 4]


FLAGS = ("dense", "pointwise", "depthwise", "norm", "activation", "pool", "concat")


@settings(deadline=None, max_examples=5, derandomize=True)
@given(
    off=st.sets(st.sampled_from(FLAGS)),
    embed=st.sampled_from((0, 3, 5, 9)),
    align=st.sampled_from(("late", "same", "early")),
    mask=st.sampled_from(("soft", "per instance", "most")),
    training=st.booleans(),
)
def test_any_options_leave_a_sound_graph_that_computes_the_same(
    off: set[str], embed: int, align: str, mask: str, training: bool
) -> None:
    space = spacec.loads(EDGES)
    options = ",".join([*(f"{name}=0" for name in sorted(off)), f"embed={embed}", f"align={align}"])
    passes = ("canonicalise", "mixes", "share", f"stack:{options}")
    plain, other = space.supernet(0).double(), space.supernet(0, optimise=Schedule(passes)).double()
    disturb(plain, 2)
    form = mask_form(mask, plain, embed)
    check_forms(plain, other, example_inputs(space), form, training=training, gates=training)
