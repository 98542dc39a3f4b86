"""Slots that are edges into one node."""

from __future__ import annotations

from pathlib import Path

import pytest

import spacec
from spacec.search.nodes import summed_slots

GRAMMARS = Path(__file__).parents[2] / "grammars"
HEAD = "space s(edges = 0)\ninput  x: [4, 4]\noutput y: [4, 4]\ndefault pick(edges = edges)\ndef e = relu | conv(3)\n"


@pytest.mark.parametrize(
    ("name", "sizes"), [("darts", [2, 3, 4, 5] * 2), ("nas_bench_201", [2, 3]), ("cream", []), ("clearer", [])]
)
def test_nodes_of_shipped_spaces(name: str, sizes: list[int]) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    assert [len(node) for node in summed_slots(space.flat)] == sizes


def test_edges_that_the_space_weighs_are_not_weighed_twice() -> None:
    text = HEAD + "net = dag(x) { s = [x, x >> tanh];  return sum(pick 1 from s: e) }"
    assert summed_slots(spacec.loads(text).flat) == (("net.pick[0].e[0]", "net.pick[0].e[1]"),)
    assert summed_slots(spacec.loads(text, edges=1).flat) == ()


@pytest.mark.parametrize(
    "net",
    [
        "dag(x) { return x + (x >> e) }",
        "dag(x) { a = x >> e;  b = x >> e;  c = x >> e;  return concat([a + b, a + c]) >> conv(1, 4) }",
    ],
)
def test_other_sums_are_no_nodes(net: str) -> None:
    assert summed_slots(spacec.loads(HEAD + f"net = {net}").flat) == ()
