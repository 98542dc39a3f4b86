"""What can be done with exact sizes: evaluate, substitute, settle roundings, compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from spacec.ir.dims import (
    Apply,
    Atom,
    Dim,
    Poly,
    Symbol,
    ceil_div,
    extreme,
    floor_div,
    modulo,
    poly,
    round_to,
    scaled,
    symbols,
    tidy,
)


def evaluate(dim: Dim, value: Callable[[Symbol], int | Fraction]) -> int | Fraction:
    """The number that ``dim`` is under an assignment of its symbols; a ``Fraction`` where it is no integer."""
    if isinstance(dim, int):
        return dim
    total: int | Fraction = 0
    for monomial, coefficient in dim.terms:
        product: int | Fraction = coefficient
        for atom, power in monomial:
            base = value(atom) if isinstance(atom, Symbol) else _apply(atom, value)
            product *= base**power
        total += product
    return tidy(total)


def _apply(atom: Apply, value: Callable[[Symbol], int | Fraction]) -> int | Fraction:
    args = [evaluate(a, value) for a in atom.args]
    match atom.fn:
        case "ceil_div":
            return -(-args[0] // args[1])
        case "floor_div":
            return args[0] // args[1]
        case "mod":
            return args[0] % args[1]
        case "round_to":
            return evaluate(round_to(Fraction(args[0]), int(args[1])), value)
        case "max":
            return max(args)
        case "min":
            return min(args)


def substitute(dim: Dim, replace: Callable[[Symbol], Dim]) -> Dim:
    """``dim`` with every symbol replaced, renormalised; a ``Poly`` without symbols where it is no integer."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        product: Dim = 1
        for atom, power in monomial:
            base = replace(atom) if isinstance(atom, Symbol) else _rebuild(atom, replace)
            product = product * base**power
        total = total + product * (coefficient if isinstance(coefficient, int) else Poly((((), coefficient),)))
    return total


def _rebuild(atom: Apply, replace: Callable[[Symbol], Dim]) -> Dim:
    args = tuple(substitute(a, replace) for a in atom.args)
    match atom.fn:
        case "ceil_div":
            return ceil_div(args[0], args[1]) if isinstance(args[1], int) else poly(Apply("ceil_div", args))
        case "floor_div":
            return floor_div(args[0], args[1])
        case "mod":
            return modulo(args[0], args[1])
        case "round_to":
            return round_to(args[0], args[1]) if isinstance(args[1], int) else poly(Apply("round_to", args))
        case "max" | "min":
            return extreme(atom.fn, args)


def settle(dim: Dim, divides: Callable[[Dim, int], bool]) -> Dim:
    """``dim`` with rounded divisions made exact where ``divides(a, n)`` says that n divides a."""
    if isinstance(dim, int) or not any(isinstance(a, Apply) for m, _ in dim.terms for a, _ in m):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        product: Dim = Poly((((), coefficient),)) if isinstance(coefficient, Fraction) else coefficient
        for atom, power in monomial:
            product = product * _settled(atom, divides) ** power
        total = total + product
    return total


def _settled(atom: Atom, divides: Callable[[Dim, int], bool]) -> Dim:
    if isinstance(atom, Apply) and atom.fn in ("ceil_div", "floor_div"):
        a, n = settle(atom.args[0], divides), atom.args[1]
        if isinstance(n, int) and not isinstance(a, int) and divides(a, n):
            return scaled(a, n)
    return poly(atom)


def assignments(free: frozenset[Symbol], cap: int = 100_000) -> Iterator[dict[Symbol, int]] | None:
    """All assignments of symbols with finite domains, or ``None`` where one is free or there are over ``cap``."""
    ordered = sorted(free, key=lambda s: s.name)
    size = 1
    for symbol in ordered:
        if symbol.domain is None:
            return None
        size *= len(symbol.domain)
    return _product(ordered) if size <= cap else None


def _product(ordered: list[Symbol]) -> Iterator[dict[Symbol, int]]:
    if not ordered:
        yield {}
        return
    head, *tail = ordered
    for rest in _product(tail):
        for v in head.domain or ():
            yield {head: v, **rest}


def divides(dim: Dim, by: Dim) -> bool | None:
    """Whether ``by`` divides ``dim`` for every value of symbols with finite domains; ``None`` where nobody can tell."""
    free = symbols(dim) | symbols(by)
    choices = assignments(free)
    if choices is None:
        return None
    return all(Fraction(evaluate(dim, c.__getitem__)) % evaluate(by, c.__getitem__) == 0 for c in choices)


def _one_sign(difference: Poly) -> bool:
    """Whether every term is positive, or every term negative: sizes are positive, so such a sum is never zero."""
    atoms = [atom for monomial, _ in difference.terms for atom, _ in monomial]
    if any(isinstance(atom, Apply) and atom.fn in ("floor_div", "mod") for atom in atoms):
        return False  # these may be zero
    return len({c > 0 for _, c in difference.terms}) == 1


def same(a: Dim, b: Dim) -> bool | None:
    """Whether two sizes are equal: ``True``, ``False``, or ``None`` where it depends on symbols or is unknown.

    Symbols with finite domains are enumerated; ``False`` means unequal for every value.
    """
    difference = a - b
    if difference == 0:
        return True
    if isinstance(difference, int) or _one_sign(difference):
        return False
    choices = assignments(difference.symbols)
    if choices is None:
        return None
    verdicts = {evaluate(difference, c.__getitem__) == 0 for c in choices}
    return verdicts.pop() if len(verdicts) == 1 else None
