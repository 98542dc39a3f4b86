"""Absurd values where others are due: each ends in its diagnostic; tests/robust has files that are absurdly large."""

from __future__ import annotations

import pytest

from tests.sema.compile import codes

HEAD = "space s(C = 4)\ninput  x: [4, 8, 8]\noutput y: [4, 8, 8]\n"


def test_a_power_of_a_size_without_measure() -> None:
    text = "input z: [H*H + H*W + W*W + H + W + 1]\nnet = dag(x, z) { s = (z.c^64)^64; return x }"
    assert codes(HEAD + text) == ["E0306"]


@pytest.mark.parametrize(
    "text",
    [
        "def f(a = f) = a\nnet = f",
        "def f(a = g) = a\ndef g(b = f) = b\nnet = conv(f)",
        "def f(a = f >> relu) = relu >> a\nnet = f",
    ],
)
def test_a_default_that_needs_itself(text: str) -> None:
    assert codes(HEAD + text) == ["E0205"]


@pytest.mark.parametrize("braces", ["{1, relu}", "elastic {2, relu}", "{1, relu >> conv(3)}"])
def test_a_network_among_values(braces: str) -> None:
    assert codes(f"{HEAD}net = conv({braces})") == ["E0306"]


def test_what_is_absent_has_no_sizes() -> None:
    assert codes(HEAD + "net = dag(x) { z = concat([]); return x >> conv(3) -> [4, *z.hw] }") == ["E0208"]


def test_a_port_decides_nothing() -> None:
    assert codes("space s\ninput x: [elastic {2, 4}]\noutput y: [2]\nnet = linear(2)") == ["E0306"]


@pytest.mark.parametrize("side", ["elastic {1, 2}", "{1, 2}", "k"])
def test_a_constraint_decides_nothing(side: str) -> None:
    assert codes(f"{HEAD}def k = {{1, 3}}\nnet = conv({{1, 3}})\nwhere params <= {side}") == ["E0505"]


def test_a_form_without_outputs() -> None:
    text = "space s(aux = 0)\ninput x: [4]\noutput y: [4] when aux\nnet = relu"
    assert codes(text) == ["E0206"]
    assert codes(text, aux=1) == []


def test_a_preset_with_a_mistake_is_reported_before_it_is_used() -> None:
    assert codes(HEAD + "preset tiny(C = 1/0)\nnet = conv(3)") == ["E0306"]
    assert codes(HEAD + 'preset tiny(C = "a")\nnet = conv(3)') == ["E0503"]


@pytest.mark.parametrize("dilation", ["0", "-1", "1.5", '"a"', "elastic {1, 2}"])
def test_dilation_is_a_positive_whole_number(dilation: str) -> None:
    assert codes(f"{HEAD}net = conv(3, dilation = {dilation})") == ["E0306"]


@pytest.mark.parametrize("kind", ["def", "let"])
def test_a_long_chain_of_definitions_is_too_deep(kind: str) -> None:
    lines = [f"{kind} f0 = relu", *(f"{kind} f{i} = f{i - 1} >> bn" for i in range(1, 10_000))]
    assert codes("\n".join([HEAD, *lines, "net = f9999"])) == ["E0408"]


def test_families_without_end_in_several_indices() -> None:
    text = "tied f[i, j] = conv(3) >> (a: f[i+1, j] | b: relu >> f[i, j+1] | c: relu)\nnet = f[0, 0]"
    assert "E0205" in codes(HEAD + text)
