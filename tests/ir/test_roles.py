"""Roles come from the laws of ops and from types: labels say nothing, and a skip that computes is none."""

from __future__ import annotations

import pytest

import spacec
from spacec.ir.roles import roles, roles_by_slot

HEAD = "space s\ninput x: [6, 8, 8]\noutput y: [3]\n"


def of(text: str, slot: str) -> tuple[str, ...]:
    return roles_by_slot(spacec.loads(HEAD + text).flat)[slot]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("skip: conv(3) | conv3: identity", ("op", "identity")),
        ("none: identity | b: zero", ("identity", "zero")),
        ("a: identity >> identity | b: conv(3) >> identity", ("identity", "op")),
        ("a: relu >> identity | b: relu >> conv(3)", ("op", "op")),
        ("a: skip | b: conv(1)", ("identity", "op")),
        ("a: dropout(0.5) | b: zero >> identity", ("op", "zero")),
        ("a: (b: identity | c: relu) | d: identity", ("op", "identity")),
    ],
)
def test_of_one_choice(choice: str, expected: tuple[str, ...]) -> None:
    found = roles(spacec.loads(f"{HEAD}net = conv(3, 6) >> ({choice}) >> global_pool >> linear(3)").flat)
    assert expected in found.values()


def test_an_edge_may_be_absent() -> None:
    text = """let cell = dag(x) {
  s = [x, x >> conv(3)]
  for i in 0..0 { s += sum(pick 1..2 from j in 0..i+1: s[j] >> (skip: identity | conv(3))) }
  return s[2]
}
net = cell >> cell >> global_pool >> linear(3)
"""
    space = spacec.loads(HEAD + text)
    slots = [slot for slot in space.slots if slot.absent]
    assert slots
    for slot in slots:
        assert roles_by_slot(space.flat)[slot.id] == ("absent", "identity", "op")
    assert len(roles(space.flat)) == 2 * len(roles_by_slot(space.flat))


def test_a_slot_is_a_skip_only_where_all_its_activations_are() -> None:
    text = """let cell(c, s) = a: skip -> [c, 8//s, 8//s] | b: conv(1, c, stride = s)
net = cell(6, 1) >> cell(12, 2) >> global_pool >> linear(3)
"""
    space = spacec.loads(HEAD + text)
    ((slot, (first, *_)), *_) = roles_by_slot(space.flat).items()
    by_instance = [told[0] for (s, _), told in roles(space.flat).items() if s == slot]
    assert by_instance == ["identity", "op"]
    assert first == "op"


def test_the_ways_out_of_a_depth_are_no_skips() -> None:
    space = spacec.loads(f"{HEAD}net = conv(3, 6) >> (conv(3) >> relu) * {{1..3}} >> global_pool >> linear(3)")
    assert set(roles_by_slot(space.flat).values()) == {("op", "op", "op")}


def test_a_skip_on_what_may_be_missing_is_told_by_what_the_others_read() -> None:
    space = spacec.load("grammars/mnasnet.space", preset="tiny")
    found = {instance: told for (slot, instance), told in roles(space.flat).items() if slot == "net.block[1].skip"}
    assert found["block_1.layer_2.skip_0"] == ("op", "identity", "zero")
    assert found["block_1.layer_0.skip_0"][1] == "zero"  # the first layer has a stride
