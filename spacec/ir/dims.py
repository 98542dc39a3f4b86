"""Exact sizes: an ``int``, or a polynomial with rational coefficients over symbols.

A :class:`Symbol` is a free size of an input (``H``), or a size that a decision chooses, with a
finite domain. Divisions that are not exact become opaque :class:`Apply` atoms, so equality of
normal forms is equality of functions wherever spacec claims it (it never claims more). A quotient,
remainder or extreme that presence (a symbol with a part) enters is one :class:`Cases` atom instead:
its number for each way to decide, exactly.
All sizes are assumed to be positive integers. :mod:`spacec.ir.quotients` divides and rounds them,
:mod:`spacec.ir.sizes` evaluates, rewrites and compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

from spacec.ir.cases import Cases
from spacec.ir.symbol import Symbol

__all__ = ["Apply", "Atom", "Cases", "Dim", "Monomial", "Poly", "Symbol"]


@dataclass(frozen=True)
class Apply:
    """An opaque function of sizes that the polynomial form cannot hold."""

    fn: Literal["ceil_div", "floor_div", "mod", "max", "min", "round_to"]
    args: tuple[Dim, ...]

    @cached_property
    def weight(self) -> int:
        """How long it is, written out; nested functions can double at every step."""
        return 1 + sum(weight(a) for a in self.args)

    @cached_property
    def _hash(self) -> int:
        return hash((self.fn, self.args))

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        a = ", ".join(map(str, self.args))
        match self.fn:
            case "ceil_div":
                return f"ceil({_wrap(self.args[0])}/{_wrap(self.args[1])})"
            case "floor_div":
                return f"{_wrap(self.args[0])}//{_wrap(self.args[1])}"
            case "mod":
                return f"{_wrap(self.args[0])}%{_wrap(self.args[1])}"
            case _:
                return f"{self.fn}({a})"


Atom = Symbol | Apply | Cases
Monomial = tuple[tuple[Atom, int], ...]


@dataclass(frozen=True)
class Poly:
    """A polynomial that is not an integer constant; build it with operators or :func:`poly`."""

    terms: tuple[tuple[Monomial, int | Fraction], ...]

    @cached_property
    def _hash(self) -> int:
        return hash(self.terms)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def symbols(self) -> frozenset[Symbol]:
        """Every symbol mentioned, inside opaque atoms too."""
        found: set[Symbol] = set()
        for monomial, _ in self.terms:
            for atom, _ in monomial:
                if isinstance(atom, Symbol):
                    found.add(atom)
                elif isinstance(atom, Cases):
                    found.update(atom.symbols)
                else:
                    for arg in atom.args:
                        found |= symbols(arg)
        return frozenset(found)

    def __add__(self, other: Dim) -> Dim:
        return _combine(self, other, 1)

    __radd__ = __add__

    def __sub__(self, other: Dim) -> Dim:
        return _combine(self, other, -1)

    def __rsub__(self, other: Dim) -> Dim:
        return _combine(other, self, -1)

    def __neg__(self) -> Dim:
        return self * -1

    def __mul__(self, other: Dim) -> Dim:
        out: dict[Monomial, int | Fraction] = {}
        for ma, ca in self.terms:
            for mb, cb in _terms(other):
                monomial = _times(ma, mb)
                out[monomial] = out.get(monomial, 0) + ca * cb
        return _normal(out)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Dim:
        out: Dim = 1
        for _ in range(exponent):
            out = self * out
        return out

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        parts: list[str] = []
        for monomial, coefficient in self.terms:
            parts.append(_term_text(monomial, coefficient))
        text = " + ".join(parts)
        return text.replace("+ -", "- ")


Dim = int | Poly


def weight(dim: Dim) -> int:
    """Symbols and functions of a size, written out."""
    if isinstance(dim, int):
        return 1
    return sum([atom.weight if isinstance(atom, Apply) else 1 for monomial, _ in dim.terms for atom, _ in monomial])


def poly(atom: Atom) -> Poly:
    """The polynomial that is one atom."""
    return Poly(((((atom, 1),), 1),))


def symbols(dim: Dim) -> frozenset[Symbol]:
    return frozenset() if isinstance(dim, int) else dim.symbols


def _term_text(monomial: Monomial, coefficient: int | Fraction) -> str:
    c = Fraction(coefficient)
    alone = c == 1 and len(monomial) == 1
    factors = [_factor_text(a, alone and p == 1) + (f"^{p}" if p != 1 else "") for a, p in monomial]
    if not factors:
        return str(c)
    text = "*".join(factors)
    if c.numerator != 1:
        text = f"-{text}" if c.numerator == -1 else f"{c.numerator}*{text}"
    return text if c.denominator == 1 else f"{text}/{c.denominator}"


def _factor_text(atom: Atom, alone: bool) -> str:
    """Quotients and remainders stand in parentheses among other factors."""
    quotient = isinstance(atom, Apply) and atom.fn in ("floor_div", "mod")
    return f"({atom})" if quotient and not alone else str(atom)


def _wrap(dim: Dim) -> str:
    text = str(dim)
    match dim:
        case Poly(terms=((((Apply(fn=fn), 1),), 1),)) if fn not in ("floor_div", "mod"):
            return text  # written as a call
    return f"({text})" if any(c in text for c in "+-/% ") and not isinstance(dim, int) else text


def _terms(dim: Dim) -> tuple[tuple[Monomial, int | Fraction], ...]:
    if isinstance(dim, int):
        return (((), dim),) if dim else ()
    return dim.terms


def _times(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=_atom_key)) if len(powers) > 1 else tuple(powers.items())


def _atom_key(item: tuple[Atom, int]) -> tuple[str, int]:
    return _atom_text(item[0]), item[1]


def _atom_text(atom: Atom) -> str:
    """Tells atoms apart, the same in every run."""
    return atom.key if isinstance(atom, Cases) else str(atom)


def _combine(a: Dim, b: Dim, sign: int) -> Dim:
    out = dict(_terms(a))
    for monomial, coefficient in _terms(b):
        out[monomial] = out.get(monomial, 0) + sign * coefficient
    return _normal(out)


def total(dims: Iterable[Dim]) -> Dim:
    """The sum of many sizes, collected once."""
    out: dict[Monomial, int | Fraction] = {}
    for dim in dims:
        for monomial, coefficient in _terms(dim):
            out[monomial] = out.get(monomial, 0) + coefficient
    return _normal(out)


def _normal(terms: Mapping[Monomial, int | Fraction]) -> Dim:
    kept = [(m, tidy(c)) for m, c in terms.items() if c]
    if not kept:
        return 0
    if len(kept) == 1 and kept[0][0] == () and isinstance(kept[0][1], int):
        return kept[0][1]
    if len(kept) > 1:
        kept.sort(key=_term_key)
    return Poly(tuple(kept))


def _term_key(term: tuple[Monomial, int | Fraction]) -> tuple[int, list[tuple[str, int]]]:
    """Highest degree first, then by the atoms' names."""
    return -sum([p for _, p in term[0]]), [(_atom_text(a), p) for a, p in term[0]]


def tidy(c: int | Fraction) -> int | Fraction:
    """An ``int`` wherever the number is whole."""
    return c if isinstance(c, int) else (c.numerator if c.denominator == 1 else c)


def divisible(a: Poly, n: int) -> bool:
    """Whether every coefficient is a multiple of ``n``."""
    return all(isinstance(c, int) and c % n == 0 for _, c in a.terms)


def scaled(a: Poly, n: int) -> Dim:
    """``a / n`` with every coefficient divided."""
    return _normal({m: Fraction(c) / n for m, c in a.terms})


def quotient(a: Dim, b: Poly) -> Dim | None:
    """``a / b`` where ``b`` is one monomial that divides every term, or ``a`` is a multiple of ``b``."""
    if a == 0:
        return 0
    if not isinstance(a, int) and len(a.terms) == len(b.terms):
        c = Fraction(a.terms[0][1]) / Fraction(b.terms[0][1])
        if c.denominator == 1 and b * int(c) == a:
            return int(c)
    if len(b.terms) != 1:
        return None
    (divisor, cb), out = b.terms[0], {}
    for monomial, ca in _terms(a):
        powers = dict(monomial)
        for atom, power in divisor:
            powers[atom] = powers.get(atom, 0) - power
        if any(p < 0 for p in powers.values()):
            return None
        key = tuple(sorted(((x, p) for x, p in powers.items() if p), key=_atom_key))
        out[key] = Fraction(ca) / Fraction(cb)
    return _normal(out)
