"""Reads the sizes, types, conditions and attributes in a flat graph's text (:mod:`spacec.ir.flat_read`)."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast, get_args

from spacec.ir.cases import Branch, Cases, Number
from spacec.ir.conditions import ALWAYS, NEVER, All, Any, Cond, Has, Is
from spacec.ir.dims import Apply, Dim, Poly, poly, scaled
from spacec.ir.flat_cursor import Cursor
from spacec.ir.naming import DECISION
from spacec.ir.ops import AttrValue
from spacec.ir.symbol import Symbol
from spacec.ir.types import Kind, TensorType

MAX_POWER = 1_000
_FUNCTIONS = frozenset(("ceil_div", "floor_div", "mod", "max", "min", "round_to"))
_KINDS = frozenset(get_args(Kind)) - {"dense"}


@dataclass
class Values:
    """``symbols`` and ``diagrams`` that the lines so far declared, by name."""

    symbols: dict[str, Symbol] = field(default_factory=dict)
    diagrams: dict[str, Cases] = field(default_factory=dict)

    def declare(self, at: Cursor) -> None:
        name, part, limits, domain = at.name(), None, (1, 0, 1), None
        if at.accept("part"):
            part = at.integer()
            at.expect("limits")
            limits = at.integer(), self.next_integer(at), self.next_integer(at)
        if at.accept("in"):
            at.expect("{")
            domain = tuple(at.several(at.integer, "}"))
        at.expect("order")
        ref = None if domain is None else DECISION
        symbol = Symbol(name, domain, ref, part, limits, at.integer())
        self.symbols[symbol.key] = symbol

    def next_integer(self, at: Cursor) -> int:
        at.expect(",")
        return at.integer()

    def diagram(self, at: Cursor) -> None:
        number = at.take("case")
        at.expect("over")
        over = at.several(lambda: self.symbol(at), "=")
        nodes: list[Number | Branch] = []
        while not at.ended():
            if nodes:
                at.expect(",")
            nodes.append(tuple(at.several(at.integer, ")")) if at.accept("(") else self.number(at))
        self.diagrams[number] = Cases(tuple(over), tuple(nodes))

    def number(self, at: Cursor) -> Number:
        whole = at.integer()
        return Fraction(whole, at.integer()) if at.accept("/") else whole

    # Conditions ------------------------------------------------------------------------------------

    def guard(self, at: Cursor) -> Cond:
        return self.condition(at) if at.accept("when") else ALWAYS

    def condition(self, at: Cursor) -> Cond:
        parts = [self.part(at)]
        for word, join in (("and", All), ("or", Any)):
            if at.sees(word):
                while at.accept(word):
                    parts.append(self.part(at))
                return join(frozenset(parts))
        return parts[0]

    def part(self, at: Cursor) -> Cond:
        if at.accept("("):
            inner = self.condition(at)
            at.expect(")")
            return inner
        if at.accept("always"):
            return ALWAYS
        if at.accept("never"):
            return NEVER
        if at.kind() == "number":
            element = at.integer()
            at.expect("in")
            return Has(self.decision(at), element)
        decision = self.decision(at)
        at.expect("=")
        candidates = [at.integer()]
        while at.accept("/"):
            candidates.append(at.integer())
        return Is(decision, frozenset(candidates))

    def decision(self, at: Cursor) -> Hashable:
        name = at.name()
        return (name, at.name()) if at.accept("@") else name

    # Types and sizes -------------------------------------------------------------------------------

    def type(self, at: Cursor) -> TensorType:
        if at.accept("["):
            channels, *space = at.several(lambda: self.size(at), "]")
            return TensorType(channels, tuple(space))
        kind = at.take("name")
        if kind not in _KINDS:
            at.fail(f"`{kind}` is no kind of tensor")
        at.expect("(")
        channels = self.size(at)
        at.expect(")")
        dims = tuple(at.several(lambda: self.size(at), "]")) if at.accept("[") else ()
        return TensorType(channels, dims, cast(Kind, kind))

    def value(self, at: Cursor) -> AttrValue:
        if at.kind() == "text":
            return cast(str, json.loads(at.take("text")))
        if at.accept("("):
            return tuple(at.several(lambda: self.value(at), ")"))
        if at.accept("{"):
            dim = self.size(at)
            at.expect("}")
            return dim
        for word, value in (("none", None), ("true", True), ("false", False)):
            if at.accept(word):
                return value
        sign = -1 if at.accept("-") else 1
        if at.sees("inf", "nan"):
            return sign * float(at.take("name"))
        text = at.take("number")
        return sign * (int(text) if text.isdigit() else float(text))

    def size(self, at: Cursor) -> Dim:
        total: Dim = self.product(at)
        while at.sees("+", "-"):
            sign = -1 if at.accept("-") else 1
            if sign == 1:
                at.expect("+")
            total = total + sign * self.product(at)
        return total

    def product(self, at: Cursor) -> Dim:
        found: Dim = -1 if at.accept("-") else 1
        found = found * self.power(at)
        while at.sees("*", "/"):
            found = found * self.power(at) if at.accept("*") else self.divided(at, found)
        return found

    def divided(self, at: Cursor, dim: Dim) -> Dim:
        at.expect("/")
        by = at.integer()
        if isinstance(dim, Poly):
            return scaled(dim, by)
        share = Fraction(dim, by)
        return int(share) if share.denominator == 1 else Poly((((), share),))

    def power(self, at: Cursor) -> Dim:
        found = self.atom(at)
        if not at.accept("^"):
            return found
        exponent = at.integer()
        if exponent > MAX_POWER:
            at.fail(f"a power beyond {MAX_POWER}")
        return found**exponent

    def atom(self, at: Cursor) -> Dim:
        if at.kind() == "number":
            return at.integer()
        if at.kind() == "case":
            return poly(self.diagrams[at.take("case")])
        if at.sees(*_FUNCTIONS) and at.tokens[at.at + 1 : at.at + 2] == [("sign", "(")]:
            name = at.take("name")
            at.expect("(")
            return poly(Apply(name, tuple(at.several(lambda: self.size(at), ")"))))  # type: ignore[arg-type]  # one of them
        return poly(self.symbol(at))

    def symbol(self, at: Cursor) -> Symbol:
        key = at.name()
        key = f"{key}#{at.integer()}" if at.accept("#") else key
        if key not in self.symbols:
            at.fail(f"the size `{key}` is not declared")
        return self.symbols[key]
