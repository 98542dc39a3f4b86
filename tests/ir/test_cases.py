"""Numbers that decisions settle: every operation is what enumeration says, and equal functions are one diagram."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spacec.ir import cases
from spacec.ir.dims import Dim, Symbol, poly, symbols
from spacec.ir.quotients import ceil_div, exact_div, extreme, floor_div, modulo
from spacec.ir.settled import as_cases
from spacec.ir.sizes import evaluate, largest_of, same, settled, substitute, violation

BITS = [Symbol(f"pick[{k // 3}]", (0, 1), "here", k % 3, (3, 0, 3), k // 3) for k in range(6)]
WIDTH = Symbol("width", (2, 5, 8), "here")
HEIGHT = Symbol("H")


def random_size(rng: random.Random, depth: int) -> tuple[Dim, Callable[[dict[Symbol, int]], int]]:
    """A size and the function that it is."""
    if depth == 0:
        symbol = rng.choice([*BITS, WIDTH])
        number = rng.randint(0, 4)
        return poly(symbol) + number, lambda given: given[symbol] + number
    (a, f), (b, g) = random_size(rng, depth - 1), random_size(rng, depth - 1)
    match rng.choice(("+", "*", "max", "min", "//", "%", "ceil")):
        case "+":
            return a + b, lambda given: f(given) + g(given)
        case "*":
            return a * b, lambda given: f(given) * g(given)
        case "max":
            return extreme("max", (a, b)), lambda given: max(f(given), g(given))
        case "min":
            return extreme("min", (a, b)), lambda given: min(f(given), g(given))
        case "//":
            return floor_div(a, extreme("max", (1, b))), lambda given: f(given) // max(1, g(given))
        case "%":
            return modulo(a, extreme("max", (1, b))), lambda given: f(given) % max(1, g(given))
        case _:
            return ceil_div(a, 3), lambda given: -(-f(given) // 3)


def assignments() -> list[dict[Symbol, int]]:
    free = [*BITS, WIDTH]
    return [dict(zip(free, v, strict=True)) for v in itertools.product(*(s.domain or () for s in free))]


EVERY = assignments()


@given(st.integers(0, 100_000))
def test_arithmetic_is_what_enumeration_says(seed: int) -> None:
    size, function = random_size(random.Random(seed), 3)
    assert [evaluate(size, a.__getitem__) for a in EVERY] == [function(a) for a in EVERY]
    bound = largest_of(size, {})
    for width in WIDTH.domain or ():
        reached = max(function(a) for a in EVERY if a[WIDTH] == width)
        assert reached <= evaluate(bound, {WIDTH: width}.__getitem__)


@given(st.integers(0, 100_000))
def test_equal_functions_are_one_diagram(seed: int) -> None:
    size, function = random_size(random.Random(seed), 2)
    rebuilt: cases.Cases | cases.Number = 0
    for given_ in EVERY:
        point: cases.Cases | cases.Number = function(given_)
        for symbol, value in given_.items():
            at = cases.merge(lambda a, b, v=value: int(a == v), cases.of_symbol(symbol), 0)  # type: ignore[misc]  # now
            point = cases.merge(lambda a, b: a * b, point, at)
        rebuilt = cases.merge(lambda a, b: a + b, rebuilt, point)
    assert rebuilt == as_cases(size)


@given(st.integers(0, 100_000))
@example(598)
def test_comparison_finds_a_counterexample_or_there_is_none(seed: int) -> None:
    rng = random.Random(seed)
    (a, f), (b, g) = random_size(rng, 2), random_size(rng, 2)
    found = violation(a, "<=", b)
    wrong = [v for v in EVERY if f(v) > g(v)]
    assert (found is None) == (not wrong)
    if found:
        full = {**EVERY[0], **found}
        assert all(f({**v, **found}) > g({**v, **found}) for v in EVERY[:20]), full
    equal = {f(v) == g(v) for v in EVERY}
    assert same(a, b) is (equal.pop() if len(equal) == 1 else None)


@given(st.integers(0, 100_000), st.integers(0, 5), st.integers(0, 1))
def test_settling_and_renaming(seed: int, bit: int, value: int) -> None:
    size, function = random_size(random.Random(seed), 3)
    left = settled(size, {BITS[bit]: value})
    assert BITS[bit] not in symbols(left)
    assert all(evaluate(left, a.__getitem__) == function(a) for a in EVERY if a[BITS[bit]] == value)
    moved = {s: Symbol(f"there.{s.name}", s.domain, "there", s.part, s.limits, s.order) for s in [*BITS, WIDTH]}
    renamed = substitute(size, lambda s: poly(moved[s]))
    assert all(evaluate(renamed, {moved[s]: v for s, v in a.items()}.__getitem__) == function(a) for a in EVERY[::7])


def test_only_what_a_decision_can_give_is_compared() -> None:
    two_of_three = [Symbol("pick[0]", (0, 1), "here", k, (3, 2, 2)) for k in range(3)]
    count = poly(two_of_three[0]) + poly(two_of_three[1]) + poly(two_of_three[2])
    assert same(count, 2) is True
    assert same(poly(two_of_three[0]) + poly(two_of_three[1]), 2) is None
    assert violation(poly(two_of_three[0]) + poly(two_of_three[1]), ">=", 1) is None


def test_a_condition_narrows_the_cases() -> None:
    a, b = poly(BITS[0]), poly(BITS[1])
    assert same(a * b, b) is None
    assert same(a * b, b, given=a) is True


def test_quotients_must_be_exact_in_every_case() -> None:
    count = extreme("max", (1, poly(BITS[0]) + poly(BITS[1])))
    assert exact_div(12, count) == (floor_div(12, count), True)
    assert exact_div(3, count) is None


def test_free_sizes_are_not_decided() -> None:
    assert as_cases(poly(HEIGHT) + poly(BITS[0])) is None
    assert violation(poly(HEIGHT), "<=", 8) == {}


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "MAX_NODES", 20)
    size: Dim = 0
    for k, bit in enumerate(BITS):
        size = size + poly(bit) * 2**k
    with pytest.raises(cases.TooManyCases):
        as_cases(size)


@given(st.randoms(use_true_random=False))
def test_what_is_remembered_is_what_would_be_computed(rng: random.Random) -> None:
    """The same sizes over the decisions of several uses, with and without memory."""
    seed = rng.randrange(2**32)

    def sizes(use: int) -> list[Dim]:
        renamed = {s: replace(s, ref=use, order=10 * use + s.order) for s in (*BITS, WIDTH)}
        built = [random_size(random.Random(seed + k), 3)[0] for k in range(2)]
        return [substitute(d, lambda s: poly(renamed[s])) for d in built]

    plain = [largest(*sizes(use)) for use in range(3)]
    with cases.remembered():
        assert [largest(*sizes(use)) for use in range(3)] == plain


def largest(a: Dim, b: Dim) -> Dim:
    return extreme("max", (a, b, a + b))
