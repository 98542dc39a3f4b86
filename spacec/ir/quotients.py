"""Quotients, remainders, extremes and roundings of sizes.

Assumes positive integers. Each comes out as a polynomial where that is visibly exact, as a number for each way to
decide where presence enters (:mod:`spacec.ir.settled`), and else as an opaque :class:`~spacec.ir.dims.Apply`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from spacec.ir import cases
from spacec.ir.dims import Apply, Dim, divisible, poly, quotient, scaled
from spacec.ir.settled import as_cases, as_dim, decided, has_presence, is_fractional, rounded


def exact_div(a: Dim, b: Dim) -> tuple[Dim, bool] | None:
    """``a / b`` and whether it is exact for every value of the symbols.

    The result with ``False`` is right only under the precondition ``a % b == 0``, which the caller
    records. ``None`` where no exact quotient exists (numbers that do not divide, a symbolic ``b``
    that does not cancel). Where presence enters, the quotient must be exact in every case.
    """
    if b == 1:
        return a, True
    if has_presence(a, b):
        whole = decided("div", a, b)
        return None if whole is None or is_fractional(whole) else (whole, True)
    if isinstance(b, int):
        if b == 0:
            return None
        if isinstance(a, int):
            return (a // b, True) if a % b == 0 else None
        if divisible(a, b):
            return scaled(a, b), True
        return scaled(a, b), False
    ratio = quotient(a, b)
    return None if ratio is None else (ratio, True)


def ceil_div(a: Dim, n: int) -> Dim:
    """Ceiling of ``a / n``; opaque where ``a`` is not visibly a multiple of ``n``."""
    if isinstance(a, int):
        return -(-a // n)
    if n == 1:
        return a
    if has_presence(a) and (found := decided("ceil_div", a, n)) is not None:
        return found
    if divisible(a, n):
        return scaled(a, n)
    match a.terms:
        case ((((Apply(fn="ceil_div", args=(inner, int(m))), 1),), 1),):
            return ceil_div(inner, m * n)  # halving twice, rounding up each time, is quartering
    return poly(Apply("ceil_div", (a, n)))


def floor_div(a: Dim, b: Dim) -> Dim:
    """Floor of ``a / b``; opaque where not visibly exact."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if isinstance(b, int) and not isinstance(a, int) and divisible(a, b):
        return scaled(a, b)
    if has_presence(a, b) and (found := decided("floor_div", a, b)) is not None:
        return found
    return poly(Apply("floor_div", (a, b)))


def modulo(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if isinstance(b, int) and not isinstance(a, int) and divisible(a, b):
        return 0
    if has_presence(a, b) and (found := decided("mod", a, b)) is not None:
        return found
    return poly(Apply("mod", (a, b)))


def extreme(fn: Literal["max", "min"], dims: tuple[Dim, ...]) -> Dim:
    """``max`` or ``min``; opaque where a symbol is involved and the arguments differ."""
    distinct = tuple(dict.fromkeys(dims))
    if len(distinct) == 1:
        return distinct[0]
    if all(isinstance(d, int) for d in distinct):
        return (max if fn == "max" else min)(d for d in distinct if isinstance(d, int))
    if has_presence(*distinct) and None not in (parts := [as_cases(d) for d in distinct]):
        known = [p for p in parts if p is not None]
        return as_dim(cases.fold(max if fn == "max" else min, known))
    return poly(Apply(fn, distinct))


def round_to(a: Dim | Fraction, n: int) -> Dim:
    """The multiple of ``n`` nearest to ``a``, at least ``n`` and not below 90% of ``a``; opaque for symbols.

    The rule of MobileNets (``make_divisible``; Sandler et al., CVPR 2018, in the authors' code).
    """
    if not isinstance(a, int | Fraction):
        constant = Fraction(a.terms[0][1]) if len(a.terms) == 1 and not a.terms[0][0] else None
        if constant is None:
            found = decided("round_to", a, n) if has_presence(a) else None
            return poly(Apply("round_to", (a, n))) if found is None else found
        a = constant
    return rounded(Fraction(a), n)
