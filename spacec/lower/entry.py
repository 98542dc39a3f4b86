"""Checks at the entry of a network: what it asks of the sizes of its inputs, as patterns and as Python expressions."""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

from spacec.ir.dims import Apply, Cases, Dim, Monomial, Symbol, poly, symbols
from spacec.ir.flat import FlatGraph, FlatInput
from spacec.ir.ops import Precondition
from spacec.ir.sizes import substitute
from spacec.ir.types import TensorType
from spacec.lower.sizes import Sizes, size_of


def input_pattern(type_: TensorType) -> tuple[object, ...] | None:
    """What :func:`spacec.lower.modules.check_input` expects, or ``None`` for kinds that are not checked."""
    if type_.kind == "graph":
        return None
    dims = type_.dims if type_.kind == "dense" else type_.space
    return tuple(map(_pattern, dims))


def _pattern(dim: Dim) -> object:
    """A number, ``(factor, symbol, offset)``, or ``None`` where the size is not so simple."""
    if isinstance(dim, int):
        return dim
    match dim.terms:
        case ((((Symbol() as s, 1),), int() as factor),) if factor > 0:
            return factor, s.name, 0
        case ((((Symbol() as s, 1),), int() as factor), ((), int() as offset)) if factor > 0:
            return factor, s.name, offset
    return None


@dataclass(frozen=True)
class EntryCheck:
    """``expression % divisor == 0``, over names of sizes that the inputs decide."""

    text: str
    expression: str
    divisor: int


def entry_checks(flat: FlatGraph, sizes: Sizes) -> tuple[EntryCheck, ...]:
    """Preconditions of ``flat`` as Python expressions over ``sizes['H']``, elastic decisions replaced."""
    bound = set()
    for node in flat.nodes:
        for dim in (input_pattern(node.type) or ()) if isinstance(node, FlatInput) else ():
            if isinstance(dim, tuple):
                bound.add(dim[1])
    return tuple(check for p in flat.preconditions if (check := _entry_check(p, sizes, bound)) is not None)


def _entry_check(precondition: Precondition, sizes: Sizes, bound: set[str]) -> EntryCheck | None:
    def replace(symbol: Symbol) -> Dim:
        return size_of(sizes, symbol) if symbol.key in sizes else poly(symbol)

    dim = substitute(precondition.dim, replace)
    if any(s.key not in bound for s in symbols(dim)):
        return None
    if isinstance(dim, int):
        return EntryCheck(str(precondition), str(dim), precondition.divisor)
    scale = lcm(*(c.denominator for _, c in dim.terms))
    terms = [_term(monomial, int(c * scale)) for monomial, c in dim.terms]
    return EntryCheck(str(precondition), " + ".join(terms), precondition.divisor * scale)


def _term(monomial: Monomial, coefficient: int) -> str:
    factors = [f"({coefficient})"] if coefficient < 0 or coefficient != 1 or not monomial else []
    for atom, power in monomial:
        assert not isinstance(atom, Cases), "presence is settled before a network is entered"
        text = f"sizes[{atom.name!r}]" if isinstance(atom, Symbol) else _apply_text(atom)
        factors += [text] * power
    return " * ".join(factors)


def _apply_text(atom: Apply) -> str:
    args = ["(" + _dim_text(a) + ")" for a in atom.args]
    match atom.fn:
        case "ceil_div":
            return f"(-(-{args[0]} // {args[1]}))"
        case "floor_div":
            return f"({args[0]} // {args[1]})"
        case "mod":
            return f"({args[0]} % {args[1]})"
        case "round_to":
            a, n = args
            near = f"max({n}, (2 * {a} + {n}) // (2 * {n}) * {n})"
            return f"({near} + {n} * (10 * {near} < 9 * {a}))"
        case "max" | "min":
            return f"{atom.fn}({', '.join(args)})"


def _dim_text(dim: Dim) -> str:
    """An integer expression; a rational one is floored, as sizes inside an opaque atom are integers."""
    if isinstance(dim, int):
        return str(dim)
    scale = lcm(*(c.denominator for _, c in dim.terms))
    text = " + ".join(_term(m, int(c * scale)) for m, c in dim.terms)
    return text if scale == 1 else f"({text}) // {scale}"
