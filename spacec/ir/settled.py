"""Sizes that decisions settle, as decision diagrams and back (:mod:`spacec.ir.cases`).

Work is bounded by the size of the diagrams; beyond it :class:`~spacec.ir.cases.TooManyCases` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from spacec.ir import cases
from spacec.ir.cases import Cases, TooManyCases
from spacec.ir.dims import Atom, Dim, Poly, Symbol, poly, symbols, tidy


def has_presence(*dims: Dim) -> bool:
    """Whether presence enters one of them."""
    return any(s.part is not None for d in dims for s in symbols(d))


def is_fractional(dim: Dim) -> bool:
    """Whether some case of a size that decisions settle is no integer."""
    return not isinstance(dim, int) and any(
        isinstance(v, Fraction) for m, _ in dim.terms for atom, _ in m if isinstance(atom, Cases) for v in atom.values
    )


def decided(fn: str, a: Dim, b: Dim) -> Dim | None:
    """A quotient for each way to decide, or ``None`` where an input's free size enters."""
    x, y = as_cases(a), as_cases(b)
    return None if x is None or y is None else as_dim(cases.merge(_QUOTIENTS[fn], x, y))


def _over(a: cases.Number, b: cases.Number) -> cases.Number:
    return tidy(Fraction(a) / b) if b else 0


_QUOTIENTS: Mapping[str, Callable[[cases.Number, cases.Number], cases.Number]] = {
    "div": _over,
    "ceil_div": lambda a, b: -(-a // b) if b else 0,
    "floor_div": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "round_to": lambda a, b: rounded(Fraction(a), int(b)),
}
"""Division by zero gives zero: who divides has shown that no architecture does."""


def as_dim(found: Cases | cases.Number) -> Dim:
    """A number for each way to decide, as a size."""
    if isinstance(found, Cases):
        return poly(found)
    return found if isinstance(found, int) else Poly((((), found),))


MAX_SUMMED = 400_000
"""Nodes of all partial sums of one size: what bounds the time of a sum of many terms."""


def as_cases(dim: Dim) -> Cases | cases.Number | None:
    """The size for each way to decide, or ``None`` where an input's free size enters. Raises :class:`TooManyCases`."""
    if isinstance(dim, int):
        return dim
    total: Cases | cases.Number = 0
    spent = 0
    for monomial, coefficient in dim.terms:
        product: Cases | cases.Number = coefficient
        for atom, power in monomial:
            base = _atom_cases(atom)
            if base is None:
                return None
            for _ in range(power):
                product = base if product == 1 else _times_cases(product, base)
        total = product if total == 0 else cases.merge(_sum, total, product)
        spent += len(total.nodes) if isinstance(total, Cases) else 1
        if spent > MAX_SUMMED:
            raise TooManyCases
    return total


def _sum(a: cases.Number, b: cases.Number) -> cases.Number:
    return tidy(a + b)


def _product(a: cases.Number, b: cases.Number) -> cases.Number:
    return tidy(a * b)


def _times_cases(a: Cases | cases.Number, b: Cases | cases.Number) -> Cases | cases.Number:
    size = len(a.nodes) - len(b.nodes) if isinstance(a, Cases) and isinstance(b, Cases) else 0
    return cases.merge(_product, a, b, zero=True) if size >= 0 else _times_cases(b, a)


def _atom_cases(atom: Atom) -> Cases | cases.Number | None:
    if isinstance(atom, Cases):
        return atom
    if isinstance(atom, Symbol):
        return None if atom.domain is None else cases.of_symbol(atom)
    args = [as_cases(a) for a in atom.args]
    known = [a for a in args if a is not None]
    if len(known) < len(args):
        return None
    if atom.fn in ("max", "min"):
        return cases.fold(max if atom.fn == "max" else min, known)
    return cases.merge(_QUOTIENTS[atom.fn], known[0], known[1])


def rounded(a: Fraction, n: int) -> int:
    """One number by the rule of :func:`spacec.ir.quotients.round_to`."""
    near = max(n, (2 * a + n) // (2 * n) * n)
    return near + n if 10 * near < 9 * a else near
