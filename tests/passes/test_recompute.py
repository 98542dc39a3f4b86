"""Which activations are marked to be made again."""

from __future__ import annotations

from dataclasses import replace

from spacec.ir.flat import FlatOp
from spacec.ir.verify import violations
from tests.passes.graphs import becomes, graph

X = "graph g(x)\n%0 = input x : [4, 4, 4]\n"


def test_the_norm_and_the_activation_inside_a_separable_convolution() -> None:
    text = (
        X
        + """%1 = conv(%0) kernel=1 out=4 stride=1 : [4, 4, 4] key=c_0
%2 = bn(%1) : [4, 4, 4] key=n_0{}
%3 = relu(%2) : [4, 4, 4]{}
%4 = conv(%3) kernel=3 out=4 stride=1 : [4, 4, 4] key=c_1
output y = %4
"""
    )
    becomes(text.format("", ""), "recompute", text.format(" recompute", " recompute"))
    becomes(text.format("", ""), "recompute", text.format("", ""), ("n_0",))


def test_an_activation_whose_source_another_reader_keeps() -> None:
    text = (
        X
        + """%1 = global_pool(%0) : [4]
%2 = relu(%0) : [4, 4, 4]{}
%3 = conv(%2) kernel=3 out=4 stride=1 : [4, 4, 4] key=c_0
%4 = {}(%0) kernel=3 stride=1 : [4, 4, 4]
%5 = sum(%3, %4) : [4, 4, 4]
output y = %5
output z = %1
"""
    )
    becomes(text.format("", "max_pool"), "recompute", text.format(" recompute", "max_pool"))
    becomes(text.format("", "avg_pool"), "recompute", text.format("", "avg_pool"))


def test_what_draws_or_has_weights_is_not_made_again() -> None:
    flat = graph(X + "%1 = dropout(%0) : [4, 4, 4] key=d_0\noutput y = %1\n")
    drop = flat.nodes[1]
    assert isinstance(drop, FlatOp)
    wrong = replace(flat, nodes=(flat.nodes[0], replace(drop, recompute=True)))
    assert violations(wrong) == ["node 1: `dropout` cannot be made again from one input"]
