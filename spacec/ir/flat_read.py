"""Reads flat graphs from their text (:mod:`spacec.ir.flat_text`): ``read_flat(flat_text(g), ops) == g``, places in the
source apart.

Node numbers of the text are names: they may have gaps, so long as each node comes before what reads it. A line may end
in a comment (``;``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NoReturn, TypeVar, cast, get_args

from spacec.ir.cases import Branch, Cases, Number
from spacec.ir.conditions import ALWAYS, NEVER, All, Any, Cond, Has, Is
from spacec.ir.dims import Apply, Dim, Poly, poly, scaled
from spacec.ir.flat import (
    Edge,
    FlatCall,
    FlatChoose,
    FlatEntry,
    FlatGraph,
    FlatInput,
    FlatMeet,
    FlatMix,
    FlatNode,
    FlatOp,
    FlatSwitch,
    Gate,
    Term,
)
from spacec.ir.naming import DECISION
from spacec.ir.ops import OPEN, REQUIRED, AttrValue, OpSpec, OpTable, Precondition
from spacec.ir.symbol import Symbol
from spacec.ir.types import Kind, TensorType

_TOKEN = re.compile(
    r"""\s*(?:(?P<node>%\d+)|(?P<case>\$\d+)|(?P<text>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*(?:\.\w+|\[\d+\])*)|(?P<sign>[^\s\w]))""",
    re.ASCII,
)
_FUNCTIONS = frozenset(("ceil_div", "floor_div", "mod", "max", "min", "round_to"))
_KINDS = frozenset(get_args(Kind)) - {"dense"}

T = TypeVar("T")


class FlatTextError(ValueError):
    """Why a text is no flat graph, with the number of its line."""


def read_flat(text: str, ops: OpTable) -> FlatGraph:
    """The graph that a text writes down. Raises :class:`FlatTextError`."""
    reading = _Reading(ops)
    for number, line in enumerate(text.splitlines(), 1):
        cursor = _Cursor(line, number)
        if not cursor.ended():
            reading.line(cursor)
            if not cursor.ended():
                cursor.fail("more than the line needs")
    return reading.graph()


class _Cursor:
    """The tokens of one line."""

    def __init__(self, line: str, number: int) -> None:
        self.number = number
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while found := _TOKEN.match(line, at):
            kind = found.lastgroup or ""
            if found[kind] == ";":
                break
            self.tokens.append((kind, found[kind]))
            at = found.end()
        self.at = 0

    def fail(self, what: str) -> NoReturn:
        found = self.tokens[self.at][1] if not self.ended() else "the end of the line"
        raise FlatTextError(f"line {self.number}: {what}, at {found}")

    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these, unquoted."""
        return not self.ended() and self.tokens[self.at][0] != "text" and self.tokens[self.at][1] in texts

    def accept(self, *texts: str) -> bool:
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            self.fail(f"`{text}` is missing")

    def kind(self) -> str:
        return "" if self.ended() else self.tokens[self.at][0]

    def take(self, kind: str) -> str:
        if self.kind() != kind:
            self.fail(f"a {kind} is missing")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def name(self) -> str:
        if self.kind() == "text":
            return cast(str, json.loads(self.take("text")))
        return self.take("name")

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        text = self.take("number")
        if not text.isdigit():
            self.fail("a whole number is missing")
        return sign * int(text)

    def several(self, read: Callable[[], T], close: str) -> list[T]:
        """What ``read`` gives, between commas, up to ``close``."""
        found: list[T] = []
        while not self.accept(close):
            if found:
                self.expect(",")
                if self.accept(close):
                    break
            found.append(read())
        return found


@dataclass
class _Reading:
    """What the lines so far said."""

    ops: OpTable
    name: str = ""
    inputs: tuple[str, ...] = ()
    nodes: list[FlatNode] = field(default_factory=list)
    place: dict[str, int] = field(default_factory=dict)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    diagrams: dict[str, Cases] = field(default_factory=dict)
    needs: list[Precondition] = field(default_factory=list)
    entries: list[FlatEntry] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)

    def graph(self) -> FlatGraph:
        return FlatGraph(
            self.name, tuple(self.nodes), self.inputs, self.outputs, tuple(self.needs), tuple(self.entries)
        )

    def line(self, at: _Cursor) -> None:
        if at.kind() == "node":
            number = at.take("node")
            at.expect("=")
            node = self.node(at)
            if number in self.place:
                at.fail(f"{number} is there twice")
            self.place[number] = len(self.nodes)
            self.nodes.append(node)
            return
        match at.take("name"):
            case "graph":
                self.name = at.name()
                at.expect("(")
                self.inputs = tuple(at.several(at.name, ")"))
            case "size":
                self.declare(at)
            case "cases":
                self.diagram(at)
            case "require":
                dim = self.size(at)
                at.expect("%")
                self.needs.append(Precondition(dim, at.integer()))
            case "entry":
                at.integer()
                at.expect("=")
                name = at.name()
                at.expect("(")
                self.entries.append(FlatEntry(name, tuple(at.several(lambda: self.call(at), ")"))))
            case "output":
                name = at.name()
                at.expect("=")
                self.outputs[name] = self.source(at)
            case word:
                at.fail(f"`{word}` begins no line")

    def declare(self, at: _Cursor) -> None:
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

    def next_integer(self, at: _Cursor) -> int:
        at.expect(",")
        return at.integer()

    def diagram(self, at: _Cursor) -> None:
        number = at.take("case")
        at.expect("over")
        over = at.several(lambda: self.symbol(at), "=")
        nodes: list[Number | Branch] = []
        while not at.ended():
            if nodes:
                at.expect(",")
            nodes.append(tuple(at.several(at.integer, ")")) if at.accept("(") else self.number(at))
        self.diagrams[number] = Cases(tuple(over), tuple(nodes))

    def number(self, at: _Cursor) -> Number:
        whole = at.integer()
        return Fraction(whole, at.integer()) if at.accept("/") else whole

    # Nodes -----------------------------------------------------------------------------------------

    def node(self, at: _Cursor) -> FlatNode:
        match at.kind(), at.name():
            case "name", "input":
                name = at.name()
                at.expect(":")
                return FlatInput(name, self.type(at))
            case "name", "choose":
                return self.choose(at)
            case "name", "switch":
                return self.switch(at)
            case "name", "meet":
                sources = tuple(self.sources(at))
                at.expect("entry")
                at.expect("=")
                entry = at.integer()
                at.expect(":")
                return FlatMeet(entry, sources, self.type(at), self.guard(at))
            case "name", "mix":
                at.expect("(")
                terms = tuple(at.several(lambda: self.term(at), ")"))
                at.expect(":")
                return FlatMix(terms, self.type(at), self.guard(at))
            case _, name:
                return self.op(at, name)

    def op(self, at: _Cursor, name: str) -> FlatOp:
        spec = self.ops.get(name)
        if spec is None:
            at.fail(f"no op is called `{name}`")
        inputs, given = tuple(self.sources(at)), {}
        while not at.accept(":"):
            key = at.name()
            at.expect("=")
            given[key] = self.value(at)
        attrs, type_ = _complete(at, spec, given), self.type(at)
        key = ""
        if at.accept("key"):
            at.expect("=")
            key = at.name()
        parts: tuple[str, ...] = ()
        if at.accept("parts"):
            at.expect("=")
            at.expect("(")
            parts = tuple(at.several(at.name, ")"))
        frozen = at.accept("frozen")
        return FlatOp(spec, attrs, inputs, type_, key, self.guard(at), frozen=frozen, parts=parts)

    def choose(self, at: _Cursor) -> FlatChoose:
        at.expect("(")
        alternatives = tuple(at.several(lambda: self.alternative(at), ")"))
        at.expect("slot")
        at.expect("=")
        slot = at.name()
        at.expect("instance")
        at.expect("=")
        instance, edge, bypass = at.name(), None, None
        if at.accept("edge"):
            at.expect("=")
            edge = Edge(*self.activation(at), at.integer())
        if at.accept("bypass"):
            at.expect("=")
            bypass = self.source(at)
        at.expect(":")
        type_ = self.type(at)
        return FlatChoose(slot, alternatives, type_, instance, self.guard(at), edge=edge, bypass=bypass)

    def switch(self, at: _Cursor) -> FlatSwitch:
        def option() -> tuple[int | None, Cond]:
            alternative = self.alternative(at)
            at.expect("if")
            return alternative, self.condition(at)

        at.expect("(")
        options = at.several(option, ")")
        at.expect(":")
        type_ = self.type(at)
        return FlatSwitch(tuple(a for a, _ in options), tuple(c for _, c in options), type_, self.guard(at))

    def term(self, at: _Cursor) -> Term:
        source, first, norm, gates = self.source(at), 0, "", []
        if at.accept("from"):
            first = at.integer()
        if at.accept("norm"):
            at.expect("=")
            norm = at.name()
        while at.accept("by"):
            slot, instance = self.activation(at)
            gates.append(Gate(slot, instance, None if at.accept("*") else at.integer()))
        return Term(source, tuple(gates), first, norm)

    def call(self, at: _Cursor) -> FlatCall:
        at.expect("from")
        caller = None if at.accept("none") else at.integer()
        at.expect("if")
        return FlatCall(caller, self.condition(at))

    def activation(self, at: _Cursor) -> tuple[str, str]:
        slot = at.name()
        at.expect("@")
        instance = at.name()
        at.expect("=")
        return slot, instance

    def sources(self, at: _Cursor) -> list[int]:
        at.expect("(")
        return at.several(lambda: self.source(at), ")")

    def alternative(self, at: _Cursor) -> int | None:
        return None if at.accept("none") else self.source(at)

    def source(self, at: _Cursor) -> int:
        number = at.take("node")
        if number not in self.place:
            at.fail(f"{number} is not there yet")
        return self.place[number]

    # Conditions ------------------------------------------------------------------------------------

    def guard(self, at: _Cursor) -> Cond:
        return self.condition(at) if at.accept("when") else ALWAYS

    def condition(self, at: _Cursor) -> Cond:
        parts = [self.part(at)]
        for word, join in (("and", All), ("or", Any)):
            if at.sees(word):
                while at.accept(word):
                    parts.append(self.part(at))
                return join(frozenset(parts))
        return parts[0]

    def part(self, at: _Cursor) -> Cond:
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

    def decision(self, at: _Cursor) -> Hashable:
        name = at.name()
        return (name, at.name()) if at.accept("@") else name

    # Types and sizes -------------------------------------------------------------------------------

    def type(self, at: _Cursor) -> TensorType:
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

    def value(self, at: _Cursor) -> AttrValue:
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

    def size(self, at: _Cursor) -> Dim:
        total: Dim = self.product(at)
        while at.sees("+", "-"):
            sign = -1 if at.accept("-") else 1
            if sign == 1:
                at.expect("+")
            total = total + sign * self.product(at)
        return total

    def product(self, at: _Cursor) -> Dim:
        found: Dim = -1 if at.accept("-") else 1
        found = found * self.power(at)
        while at.sees("*", "/"):
            found = found * self.power(at) if at.accept("*") else self.divided(at, found)
        return found

    def divided(self, at: _Cursor, dim: Dim) -> Dim:
        at.expect("/")
        by = at.integer()
        if isinstance(dim, Poly):
            return scaled(dim, by)
        share = Fraction(dim, by)
        return int(share) if share.denominator == 1 else Poly((((), share),))

    def power(self, at: _Cursor) -> Dim:
        found = self.atom(at)
        return found ** at.integer() if at.accept("^") else found

    def atom(self, at: _Cursor) -> Dim:
        if at.kind() == "number":
            return at.integer()
        if at.kind() == "case":
            return poly(self.diagrams[at.take("case")])
        if at.sees(*_FUNCTIONS) and at.tokens[at.at + 1 : at.at + 2] == [("sign", "(")]:
            name = at.take("name")
            at.expect("(")
            return poly(Apply(name, tuple(at.several(lambda: self.size(at), ")"))))  # type: ignore[arg-type]  # one of them
        return poly(self.symbol(at))

    def symbol(self, at: _Cursor) -> Symbol:
        key = at.name()
        key = f"{key}#{at.integer()}" if at.accept("#") else key
        if key not in self.symbols:
            at.fail(f"the size `{key}` is not declared")
        return self.symbols[key]


def _complete(at: _Cursor, spec: OpSpec, given: dict[str, AttrValue]) -> dict[str, AttrValue]:
    """Every parameter in order, with what the text gives or its default; then what is no parameter."""
    attrs: dict[str, AttrValue] = {}
    for param in spec.params:
        if param.name in given:
            attrs[param.name] = given.pop(param.name)
        elif param.default is REQUIRED or param.default is OPEN:
            at.fail(f"`{spec.name}` needs {param.name}")
        else:
            attrs[param.name] = cast(AttrValue, param.default)
    return {**attrs, **given}
