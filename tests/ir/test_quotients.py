"""Rounded sizes: what nests is one quotient, and a text says which factors a quotient has."""

from __future__ import annotations

from math import ceil

from spacec.ir.dims import Symbol, poly
from spacec.ir.quotients import ceil_div, floor_div, modulo
from spacec.ir.sizes import evaluate

H = poly(Symbol("H"))


def test_rounding_up_twice_is_rounding_up_once() -> None:
    nested = ceil_div(ceil_div(ceil_div(H + 1, 2), 3), 2)
    assert nested == ceil_div(H + 1, 12)
    for n in range(1, 40):
        assert evaluate(nested, lambda _, n=n: n) == ceil(ceil(ceil((n + 1) / 2) / 3) / 2)


def test_only_a_quotient_alone_is_one_quotient() -> None:
    assert ceil_div(ceil_div(H, 2) + 1, 2) != ceil_div(H + 1, 4)
    assert ceil_div(3 * ceil_div(H, 2), 2) != ceil_div(3 * H, 4)


def test_the_text_of_a_quotient_among_factors() -> None:
    assert str(3 * floor_div(H, 2)) == "3*(H//2)"
    assert str(floor_div(3 * H, 2)) == "3*H//2"
    assert str(floor_div(H, 2) ** 2) == "(H//2)^2"
    assert str(modulo(H, 2) + 1) == "H%2 + 1"
    assert str(ceil_div(ceil_div(H, 2) - 1, 2)) == "ceil((ceil(H/2) - 1)/2)"
    assert str(2 * ceil_div(H, 2)) == "2*ceil(H/2)"
