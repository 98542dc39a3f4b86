"""Superkernels: parallel linear kernels become one, with the gradients of the sum."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import spacec
from spacec.ir.flat import FlatGraph, FlatOp
from spacec.ir.flat_read import read_flat
from spacec.ir.flat_text import flat_text
from spacec.ir.ops import OpTable
from spacec.ir.verify import violations
from spacec.lower.schedule import Schedule
from spacec.passes.superkernels import SUPERKERNEL, Superkernels
from spacec.testing.forms import check_forms, mask_form
from spacec.testing.inputs import example_inputs
from tests.passes.graphs import OPS

TABLE = OpTable({**OPS.ops, SUPERKERNEL.name: SUPERKERNEL})

EDGE = """\
graph edge(x)
%0 = input x : [4, 8, 8]
%1 = conv(%0) kernel=3 out=4 stride=1 groups=4 : [4, 8, 8] key=a
%2 = conv(%0) kernel=3 out=4 stride=1 dilation=2 groups=4 : [4, 8, 8] key=b
%3 = conv(%0) kernel=3 out=4 stride=1 : [4, 8, 8] key=c
%4 = bn(%3) : [4, 8, 8] key=d
%5 = mix(%0 by s@i=0, %1 by s@i=1, %2 by s@i=2, %4 by s@i=3) : [4, 8, 8]
output y = %5
"""

MERGED = """\
graph edge(x)
%0 = input x : [4, 8, 8]
%1 = conv(%0) kernel=3 out=4 stride=1 : [4, 8, 8] key=c
%2 = bn(%1) : [4, 8, 8] key=d
%3 = superkernel(%0) kernel=5 out=4 stride=1 groups=4 \
kernels=(("weights", 3, 1), ("weights", 3, 2), ("identity", 1, 1)) \
gates=((("s", "i", 1),), (("s", "i", 2),), (("s", "i", 0),)) : [4, 8, 8] parts=(a, b)
%4 = mix(%3, %2 by s@i=3) : [4, 8, 8]
output y = %4
"""

SPACE = """
space kernels(width = 4, s = 1, axes = [9, 7])
input  x: [3, *axes]
output y: [width, *axes/s]
def edge = skip: conv(1, stride = s) | k3: conv(3, stride = s) | k5: conv(5, stride = s, bias = 1)
         | d3: conv(3, dilation = 2, stride = s) | normed: conv(3, stride = s) >> bn | k2: conv(2, stride = s)
def wide = none: identity | dw: conv(5, groups = width) | dil: conv(3, dilation = 4, groups = width) | pool: avg_pool(3)
         | one: avg_pool(1)
net = conv(3, width) >> bn >> edge >> relu >> wide >> wide
"""


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def merged(text: str, keep: frozenset[str] = frozenset(), window: int = 9) -> FlatGraph:
    found = Superkernels(window).apply(read_flat(text, TABLE), keep)
    assert violations(found) == []
    return found


def test_kernels_of_one_tensor_become_one() -> None:
    assert flat_text(merged(EDGE)) == MERGED


@pytest.mark.parametrize(("keep", "window"), [(frozenset("a"), 9), (frozenset(), 3)])
def test_what_is_kept_or_too_wide_stays(keep: frozenset[str], window: int) -> None:
    found = merged(EDGE, keep, window)
    keys = {n.key for n in found.nodes if isinstance(n, FlatOp)}
    assert keys >= ({"a"} if keep else {"b"})


@pytest.mark.parametrize("sizes", [{}, {"s": 2, "axes": [10, 6]}, {"axes": [11]}])
def test_the_same_is_computed(sizes: dict[str, object]) -> None:
    space = spacec.loads(SPACE, **sizes)
    plain = space.supernet(0).double()
    other = space.supernet(0, optimise=Schedule(("canonicalise", "mixes", "superkernels", "stack"))).double()
    for k, name in enumerate(("soft", "most")):
        check_forms(plain, other, example_inputs(space), mask_form(name, plain, k), training=k == 0, gates=k == 0)
    assert other._optimised is not None
    specs = [n.spec for m in other._optimised.forms.values() for n in m.blueprint.flat.nodes if isinstance(n, FlatOp)]
    assert specs.count(SUPERKERNEL) >= 2
