"""The parser's actions: one method per rule or alias of space.lark, from children to a node.

Assumes the shapes that the grammar guarantees. Findings that a grammar cannot state (what may stand left of ``=``,
two statements on one line) go to the sink; a node is made all the same.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, cast

from spacec.diagnostics.model import Diagnostic, Sink
from spacec.source import SourceFile, Span
from spacec.syntax import ast
from spacec.syntax.lexer import Token
from spacec.syntax.numbers import read_number

_NUMBER_FORM = "digits, then K, M, G, us, ms, s or nothing"


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

    def start(self, span: Span, header: ast.Header | None, *items: ast.Item | None) -> ast.File:
        kept = tuple(item for item in items if item is not None)
        return ast.File(header, kept, span=Span(self.source, 0, len(self.source.text)))

    def item(self, span: Span, item: ast.Item | None) -> ast.Item | None:
        return item

    def broken(self, span: Span, skipped: Token) -> None:
        return None

    def header(self, span: Span, name: Token, params: tuple[ast.Param, ...] | None) -> ast.Header:
        return ast.Header(name.text, params or (), span=span)

    def use(self, span: Span, path: Token, args: tuple[ast.Arg, ...] | None) -> ast.Use:
        self._named(args or (), "use")
        return ast.Use(_unquoted(path), args or (), span=span)

    def direction(self, span: Span, word: Token) -> Token:
        return word

    def port(self, span: Span, direction: Token, name: Token, type_: ast.Expr, guard: ast.Expr | None) -> ast.Port:
        side = cast(Literal["input", "output"], direction.text)
        return ast.Port(side, name.text, type_, guard, name_span=self._at(name), span=span)

    def default(self, span: Span, op: Token, args: tuple[ast.Arg, ...]) -> ast.Default:
        self._named(args, "default")
        return ast.Default(op.text, args, span=span)

    def op(self, span: Span, name: Token) -> Token:
        return name

    def preset(self, span: Span, name: Token, args: tuple[ast.Arg, ...]) -> ast.Preset:
        self._named(args, "preset")
        return ast.Preset(name.text, args, span=span)

    def _named(self, args: tuple[ast.Arg, ...], what: str) -> None:
        for arg in args:
            if arg.name is not None:
                continue
            value = arg.value
            if isinstance(value, ast.Compare) and value.ops == ("==",) and isinstance(value.operands[0], ast.Name):
                name = value.operands[0].id
                self._error("E0115", f"`==` compares; `{what}` sets", value.span, "a comparison", f"write `{name} = …`")
            else:
                self._error("E0115", f"a {what} without a name", arg.span, f"`{what}` takes `name = value`")

    def where(self, span: Span, *conditions: ast.Expr) -> ast.Where:
        return ast.Where(conditions, span=span)

    def net(self, span: Span, value: ast.Expr) -> ast.Net:
        return ast.Net(value, span=span)

    def kind(self, span: Span, word: Token) -> Token:
        return word

    def binding(
        self, span: Span, kind: Token, name: Token, indices: tuple[str, ...] | None,
        params: tuple[ast.Param, ...] | None, within: Token | None, body: ast.Expr,
    ) -> ast.Binding:  # fmt: skip
        word = cast(Literal["def", "let", "tied"], kind.text)
        bound = self._whole(within) if within else None
        return ast.Binding(word, name.text, body, indices or (), params, bound, name_span=self._at(name), span=span)

    def _whole(self, token: Token) -> int:
        number = self.number(self._at(token), token)
        if isinstance(number.value, int) and not number.unit:
            return number.value
        self._error("E0107", f"`within {token.text}` is not a whole number", self._at(token), "a depth, such as 4")
        return 1

    def params(self, span: Span, *params: ast.Param) -> tuple[ast.Param, ...]:
        return params

    def param(self, span: Span, name: Token, default: ast.Expr | None) -> ast.Param:
        return ast.Param(name.text, default, span=span)

    def names(self, span: Span, *names: Token) -> tuple[str, ...]:
        return tuple(name.text for name in names)

    # ------------------------------------------------------------ expressions

    def mapped(self, span: Span, source: ast.Expr, body: ast.Expr) -> ast.From:
        return ast.From(source, body, span=span)

    def mapped_bound(self, span: Span, name: Token, source: ast.Expr, body: ast.Expr) -> ast.From:
        self._no_range_call(source)
        return ast.From(source, body, name.text, span=span)

    def pick(self, span: Span, count: ast.Expr | Literal["any"], source: ast.Expr, body: ast.Expr) -> ast.From:
        return ast.From(source, body, None, count, span=span)

    def pick_bound(
        self, span: Span, count: ast.Expr | Literal["any"], name: Token, source: ast.Expr, body: ast.Expr
    ) -> ast.From:
        self._no_range_call(source)
        return ast.From(source, body, name.text, count, span=span)

    def any_count(self, span: Span) -> str:
        return "any"

    def alternatives(self, span: Span, *candidates: ast.Expr | ast.Candidate) -> ast.Expr:
        if len(candidates) == 1 and not isinstance(candidates[0], ast.Candidate):
            return candidates[0]
        wrapped = tuple(c if isinstance(c, ast.Candidate) else ast.Candidate(c, span=c.span) for c in candidates)
        return ast.Alternatives(wrapped, span=span)

    def candidate(
        self, span: Span, label: Token | None, value: ast.Expr, prior: ast.Expr | None, guard: ast.Expr | None
    ) -> ast.Expr | ast.Candidate:
        if label is None and prior is None and guard is None:
            return value
        return ast.Candidate(value, label.text if label else None, prior, guard, span=span)

    def pipe(self, span: Span, *stages: ast.Expr) -> ast.Pipe:
        return ast.Pipe(stages, span=span)

    def typed(self, span: Span, stage: ast.Expr, type_: ast.Expr) -> ast.Typed:
        return ast.Typed(stage, type_, span=span)

    def _binary(self, op: ast.BinaryOp, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return ast.Binary(op, left, right, span=span)

    def or_(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("or", span, left, right)

    def and_(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("and", span, left, right)

    def add(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("+", span, left, right)

    def subtract(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("-", span, left, right)

    def times(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("*", span, left, right)

    def divide(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("/", span, left, right)

    def floor_divide(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("//", span, left, right)

    def modulo(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("%", span, left, right)

    def raise_(self, span: Span, left: ast.Expr, right: ast.Expr) -> ast.Binary:
        return self._binary("^", span, left, right)

    def not_(self, span: Span, operand: ast.Expr) -> ast.Unary:
        return ast.Unary("not", operand, span=span)

    def negate(self, span: Span, operand: ast.Expr) -> ast.Unary:
        return ast.Unary("-", operand, span=span)

    def comparator(self, span: Span, *words: Token) -> str:
        return " ".join(word.text if word.text in ("in", "not") else word.kind for word in words)

    def comparison(self, span: Span, *parts: Any) -> ast.Compare:
        return ast.Compare(parts[::2], parts[1::2], span=span)

    def call(self, span: Span, callee: ast.Expr, args: tuple[ast.Arg, ...]) -> ast.Call:
        return ast.Call(callee, args, span=span)

    def index(self, span: Span, base: ast.Expr, *items: ast.Expr) -> ast.Index:
        return ast.Index(base, items, span=span)

    def sliced(self, span: Span, base: ast.Expr, low: ast.Expr | None, high: ast.Expr | None) -> ast.Slice:
        return ast.Slice(base, low, high, span=span)

    def attribute(self, span: Span, base: ast.Expr, name: Token) -> ast.Attribute:
        return ast.Attribute(base, name.text, span=span)

    def name(self, span: Span, name: Token) -> ast.Name:
        return ast.Name(name.text, span=span)

    def in_name(self, span: Span) -> ast.Name:
        return ast.Name("in", span=span)

    def number(self, span: Span, token: Token) -> ast.Number:
        number = read_number(token.text)
        if number is None:
            self._error("E0107", f"`{token.text[:40]}` is not a number", span, _NUMBER_FORM)
            return ast.Number(0, token.text, span=span)
        value, unit = number
        return ast.Number(value, token.text, unit, span=span)

    def string(self, span: Span, token: Token) -> ast.String:
        return ast.String(_unquoted(token), span=span)

    def tuple_of(self, span: Span, *items: ast.Expr) -> ast.TupleOf:
        return ast.TupleOf(items, span=span)

    def list_of(self, span: Span, *items: ast.Expr) -> ast.ListOf:
        return ast.ListOf(items, span=span)

    def braces(self, span: Span, *items: ast.Expr) -> ast.Braces:
        return ast.Braces(items, span=span)

    def elastic(self, span: Span, value: ast.Expr) -> ast.Expr:
        if isinstance(value, ast.Braces) and not value.elastic:
            return ast.Braces(value.items, True, span=span)
        self._error("E0119", "`elastic` without a choice of values", value.span, "expected braces, such as {16, 32}")
        return value

    def binder(self, span: Span, word: Token) -> Token:
        return word

    def inline(self, span: Span, binder: Token, value: ast.Expr) -> ast.Inline:
        return ast.Inline(cast(Literal["let", "tied"], binder.text), value, span=span)

    def dag(self, span: Span, params: tuple[str, ...] | None, body: tuple[ast.Stmt, ...]) -> ast.Dag:
        return ast.Dag(params or (), body, span=span)

    def interval(self, span: Span, low: ast.Expr, high: ast.Expr) -> ast.Range:
        return ast.Range(low, high, span=span)

    def spread(self, span: Span, value: ast.Expr) -> ast.Spread:
        return ast.Spread(value, span=span)

    def args(self, span: Span, *args: ast.Arg) -> tuple[ast.Arg, ...]:
        return args

    def arg(self, span: Span, first: Token | ast.Expr | None, *rest: ast.Expr) -> ast.Arg:
        """``[None, value]``, ``[name, value]``, or ``[spread]``."""
        if not rest:
            return ast.Arg(cast(ast.Expr, first), span=span)
        return ast.Arg(rest[0], first.text if isinstance(first, Token) else None, span=span)

    # ------------------------------------------------------------- statements

    def block(self, span: Span, *statements: ast.Stmt | None) -> tuple[ast.Stmt, ...]:
        kept = tuple(s for s in statements if s is not None)
        for before, after in pairwise(kept):
            between = self.source.text[before.span.end - 1 : after.span.start]
            if between[0] != "}" and "\n" not in between and ";" not in between:
                label = "a statement begins on a new line or after `;`"
                self._error("E0117", "two statements without `;` between them", after.span, label)
        return kept

    def assign(self, span: Span, targets: tuple[str, ...], *values: tuple[ast.Expr, ...]) -> ast.Assign:
        chained = tuple(tuple(self._target(value) for value in group) for group in values[:-1])
        return ast.Assign((targets, *chained), values[-1], span=span)

    def _target(self, value: ast.Expr) -> str:
        if isinstance(value, ast.Name) and value.id != "in":
            return value.id
        self._error("E0120", "`=` after something that is no name", value.span, "only a name can be bound")
        return "_"

    def append(self, span: Span, target: Token, value: ast.Expr) -> ast.Append:
        return ast.Append(target.text, value, span=span)

    def for_(self, span: Span, name: Token, iterable: ast.Expr, body: tuple[ast.Stmt, ...]) -> ast.For:
        self._no_range_call(iterable)
        return ast.For(name.text, iterable, body, span=span)

    def _no_range_call(self, source: ast.Expr) -> None:
        if isinstance(source, ast.Call) and isinstance(source.callee, ast.Name) and source.callee.id == "range":
            label = "a range is written `0..n-1`, both ends included"
            self._error("E0110", "`range(…)` is not a range here", source.span, label)

    def if_(
        self, span: Span, condition: ast.Expr, then: tuple[ast.Stmt, ...], orelse: tuple[ast.Stmt, ...] | ast.If | None
    ) -> ast.If:
        return ast.If(condition, then, (orelse,) if isinstance(orelse, ast.If) else orelse or (), span=span)

    def return_(self, span: Span, values: tuple[ast.Expr, ...]) -> ast.Return:
        return ast.Return(values, span=span)

    def values(self, span: Span, *values: ast.Expr) -> tuple[ast.Expr, ...]:
        return values


def _unquoted(token: Token) -> str:
    text = token.text[1:]
    return text[:-1] if text.endswith(token.text[0]) else text
