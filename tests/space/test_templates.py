"""The table of a space is the same whether small regions are copied or walked each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.ir.conditions import decisions
from spacec.space import walk
from spacec.space.decisions import DecisionTable
from spacec.space.skeleton import build_table
from spacec.testing.generate import random_ports, random_space


def tables(space: spacec.Space) -> tuple[DecisionTable, DecisionTable]:
    """With copies, and without."""
    copied = build_table(space.graph)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "stands_alone", lambda region, known: False)
        return copied, build_table(space.graph)


def check(space: spacec.Space) -> None:
    copied, walked = tables(space)
    for one, other in zip(copied.decisions, walked.decisions, strict=True):
        assert one == other
    assert copied.slots == walked.slots
    for cost in ("params", "macs"):
        assert copied.costs[cost] == walked.costs[cost]
    assert (copied.digest, copied.owner_digests) == (walked.digest, walked.owner_digests)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_random_spaces(seed: int) -> None:
    check(spacec.loads(random_space(seed, 12)))
    check(spacec.loads(random_ports(seed, 8)))


@pytest.mark.parametrize("grammar", sorted(Path("grammars").glob("*.space")), ids=lambda p: p.stem)
def test_shipped_spaces(grammar: Path) -> None:
    check(spacec.load(grammar, preset="tiny"))


def test_two_levels_of_a_hierarchy() -> None:
    check(spacec.load("grammars/hierarchical.space", levels=2))


def test_values_from_outside_keep_their_names() -> None:
    text = """space few
input x: [4, 6, 6]
output y: [4, 6, 6]
let k = {1, 2, 3}
def b = (relu | bn) >> ((conv(1) | conv(3)) when k < 3 | identity when k == 3)
net = b >> b >> b
"""
    space = spacec.loads(text)
    check(space)
    assert any("k" in {str(n) for n in decisions(d.active)} for d in space.decisions)
