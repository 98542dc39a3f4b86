"""The parser's actions: one method per rule or alias of space.lark, from children to a node.

Assumes the shapes that the grammar guarantees. Findings that a grammar cannot state (what may stand left of ``=``,
two statements on one line) go to the sink; a node is made all the same.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from spacec.diagnostics.model import Diagnostic, Sink
from spacec.source import SourceFile, Span
from spacec.syntax.ast import (
    Alternatives, Append, Arg, Assign, Attribute, Binary, BinaryOp, Binding, Braces, Call, Candidate, Compare, Dag,
    Default, Expr, File, For, From, Header, If, Index, Inline, Item, ListOf, Name, Net, Number, Param, Pipe, Port,
    Preset, Range, Return, Slice, Spread, Stmt, String, TupleOf, Typed, Unary, Use, Where,
)  # fmt: skip
from spacec.syntax.lexer import Token
from spacec.syntax.numbers import read_number

Bound = tuple[Token, Expr, Expr]


class Builder:
    """Makes the nodes of one file."""

    def __init__(self, source: SourceFile, sink: Sink) -> None:
        self.source = source
        self.sink = sink

    def _error(self, code: str, headline: str, span: Span, label: str, help_: str = "") -> None:
        self.sink.add(Diagnostic(code, headline, span, label, help=help_))

    def _at(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    # -------------------------------------------------------------- top level

    def start(self, span: Span, header: Header | None, *items: Item | None) -> File:
        kept = tuple(item for item in items if item is not None)
        return File(header, kept, span=Span(self.source, 0, len(self.source.text)))

    def item(self, span: Span, item: Item | None) -> Item | None:
        return item

    def broken(self, span: Span, skipped: Token) -> None:
        return None

    def header(self, span: Span, name: Token, params: tuple[Param, ...] | None) -> Header:
        return Header(name.text, params or (), span=span)

    def use(self, span: Span, path: Token) -> Use:
        return Use(_unquoted(path), span=span)

    def direction(self, span: Span, word: Token) -> Token:
        return word

    def port(self, span: Span, direction: Token, name: Token, type_: Expr, guard: Expr | None) -> Port:
        side = cast(Literal["input", "output"], direction.text)
        return Port(side, name.text, type_, guard, name_span=self._at(name), span=span)

    def default(self, span: Span, op: Token, args: tuple[Arg, ...]) -> Default:
        self._named(args, "default")
        return Default(op.text, args, span=span)

    def op(self, span: Span, name: Token) -> Token:
        return name

    def preset(self, span: Span, name: Token, args: tuple[Arg, ...]) -> Preset:
        self._named(args, "preset")
        return Preset(name.text, args, span=span)

    def _named(self, args: tuple[Arg, ...], what: str) -> None:
        for arg in args:
            if arg.name is not None:
                continue
            value = arg.value
            if isinstance(value, Compare) and value.ops == ("==",) and isinstance(value.operands[0], Name):
                name = value.operands[0].id
                self._error("E0115", f"`==` compares; `{what}` sets", value.span, "a comparison", f"write `{name} = …`")
            else:
                self._error("E0115", f"a {what} without a name", arg.span, f"`{what}` takes `name = value`")

    def where(self, span: Span, *conditions: Expr) -> Where:
        return Where(conditions, span=span)

    def net(self, span: Span, value: Expr) -> Net:
        return Net(value, span=span)

    def kind(self, span: Span, word: Token) -> Token:
        return word

    def binding(
        self, span: Span, kind: Token, name: Token, indices: tuple[str, ...] | None,
        params: tuple[Param, ...] | None, within: Token | None, body: Expr,
    ) -> Binding:  # fmt: skip
        word = cast(Literal["def", "let", "tied"], kind.text)
        bound = self._whole(within) if within else None
        return Binding(word, name.text, body, indices or (), params, bound, name_span=self._at(name), span=span)

    def _whole(self, token: Token) -> int:
        number = self.number(self._at(token), token)
        if isinstance(number.value, int) and not number.unit:
            return number.value
        self._error("E0107", f"`within {token.text}` is not a whole number", self._at(token), "a depth, such as 4")
        return 1

    def params(self, span: Span, *params: Param) -> tuple[Param, ...]:
        return params

    def param(self, span: Span, name: Token, default: Expr | None) -> Param:
        return Param(name.text, default, span=span)

    def names(self, span: Span, *names: Token) -> tuple[str, ...]:
        return tuple(name.text for name in names)

    # ------------------------------------------------------------ expressions

    def map(self, span: Span, source: Expr, body: Expr) -> From:
        return From(source, body, span=span)

    def map_bound(self, span: Span, name: Token, source: Expr, body: Expr) -> From:
        self._no_range_call(source)
        return From(source, body, name.text, span=span)

    def pick(self, span: Span, count: Expr | Literal["any"], source: Expr, body: Expr) -> From:
        return From(source, body, None, count, span=span)

    def pick_bound(self, span: Span, count: Expr | Literal["any"], name: Token, source: Expr, body: Expr) -> From:
        self._no_range_call(source)
        return From(source, body, name.text, count, span=span)

    def any_count(self, span: Span) -> str:
        return "any"

    def alternatives(self, span: Span, *candidates: Expr | Candidate) -> Expr:
        if len(candidates) == 1 and not isinstance(candidates[0], Candidate):
            return candidates[0]
        wrapped = tuple(c if isinstance(c, Candidate) else Candidate(c, span=c.span) for c in candidates)
        return Alternatives(wrapped, span=span)

    def candidate(
        self, span: Span, label: Token | None, value: Expr, prior: Expr | None, guard: Expr | None
    ) -> Expr | Candidate:
        if label is None and prior is None and guard is None:
            return value
        return Candidate(value, label.text if label else None, prior, guard, span=span)

    def pipe(self, span: Span, *stages: Expr) -> Pipe:
        return Pipe(stages, span=span)

    def typed(self, span: Span, stage: Expr, type_: Expr) -> Typed:
        return Typed(stage, type_, span=span)

    def _binary(self, op: BinaryOp, span: Span, left: Expr, right: Expr) -> Binary:
        return Binary(op, left, right, span=span)

    def or_(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("or", span, left, right)

    def and_(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("and", span, left, right)

    def add(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("+", span, left, right)

    def subtract(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("-", span, left, right)

    def times(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("*", span, left, right)

    def divide(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("/", span, left, right)

    def floor_divide(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("//", span, left, right)

    def modulo(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("%", span, left, right)

    def raise_(self, span: Span, left: Expr, right: Expr) -> Binary:
        return self._binary("^", span, left, right)

    def not_(self, span: Span, operand: Expr) -> Unary:
        return Unary("not", operand, span=span)

    def negate(self, span: Span, operand: Expr) -> Unary:
        return Unary("-", operand, span=span)

    def comparator(self, span: Span, *words: Token) -> str:
        return " ".join(word.text if word.text in ("in", "not") else word.kind for word in words)

    def comparison(self, span: Span, *parts: Any) -> Compare:
        return Compare(parts[::2], parts[1::2], span=span)

    def call(self, span: Span, callee: Expr, args: tuple[Arg, ...]) -> Call:
        return Call(callee, args, span=span)

    def index(self, span: Span, base: Expr, *items: Expr) -> Index:
        return Index(base, items, span=span)

    def slice(self, span: Span, base: Expr, low: Expr | None, high: Expr | None) -> Slice:
        return Slice(base, low, high, span=span)

    def attribute(self, span: Span, base: Expr, name: Token) -> Attribute:
        return Attribute(base, name.text, span=span)

    def name(self, span: Span, name: Token) -> Name:
        return Name(name.text, span=span)

    def in_name(self, span: Span) -> Name:
        return Name("in", span=span)

    def number(self, span: Span, token: Token) -> Number:
        number = read_number(token.text)
        if number is None:
            self._error("E0107", f"`{token.text[:40]}` is not a number", span, "digits, then K, M, G, us, ms, s or nothing")
            return Number(0, token.text, span=span)
        value, unit = number
        return Number(value, token.text, unit, span=span)

    def string(self, span: Span, token: Token) -> String:
        return String(_unquoted(token), span=span)

    def tuple(self, span: Span, *items: Expr) -> TupleOf:
        return TupleOf(items, span=span)

    def list(self, span: Span, *items: Expr) -> ListOf:
        return ListOf(items, span=span)

    def braces(self, span: Span, *items: Expr) -> Braces:
        return Braces(items, span=span)

    def elastic(self, span: Span, value: Expr) -> Expr:
        if isinstance(value, Braces) and not value.elastic:
            return Braces(value.items, True, span=span)
        self._error("E0119", "`elastic` without a choice of values", value.span, "expected braces, such as {16, 32}")
        return value

    def binder(self, span: Span, word: Token) -> Token:
        return word

    def inline(self, span: Span, binder: Token, value: Expr) -> Inline:
        return Inline(cast(Literal["let", "tied"], binder.text), value, span=span)

    def dag(self, span: Span, params: tuple[str, ...] | None, body: tuple[Stmt, ...]) -> Dag:
        return Dag(params or (), body, span=span)

    def range(self, span: Span, low: Expr, high: Expr) -> Range:
        return Range(low, high, span=span)

    def spread(self, span: Span, value: Expr) -> Spread:
        return Spread(value, span=span)

    def args(self, span: Span, *args: Arg) -> tuple[Arg, ...]:
        return args

    def arg(self, span: Span, first: Token | Expr | None, *rest: Expr) -> Arg:
        """``[None, value]``, ``[name, value]``, or ``[spread]``."""
        if not rest:
            return Arg(cast(Expr, first), span=span)
        return Arg(rest[0], first.text if isinstance(first, Token) else None, span=span)

    # ------------------------------------------------------------- statements

    def block(self, span: Span, *statements: Stmt | None) -> tuple[Stmt, ...]:
        kept = tuple(s for s in statements if s is not None)
        for before, after in zip(kept, kept[1:], strict=False):
            between = self.source.text[before.span.end - 1 : after.span.start]
            if between[0] != "}" and "\n" not in between and ";" not in between:
                label = "a statement begins on a new line or after `;`"
                self._error("E0117", "two statements without `;` between them", after.span, label)
        return kept

    def assign(self, span: Span, targets: tuple[str, ...], *values: tuple[Expr, ...]) -> Assign:
        chained = tuple(tuple(self._target(value) for value in group) for group in values[:-1])
        return Assign((targets, *chained), values[-1], span=span)

    def _target(self, value: Expr) -> str:
        if isinstance(value, Name) and value.id != "in":
            return value.id
        self._error("E0120", "`=` after something that is no name", value.span, "only a name can be bound")
        return "_"

    def append(self, span: Span, target: Token, value: Expr) -> Append:
        return Append(target.text, value, span=span)

    def for_(self, span: Span, name: Token, iterable: Expr, body: tuple[Stmt, ...]) -> For:
        self._no_range_call(iterable)
        return For(name.text, iterable, body, span=span)

    def _no_range_call(self, source: Expr) -> None:
        if isinstance(source, Call) and isinstance(source.callee, Name) and source.callee.id == "range":
            label = "a range is written `0..n-1`, both ends included"
            self._error("E0110", "`range(…)` is not a range here", source.span, label)

    def if_(self, span: Span, condition: Expr, then: tuple[Stmt, ...], orelse: tuple[Stmt, ...] | If | None) -> If:
        return If(condition, then, (orelse,) if isinstance(orelse, If) else orelse or (), span=span)

    def return_(self, span: Span, values: tuple[Expr, ...]) -> Return:
        return Return(values, span=span)

    def values(self, span: Span, *values: Expr) -> tuple[Expr, ...]:
        return values


def _unquoted(token: Token) -> str:
    text = token.text[1:]
    return text[:-1] if text.endswith(token.text[0]) else text
