"""What differs between two tables, and between two architectures."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.space.compare import compare_architectures, compare_decisions
from spacec.testing.generate import random_space

HEAD = "space s\ninput x: [4, 8, 8]\noutput y: [10]\n"


def space(body: str) -> spacec.Space:
    return spacec.loads(HEAD + body + " >> global_pool >> linear(10)\n")


def said(a: spacec.Space, b: spacec.Space) -> list[tuple[str, str, list[tuple[str, ...]]]]:
    changes = compare_decisions(a.table, b.table)
    return [(c.kind, c.id, [(x.name, *x.gained, "-", *x.lost) for x in c.aspects]) for c in changes]


def test_candidates_and_priors() -> None:
    a = space("def f = a: conv(3) | b: relu\nnet = f >> relu")
    b = space("def f = a: conv(3) | c: bn @ 0.5\nnet = f >> relu")
    assert said(a, b) == [("changed", "net.f[0]", [("candidates", "c", "-", "b"), ("priors", "-")])]


def test_added_and_removed_decisions() -> None:
    a = space("def f = a: conv(3) | b: relu\nnet = f * 2")
    b = space("def f = a: conv(3) | b: relu\nnet = f * 3")
    assert said(a, b) == [("added", "net.f[2]", [])]
    assert said(b, a) == [("removed", "net.f[2]", [])]


def test_activity_and_sharing() -> None:
    a = space("def f = a: conv(3) | b: relu\nnet = f * 2")
    b = space("def f = a: conv(3) | b: relu\nnet = f * {1..2}")
    assert said(a, b) == [("changed", "net.f[1]", [("active", "-")]), ("added", "net.depth[0]", [])]
    separate, elastic = (space(f"net = conv({{3, 5}}) >> conv({word} {{3, 5}})") for word in ("", "elastic"))
    assert said(separate, elastic) == [("changed", "net.conv[1].kernel[0]", [("elastic", "-")])]


@given(st.integers(0, 300), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_space_equals_itself_and_architectures_differ_where_they_do(seed: int, draw: int) -> None:
    text = random_space(seed)
    one, two = spacec.loads(text), spacec.loads(text)
    assert compare_decisions(one.table, two.table) == []
    a, b = one.sample(n=2, seed=draw)
    found = compare_architectures(one.table, a, b)
    assert {d.decision.id for d in found} == {id for id in {*a, *b} if a.get(id) != b.get(id)}
    assert (not found) == (a == b)
