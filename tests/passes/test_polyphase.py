"""Convolutions whose stride and dilation share a factor run on subsampled inputs, and give what they gave."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import spacec
from spacec.ir.dims import poly
from spacec.ir.flat import FlatInput, FlatOp
from spacec.ir.flat_text import flat_text
from spacec.ir.symbol import Symbol
from spacec.ir.types import TensorType
from spacec.ir.verify import violations
from spacec.lower.schedule import Schedule
from spacec.passes.base import parse
from spacec.passes.polyphase import SUBSAMPLE
from spacec.testing.forms import check_forms, mask_form
from spacec.testing.inputs import example_inputs
from tests.passes.graphs import graph

HEAD = "graph g(x)\n%0 = input x : [8, 9, 12]\n"


def divided(text: str) -> str:
    """The lines that the pass makes of nodes behind the input."""
    flat = graph(HEAD + text)
    made = parse("polyphase").apply(flat, frozenset())
    assert not violations(made)
    return "".join(f"{line}\n" for line in flat_text(made).splitlines()[2:])


def test_equal_subsampled_inputs_are_one_node() -> None:
    before = """%1 = relu(%0) : [8, 9, 12] when a=0
%2 = conv(%1) kernel=3 out=8 stride=2 dilation=2 groups=8 : [8, 5, 6] key=a.c3 when a=0
%3 = conv(%1) kernel=5 out=8 stride=2 dilation=2 groups=8 : [8, 5, 6] key=a.c5 when a=0
%4 = conv(%1) kernel=3 out=8 stride=2 : [8, 5, 6] key=a.c when a=0
%5 = sum(%2, %3, %4) : [8, 5, 6] when a=0
output y = %5
"""
    after = """%1 = relu(%0) : [8, 9, 12] when a=0
%2 = subsample(%1) factor=(2, 2) : [8, 5, 6] when a=0
%3 = conv(%2) kernel=3 out=8 stride=1 groups=8 : [8, 5, 6] key=a.c3 when a=0
%4 = conv(%2) kernel=5 out=8 stride=1 groups=8 : [8, 5, 6] key=a.c5 when a=0
%5 = conv(%1) kernel=3 out=8 stride=2 : [8, 5, 6] key=a.c when a=0
%6 = sum(%3, %4, %5) : [8, 5, 6] when a=0
output y = %6
"""
    assert divided(before) == after


@pytest.mark.parametrize(
    ("options", "divides"),
    [
        ("kernel=3 out=4 stride=(2, 4) dilation=2", "kernel=3 out=4 stride=(1, 2)"),
        ("kernel=3 out=4 stride=3 dilation=6 pad=6", "kernel=3 out=4 stride=1 dilation=2 pad=2"),
        ("kernel=4 out=4 stride=2 dilation=4", "kernel=4 out=4 stride=1 dilation=2"),
        ("kernel=2 out=4 stride=2 dilation=2", None),
        ("kernel=3 out=4 stride=2 dilation=2 pad=1", None),
        ("kernel=1 out=4 stride=2 dilation=2", None),
        ("kernel=3 out=4 stride=(2, 1) dilation=2", None),
    ],
)
def test_what_is_divided(options: str, divides: str | None) -> None:
    flat = graph(HEAD + f"%1 = conv(%0) {options} : {_type(options)} key=c\noutput y = %1\n")
    made = parse("polyphase").apply(flat, frozenset())
    if divides is None:
        assert made == flat
    else:
        assert f"conv(%1) {divides} :" in flat_text(made)
        assert made.nodes[made.outputs["y"]].type == flat.nodes[flat.outputs["y"]].type


def _type(options: str) -> str:
    """The type that the rule gives such a convolution of the input."""
    kernel, pad = int(options.split("kernel=")[1][0]), options.partition("pad=")[2]
    stride = options.split("stride=")[1].split(" dil")[0].strip("()").split(", ")
    span = int(options.split("dilation=")[1][0]) * (kernel - 1)
    sizes = []
    for n, s in zip((9, 12), (stride * 2)[:2], strict=True):
        sizes.append(-(-n // int(s)) if not pad else (n + 2 * int(pad) - span - 1) // int(s) + 1)
    return f"[4, {sizes[0]}, {sizes[1]}]"


def test_weights_of_which_one_use_does_not_fit_stay() -> None:
    text = """%1 = input z : [8, 5, 6]
%2 = conv(%0) kernel=3 out=8 stride=2 dilation=2 : [8, 5, 6] key=c
%3 = conv(%1) kernel=3 out=8 stride=2 dilation=2 : [8, 3, 3] key=c
output y = %2
output z = %3
"""
    flat = graph(HEAD.replace("g(x)", "g(x, z)") + text)
    made = parse("polyphase").apply(flat, frozenset())
    assert sum(isinstance(n, FlatOp) and n.spec is SUBSAMPLE for n in made.nodes) == 2
    decided = poly(Symbol("d", (5, 7)))
    x, z, of_x, of_z = flat.nodes
    assert isinstance(z, FlatInput)
    assert isinstance(of_z, FlatOp)
    wide = TensorType(8, (decided, 6))
    z, of_z = replace(z, type=wide), replace(of_z, type=wide)
    mixed = replace(flat, nodes=(x, z, of_x, of_z))
    assert parse("polyphase").apply(mixed, frozenset()) == mixed


SPACE = """
space s(C = 6)
input  x: [C, {sizes}]
output y: [2*C, {halves}]
def edge = conv(3, out = 2*C, stride = 2, dilation = 2)
  | conv(5, out = 2*C, stride = 2, dilation = 2, groups = 3, bias = 1)
  | relu >> conv(3, out = C, stride = 2, dilation = 2, groups = C) >> conv(1, out = 2*C) >> bn
  | relu >> conv(5, out = C, stride = 2, dilation = 2, groups = C) >> conv(1, out = 2*C) >> bn
  | conv(3, out = 2*C, stride = 2, pad = 2, dilation = 2)
net = edge >> bn
"""


@pytest.mark.parametrize(
    ("sizes", "halves", "passes"),
    [("9, 12", "5, 6", "polyphase"), ("13", "7", "polyphase"), ("9, 12", "5, 6", "stack:embed=5")],
)
def test_a_supernet_computes_what_it_did(sizes: str, halves: str, passes: str) -> None:
    """Joined with each other, too."""
    torch.set_default_dtype(torch.float64)
    try:
        space = spacec.loads(SPACE.format(sizes=sizes, halves=halves))
        plain = space.supernet(0).double()
        other = space.supernet(
            0, optimise=Schedule(tuple(dict.fromkeys(("mixes", "share", "polyphase", passes))))
        ).double()
        for training in (True, False):
            check_forms(
                plain, other, example_inputs(space), mask_form("soft", plain, 0), training=training, gates=training
            )
    finally:
        torch.set_default_dtype(torch.float32)
