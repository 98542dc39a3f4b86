"""Bounded recursion: counts against recurrences, ids, what is dropped and what stays."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from tests.sema.compile import codes

HEAD = "space s(C = 4)\ninput  x: [4, 8, 8]\noutput y: [4, 8, 8]\n"


def space(text: str) -> spacec.Space:
    return spacec.loads(HEAD + text)


def labels(made: spacec.Space) -> list[tuple[str, tuple[str, ...]]]:
    return [(d.id, d.labels) for d in made.decisions]


@pytest.mark.parametrize("levels", [1, 2, 3, 5, 20])
def test_a_chain_has_one_architecture_for_each_length(levels: int) -> None:
    assert space(f"def S within {levels} = conv(3) >> S | relu\nnet = S").count() == levels


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
def test_trees(levels: int) -> None:
    expected = 1
    for _ in range(levels - 1):
        expected = expected**2 + expected + 1
    assert space(f"def S within {levels} = S >> S | conv(3) >> S | relu\nnet = S").count() == expected


ALTERNATIVES = st.lists(st.lists(st.sampled_from(["S", "T", "relu", "conv(1)"]), min_size=1, max_size=3), max_size=3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ALTERNATIVES, ALTERNATIVES, st.integers(1, 3), st.integers(1, 2))
def test_random_grammars(s: list[list[str]], t: list[list[str]], s_levels: int, t_levels: int) -> None:
    """Derivations counted by the definition of a level, alternative by alternative."""

    def text(parts: list[list[str]]) -> str:
        return " | ".join([" >> ".join(p) for p in parts] + ["bn"])

    rules = {"S": [*s, ["bn"]], "T": [*t, ["bn"]]}
    bounds = {"S": s_levels, "T": t_levels}

    def ways(name: str, left: dict[str, int]) -> int:
        if name not in rules:
            return 1
        if left[name] == 0:
            return 0
        inside = {**left, name: left[name] - 1}
        return sum(math.prod(ways(part, inside) for part in alternative) for alternative in rules[name])

    expected = ways("S", bounds)
    if expected > 10**9:
        return
    made = f"def S within {s_levels} = {text(s)}\ndef T within {t_levels} = {text(t)}\nnet = S"
    if "E0408" not in codes(HEAD + made):
        assert space(made).count() == expected


def test_ids_are_paths() -> None:
    made = space("def S within 3 = wide: conv(3) >> S | deep: S >> S | end: relu\nnet = S")
    assert labels(made)[:3] == [
        ("net", ("wide", "deep", "end")),
        ("net.wide[0].S[0]", ("wide", "deep", "end")),
        ("net.deep[0].S[0]", ("wide", "deep", "end")),
    ]


def test_alternatives_that_need_one_more_are_dropped() -> None:
    made = space("def S within 2 = conv(3) >> S | relu | bn\nnet = S")
    assert labels(made) == [("net", ("conv(3) >> S", "relu", "bn")), ("net.S[0]", ("relu", "bn"))]


def test_the_way_out_may_lie_in_another_definition() -> None:
    made = space("def A within 2 = relu >> B | conv(3)\ndef B = bn >> A | gelu\nnet = A")
    assert made.count() == 4  # conv; relu gelu; relu bn conv; relu bn relu gelu


def test_static_guards_are_seen() -> None:
    made = space("def S(n) within 3 = conv(3) >> S(n + 1) when n < 1 | relu >> S(n + 1) when n < 2 | bn\nnet = S(0)")
    assert made.count() == 5  # bn; conv/relu then bn or relu bn


def test_a_let_of_a_bounded_definition_decides_once() -> None:
    made = space("def S within 3 = conv(3) >> S | relu\nlet s = S\nnet = s >> s")
    assert made.count() == 3
    assert made.decisions[0].owner == "s"


def test_networks_as_arguments() -> None:
    made = space("def twice(f) = f >> f\ndef S within 3 = twice(S) | conv(3)\nnet = S")
    assert made.count() == (1 + 1) ** 2 + 1


def test_law_4() -> None:
    made = space("def S within 3 = residual(S) >> bn | conv(3) >> S | conv(1)\nnet = S")
    net, x = made.supernet(seed=0).double().eval(), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    for arch in made.enumerate():
        network = made.network(arch, weights=net).double().eval()
        assert torch.equal(net(x, mask=arch).prediction, network(x))


@pytest.mark.parametrize(
    "body",
    ["conv(3) >> S", "S | relu >> S", "(relu >> S | conv(3) >> S) >> bn", "dag(x) { return x + (x >> S) }"],
)
def test_what_cannot_finish_is_reported(body: str) -> None:
    assert codes(HEAD + f"def S within 4 = {body}\nnet = S") == ["E0416"]


def test_mistakes_inside_are_still_reported() -> None:
    assert codes(HEAD + "def S within 3 = conv(3) >> S | con(3)\nnet = S") == ["E0201"]
    assert "E0301" in codes(HEAD + "def S within 3 = conv(3, 8) >> S | relu\nnet = S")
