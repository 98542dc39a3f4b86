"""Random syntax trees: every tree that the parser can make, up to the spans."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from spacec.syntax import ast

COMPARATORS = ["<=", ">=", "==", "!=", "<", ">", "in", "not in"]
BINARIES = ["+", "-", "*", "/", "//", "%", "^", "and", "or"]


class Trees:
    """Makes random nodes. Every part is one level smaller than the whole, so a tree of ``size`` levels ends."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw

    def one(self, choices: list[Any]) -> Any:
        return choices[self.draw(st.integers(0, len(choices) - 1))]

    def some(self, make: Callable[[], Any], least: int = 1, most: int = 3) -> tuple[Any, ...]:
        return tuple(make() for _ in range(self.draw(st.integers(least, most))))

    def maybe(self, make: Callable[[], Any]) -> Any:
        return make() if self.draw(st.booleans()) else None

    def name(self) -> str:
        return self.one([*string.ascii_letters, "any", "_", "conv_3", "nothing", "inner"])

    def names(self) -> tuple[str, ...]:
        return self.some(self.name)

    def leaf(self) -> ast.Expr:
        kind = self.draw(st.integers(0, 9))
        if kind < 5:
            return ast.Name(self.name())
        if kind == 5:
            return ast.Name("in")
        if kind == 6:
            return ast.Number(self.draw(st.floats(0, 1e12)))
        if kind == 7:
            characters = st.characters(exclude_characters='"\n', exclude_categories=["Cs"])
            return ast.String(self.draw(st.text(characters, max_size=4)))
        return ast.Number(self.draw(st.integers(0, 10**12)), unit=self.one(["", "", "us", "ms", "s"]))

    def expression(self, size: int) -> ast.Expr:
        if size == 0:
            return self.leaf()
        makers = [
            self.leaf, self.tuple_of, self.list_of, self.braces, self.call, self.index, self.slice, self.attribute,
            self.unary, self.binary, self.binary, self.compare, self.pipe, self.typed, self.alternatives, self.mapped,
            self.picked, self.inline, self.dag,
        ]  # fmt: skip
        maker = self.one(makers)
        return maker() if maker == self.leaf else maker(size - 1)

    def range(self, size: int) -> ast.Range:
        return ast.Range(self.expression(size), self.expression(size))

    def element(self, size: int) -> ast.Expr:
        kind = self.draw(st.integers(0, 4))
        return self.range(size) if kind == 0 else self.spread(size) if kind == 1 else self.expression(size)

    def spread(self, size: int) -> ast.Spread:
        return ast.Spread(self.expression(size))

    def tuple_of(self, size: int) -> ast.TupleOf:
        return ast.TupleOf(self.some(lambda: self.expression(size), 2))

    def list_of(self, size: int) -> ast.ListOf:
        return ast.ListOf(self.some(lambda: self.element(size), 0))

    def braces(self, size: int) -> ast.Braces:
        return ast.Braces(self.some(lambda: self.element(size)), self.draw(st.booleans()))

    def arg(self, size: int) -> ast.Arg:
        if self.draw(st.integers(0, 4)) == 0:
            return ast.Arg(self.spread(size))
        return ast.Arg(self.expression(size), self.maybe(self.name))

    def call(self, size: int) -> ast.Call:
        return ast.Call(self.expression(size), self.some(lambda: self.arg(size), 0))

    def index(self, size: int) -> ast.Index:
        return ast.Index(
            self.expression(size), self.some(lambda: self.one([self.spread, self.expression, self.expression])(size))
        )

    def slice(self, size: int) -> ast.Slice:
        ends = (self.maybe(lambda: self.expression(size)) for _ in range(2))
        return ast.Slice(self.expression(size), *ends)

    def attribute(self, size: int) -> ast.Attribute:
        return ast.Attribute(self.expression(size), self.one([self.name(), "in", "space"]))

    def unary(self, size: int) -> ast.Unary:
        return ast.Unary(self.one(["-", "not"]), self.expression(size))

    def binary(self, size: int) -> ast.Binary:
        return ast.Binary(self.one(BINARIES), self.expression(size), self.expression(size))

    def compare(self, size: int) -> ast.Compare:
        ops = self.some(lambda: self.one(COMPARATORS), 1, 2)
        return ast.Compare(tuple(self.expression(size) for _ in range(len(ops) + 1)), ops)

    def pipe(self, size: int) -> ast.Pipe:
        return ast.Pipe(self.some(lambda: self.expression(size), 2))

    def typed(self, size: int) -> ast.Typed:
        return ast.Typed(self.expression(size), self.expression(size))

    def candidate(self, size: int, label: str | None) -> ast.Candidate:
        prior, guard = (self.maybe(lambda: self.expression(size)) for _ in range(2))
        return ast.Candidate(self.expression(size), label, prior, guard)

    def alternatives(self, size: int) -> ast.Alternatives:
        if self.draw(st.integers(0, 3)) == 0:
            return ast.Alternatives((self.candidate(size, self.name()),))
        return ast.Alternatives(self.some(lambda: self.candidate(size, self.maybe(self.name)), 2))

    def loop(self, size: int) -> ast.Expr:
        return self.range(size) if self.draw(st.booleans()) else self.expression(size)

    def mapped(self, size: int, count: Any = None) -> ast.From:
        name = self.maybe(self.name)
        source = self.expression(size) if name is None else self.loop(size)
        return ast.From(source, self.expression(size), name, count)

    def picked(self, size: int) -> ast.From:
        return self.mapped(size, "any" if self.draw(st.booleans()) else self.loop(size))

    def inline(self, size: int) -> ast.Inline:
        return ast.Inline(self.one(["let", "tied"]), self.expression(size))

    def dag(self, size: int) -> ast.Dag:
        return ast.Dag(self.one([(), self.names()]), self.body(size))

    def body(self, size: int) -> tuple[ast.Stmt, ...]:
        return self.some(lambda: self.statement(size), 0)

    def statement(self, size: int) -> ast.Stmt:
        kind = self.draw(st.integers(0, 6 if size else 4))
        if kind == 0:
            return ast.Append(self.name(), self.expression(size))
        if kind == 1:
            return ast.Return(self.some(lambda: self.expression(size)))
        if kind == 2:
            return self.binding(size)
        if kind <= 4:
            return ast.Assign(self.some(self.names, 1, 2), self.some(lambda: self.expression(size)))
        if kind == 5:
            return ast.For(self.name(), self.loop(size - 1), self.body(size - 1))
        return ast.If(self.expression(size - 1), self.body(size - 1), self.body(size - 1))

    def param(self, size: int) -> ast.Param:
        return ast.Param(self.name(), self.maybe(lambda: self.expression(size)))

    def binding(self, size: int) -> ast.Binding:
        return ast.Binding(
            self.one(["def", "let", "tied"]),
            self.name(),
            self.expression(size),
            indices=self.one([(), self.names()]),
            params=self.maybe(lambda: self.some(lambda: self.param(size), 0)),
            within=self.maybe(lambda: self.draw(st.integers(0, 99))),
        )

    def settings(self, size: int) -> tuple[ast.Arg, ...]:
        return self.some(lambda: ast.Arg(self.expression(size), self.name()), 0)

    def item(self, size: int) -> ast.Item:
        kind = self.draw(st.integers(0, 7))
        if kind == 0:
            return ast.Use(self.one(["std/x.space", "", "# no comment"]))
        if kind == 1:
            guard = self.maybe(lambda: self.expression(size))
            return ast.Port(self.one(["input", "output"]), self.name(), self.expression(size), guard)
        if kind == 2:
            return ast.Default(self.one([self.name(), "pick"]), self.settings(size))
        if kind == 3:
            return ast.Preset(self.name(), self.settings(size))
        if kind == 4:
            return ast.Where(self.some(lambda: self.expression(size)))
        if kind == 5:
            return ast.Net(self.expression(size))
        return self.binding(size)

    def file(self, size: int) -> ast.File:
        header = self.maybe(lambda: ast.Header(self.name(), self.some(lambda: self.param(size), 0)))
        return ast.File(header, self.some(lambda: self.item(size), 0))


@st.composite
def expressions(draw: Any, size: int = 3) -> ast.Expr:
    """Any expression of at most ``size`` levels below the root."""
    return Trees(draw).expression(size)


@st.composite
def files(draw: Any, size: int = 2) -> ast.File:
    """Any file."""
    return Trees(draw).file(size)
