"""Sizes and labels of the ops of a body, under decisions.

A size is a *share* where picks enter it by a quotient or an extreme. Shares by picks whose elements the graph shows
are not compared: they follow from the graph but for their remainders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from spacec.ir.dims import Cases, Dim, Poly, poly
from spacec.ir.ops import AttrValue
from spacec.ir.sizes import evaluate, substitute
from spacec.ir.symbol import Symbol
from spacec.ir.types import TensorType
from spacec.space.bodies import Decide, NotOpen, OpCode, Open
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import Number, Value, number, symbol_number

FOLLOWS = "*"
"""In a label, a size that is not compared."""


@dataclass(eq=False)
class Sizes:
    """Sizes and labels under decisions."""

    table: DecisionTable
    known: dict[tuple[Dim, tuple[Value | Open | None, ...]], str] = field(default_factory=dict)

    def text(self, dim: Dim, decide: Decide) -> str:
        """A size as text; what an input decides stays a symbol."""
        if isinstance(dim, int):
            return str(dim)
        named = sorted({s.name for s in dim.symbols if s.name in self.table.by_id})
        key = (dim, tuple(map(decide, named)))
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._text(dim, decide)
        return found

    def _text(self, dim: Poly, decide: Decide) -> str:
        if all(s.name in self.table.by_id for s in dim.symbols):
            return str(evaluate(dim, lambda s: self.number(s, decide)))

        def replaced(symbol: Symbol) -> Dim:
            if symbol.name not in self.table.by_id:
                return poly(symbol)
            found = self.number(symbol, decide)
            return found if isinstance(found, int) else Poly((((), found),))

        return str(substitute(dim, replaced))

    def number(self, symbol: Symbol, decide: Decide) -> Number:
        """What a decision contributes; where it is inactive, what makes sizes largest, as in networks."""
        decision = self.table.by_id[symbol.name]
        value = decide(symbol.name)
        if isinstance(value, Open):
            raise NotOpen(symbol.name)
        if value is None and symbol.part is None:
            return largest(decision)
        return symbol_number(decision, value, symbol.part)

    def type_text(self, type_: TensorType, decide: Decide) -> str:
        dims = ", ".join(FOLLOWS if is_share(d) else self.text(d, decide) for d in type_.dims)
        return f"{type_.kind}[{dims}]"

    def label(self, code: OpCode, decide: Decide) -> str:
        """The op and its attributes."""
        return code.label or label_of(code, lambda value: self.value(value, decide))

    def value(self, value: AttrValue, decide: Decide) -> str:
        if isinstance(value, Poly):
            return self.text(value, decide)
        if isinstance(value, tuple):
            return "(" + ", ".join(self.value(v, decide) for v in value) + ")"
        return repr(value) if isinstance(value, str) and value != FOLLOWS else str(value)

    def same_type(self, code: OpCode, decide: Decide) -> bool:
        """Whether the op's output has its one input's type."""
        a, b = code.sources[0], code.type
        if a == b:
            return True
        if a.kind != b.kind or a.rank != b.rank or code.uneven or not a.symbols | b.symbols:
            return False
        return all(self.text(x, decide) == self.text(y, decide) for x, y in zip(a.dims, b.dims, strict=True))


def largest(decision: Decision) -> Number:
    """The number at which the sizes that mention an elastic decision are largest."""
    numbers = [number(decision, k) for k in range(len(decision.labels))]
    return (min if decision.grows is False else max)(numbers, default=Fraction(0))


def label_of(code: OpCode, text: Callable[[AttrValue], str]) -> str:
    attrs = ", ".join(f"{name}={text(value)}" for name, value in code.attrs.items())
    return f"{code.op.spec.name}({attrs}){' frozen' if code.frozen else ''}"


def dims_of(value: AttrValue) -> Iterator[Poly]:
    if isinstance(value, Poly):
        yield value
    elif isinstance(value, tuple):
        for inner in value:
            yield from dims_of(inner)


def is_share(dim: Dim) -> bool:
    """Whether a size is a share: a quotient or an extreme that presence enters."""
    return not isinstance(dim, int) and any(isinstance(a, Cases) for monomial, _ in dim.terms for a, _ in monomial)


def shares(value: AttrValue, seen: frozenset[str]) -> bool:
    """Whether a value is a share by picks whose elements the graph shows: such a size is not compared."""
    return any(is_share(d) and all(s.name in seen for s in d.symbols if s.part is not None) for d in dims_of(value))
