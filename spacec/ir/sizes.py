"""What can be done with exact sizes: evaluate, substitute, settle roundings, compare."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from spacec.ir import cases
from spacec.ir.cases import Cases
from spacec.ir.dims import Apply, Atom, Dim, Poly, Symbol, poly, scaled, symbols, tidy
from spacec.ir.quotients import ceil_div, extreme, floor_div, modulo, round_to
from spacec.ir.settled import as_cases, as_dim

Counterexample = dict[Symbol, int]
"""An assignment of symbols that decisions settle."""


def evaluate(dim: Dim, value: Callable[[Symbol], int | Fraction]) -> int | Fraction:
    """The number that ``dim`` is under an assignment of its symbols; a ``Fraction`` where it is no integer."""
    if isinstance(dim, int):
        return dim
    total: int | Fraction = 0
    for monomial, coefficient in dim.terms:
        product: int | Fraction = coefficient
        for atom, power in monomial:
            base = atom.at(value) if isinstance(atom, Cases) else _number(atom, value)
            product *= base**power
        total += product
    return tidy(total)


def _number(atom: Symbol | Apply, value: Callable[[Symbol], int | Fraction]) -> int | Fraction:
    return value(atom) if isinstance(atom, Symbol) else _apply(atom, value)


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
            product = product * _replaced(atom, replace) ** power
        total = total + product * (coefficient if isinstance(coefficient, int) else Poly((((), coefficient),)))
    return total


def settled(dim: Dim, known: Mapping[Symbol, int]) -> Dim:
    """``dim`` with some of its symbols settled."""
    return substitute(dim, lambda s: known[s] if s in known else poly(s))


def _replaced(atom: Atom, replace: Callable[[Symbol], Dim]) -> Dim:
    """An atom under a substitution; a symbol of a diagram becomes another of the same place, or a number."""
    if isinstance(atom, Symbol):
        return replace(atom)
    if isinstance(atom, Apply):
        return _rebuild(atom, replace)
    numbers: dict[Symbol, int] = {}
    names: dict[Symbol, Symbol] = {}
    for symbol in atom.symbols:
        match replace(symbol):
            case int() as number:
                numbers[symbol] = number
            case Poly(terms=((((Symbol() as other, 1),), 1),)):
                names[symbol] = other
            case other_size:
                raise ValueError(f"{symbol} cannot become {other_size} among the cases of a size")
    left = cases.settled(atom, numbers) if numbers else atom
    return as_dim(cases.renamed(left, names.__getitem__) if isinstance(left, Cases) else left)


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


def largest_of(dim: Dim, known: Mapping[str, int | Fraction]) -> Dim:
    """An upper bound, reached term by term, over the presence that ``known`` (by key) leaves open.

    What a supernet reserves: the channels of a concat's slots add up to it.
    """
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        product: Dim = Poly((((), coefficient),)) if isinstance(coefficient, Fraction) else coefficient
        for atom, power in monomial:
            base: Dim = poly(atom)
            if isinstance(atom, Cases):
                base = as_dim((max if coefficient > 0 else min)(atom.reachable(known)))
            elif isinstance(atom, Symbol) and atom.part is not None and atom.key not in known:
                base = int(coefficient > 0)
            product = product * base**power
        total = total + product
    return total


def tightened(dim: Dim) -> Dim:
    """The size over the cases that decisions can give; where they cannot, it is their largest."""
    care = cases.possible(symbols(dim))
    found = as_cases(dim) if isinstance(care, Cases) else None
    if not isinstance(found, Cases):
        return dim
    outside = found.values[-1] + 1
    marked = cases.merge(cases.Unless(outside), found, care)
    if not isinstance(marked, Cases):
        return as_dim(marked)
    most = max(n for n in marked.values if n != outside)
    return as_dim(cases.merge(lambda n, _: most if n == outside else n, marked, 0))


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
    ordered = sorted(free, key=lambda s: s.key)
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
    """Whether ``by`` divides ``dim`` in every case of what decisions settle; ``None`` where nobody can tell."""
    rest = _remainders(dim, by)
    return None if rest is None else not isinstance(rest, Cases) and not rest


def undivided(dim: Dim, by: Dim) -> Counterexample | None:
    """Decided symbols for which ``by`` does not divide ``dim``; ``None`` where none are known."""
    rest = _remainders(dim, by)
    return None if rest is None else cases.example(rest)


def _remainders(dim: Dim, by: Dim) -> Cases | cases.Number | None:
    """1 where ``by`` leaves a remainder, among the cases that decisions can give."""
    try:
        x, y = as_cases(dim), as_cases(by)
        if x is None or y is None:
            return None
        rest = cases.merge(_remains, x, y)
        if not isinstance(rest, Cases):
            return rest
        return cases.merge(cases.truths, rest, cases.possible(rest.symbols))
    except cases.TooManyCases:
        return None


def _remains(a: int | Fraction, b: int | Fraction) -> int:
    return int(bool(b and Fraction(a) % b))


def _one_sign(difference: Poly) -> bool:
    """Whether every term is positive, or every term negative: sizes are positive, so such a sum is never zero."""
    atoms = [atom for monomial, _ in difference.terms for atom, _ in monomial]
    if any(map(_may_be_zero, atoms)):
        return False
    return len({c > 0 for _, c in difference.terms}) == 1


def _may_be_zero(atom: Atom) -> bool:
    """Whether an atom is no positive number by itself: presence, what decisions settle, quotients rounded down."""
    if isinstance(atom, Cases):
        return True
    if isinstance(atom, Symbol):
        return atom.part is not None
    inside = (inner for arg in atom.args if isinstance(arg, Poly) for monomial, _ in arg.terms for inner, _ in monomial)
    return atom.fn in ("floor_div", "mod") or any(map(_may_be_zero, inside))


def same(a: Dim, b: Dim, given: Dim = 1) -> bool | None:
    """Whether two sizes are equal: ``True``, ``False``, or ``None`` where it depends on symbols or is unknown.

    What decisions settle is told exactly, over the cases where ``given`` is not zero; ``False``
    means unequal in every case.
    """
    difference = a - b
    if difference == 0:
        return True
    if isinstance(difference, int) or _one_sign(difference):
        return False
    if violation(difference, "==", 0, given) is None:
        return True
    never = violation(difference, "!=", 0, given)
    return False if never is None else None


def violation(left: Dim, op: str, right: Dim, given: Dim = 1) -> Counterexample | None:
    """Decided symbols under which ``left op right`` does not hold though ``given`` is not zero; ``None`` if it holds.

    An empty counterexample: nothing is known, as free sizes of inputs enter or there are too many cases.
    """
    try:
        x, y, care = as_cases(left), as_cases(right), as_cases(given)
        if x is None or y is None or care is None:
            return {}
        wrong = cases.merge(_BROKEN[op], x, y)
        wrong = cases.merge(cases.truths, care, wrong, zero=True)
        if not isinstance(wrong, Cases):
            return {} if wrong else None
        wrong = cases.merge(cases.truths, wrong, cases.possible(wrong.symbols))
        return cases.example(wrong)
    except cases.TooManyCases:
        return {}


_BROKEN: Mapping[str, Callable[[int | Fraction, int | Fraction], bool]] = {
    "==": operator.ne,
    "!=": operator.eq,
    "<=": operator.gt,
    ">=": operator.lt,
    "<": operator.ge,
    ">": operator.le,
}
"""When a comparison does not hold."""
