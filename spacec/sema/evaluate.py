"""Evaluating data: numbers, sizes, lists, tensors that flow, and the choices of values.

Assumes names may be anything; reports what is not data and returns the silent value. Every
expression that makes tensors leaves its nodes in the region of ``cx``.
"""

from __future__ import annotations

from collections.abc import Callable

from spacec.ir.cases import MAX_NODES, TooManyCases
from spacec.ir.dims import Poly
from spacec.sema.arithmetic import combine
from spacec.sema.builder import Cx
from spacec.sema.calls import call
from spacec.sema.classify import is_network
from spacec.sema.comparison import compare, logic
from spacec.sema.conditional import negation
from spacec.sema.definitions import data_of_definition
from spacec.sema.elements import attribute, index, slice_of
from spacec.sema.machine import Machine
from spacec.sema.picks import evaluate_from
from spacec.sema.stated import truth, typed
from spacec.sema.unknown import unknown_name
from spacec.sema.value_choice import evaluate_braces
from spacec.sema.values import UNKNOWN, Closure, Definition, Env, Pack, Test, Value, Want, describe, wants_of
from spacec.source import Span
from spacec.syntax import ast


def evaluate(m: Machine, cx: Cx, expr: ast.Expr, env: Env, want: Want | None = None) -> Value:
    """The data that ``expr`` denotes; a network comes back as a :class:`Closure`."""
    if not m.spend(expr.span):
        return UNKNOWN
    if isinstance(expr, ast.Number | ast.String):
        return expr.value
    if is_network(expr, env):
        handed_on = env.get(expr.id) if isinstance(expr, ast.Name) else None
        return handed_on if isinstance(handed_on, Closure) else Closure(expr, env)
    match expr:
        case ast.Name():
            return _name(m, cx, expr, env)
        case ast.TupleOf() | ast.ListOf():
            return _items(m, cx.inside(), expr.items, env, expr.span, want)
        case ast.Braces():
            return evaluate_braces(m, cx, expr, env)
        case ast.Pipe():
            return _pipe(m, cx, expr, env, want)
        case ast.Typed():
            return typed(m, cx, expr, env, lambda wanted: m.evaluate(m, cx, expr.stage, env, wanted))
        case ast.Call():
            return _exactly(m, expr, lambda: call(m, cx, expr, env, want))
        case ast.From():
            return evaluate_from(m, cx, expr, env, want)
        case ast.Index():
            return index(m, cx.inside(), expr, env)
        case ast.Slice():
            return slice_of(m, cx.inside(), expr, env)
        case ast.Attribute():
            return attribute(m, cx.inside(), expr, env)
        case ast.Binary(op="and" | "or"):
            return logic(m, cx.inside(), expr, env)
        case ast.Binary():
            left, right = (
                m.evaluate(m, cx.inside(), expr.left, env, want),
                m.evaluate(m, cx.inside(), expr.right, env, want),
            )
            return _exactly(m, expr, lambda: combine(m, cx.inside(), expr, left, right))
        case ast.Unary():
            return _unary(m, cx.inside(), expr, env)
        case ast.Compare():
            return _exactly(m, expr, lambda: compare(m, cx.inside(), expr, env))
        case ast.Range():
            return m.packed(span_of_range(m, cx, expr, env), expr.span)
        case ast.Inline():
            return m.evaluate(m, cx, expr.value, env, want)
        case _:
            return m.fail("E0203", expr.span, "this is not data", "a value is expected here")


def _exactly(m: Machine, expr: ast.Expr, value: Callable[[], Value]) -> Value:
    """A value, unless the decisions that it depends on have too many cases."""
    try:
        return value()
    except TooManyCases:
        headline = f"this number depends on too many decisions: it has over {MAX_NODES:,} cases"
        return m.fail("E0408", expr.span, headline, help="pick among fewer elements, or state the type that follows")


def _name(m: Machine, cx: Cx, expr: ast.Name, env: Env) -> Value:
    value = env.get(expr.id)
    if value is None:
        return unknown_name(m, expr, env)
    if isinstance(value, Definition):
        return data_of_definition(m, cx, value, (), (), env, expr.span)
    return value


def span_of_range(m: Machine, cx: Cx, expr: ast.Range, env: Env) -> list[int]:
    """The integers of ``low..high``, both ends included; empty where high < low."""
    low, high = m.evaluate(m, cx, expr.low, env), m.evaluate(m, cx, expr.high, env)
    if low is UNKNOWN or high is UNKNOWN:
        return []
    if not isinstance(low, int) or not isinstance(high, int):
        m.fail(
            "E0407",
            expr.span,
            "a range needs whole numbers at both ends",
            f"found {describe(low)} and {describe(high)}",
        )
        return []
    if high - low > 100_000:
        m.fail("E0404", expr.span, f"this range has {high - low + 1:,} elements", "at most 100,000")
        return []
    return list(range(low, high + 1))


def _items(m: Machine, cx: Cx, items: tuple[ast.Expr, ...], env: Env, span: Span, want: Want | None = None) -> Value:
    out: list[Value] = []
    whole = want if want is not None and want.scales else None
    alone = len(items) == 1 and isinstance(items[0], ast.Spread)
    for item, part in zip(items, (whole,) if alone else wants_of(want, len(items)), strict=True):
        if isinstance(item, ast.Range):
            out.extend(span_of_range(m, cx, item, env))
            continue
        value = m.evaluate(m, cx, item.value if isinstance(item, ast.Spread) else item, env, part)
        if isinstance(item, ast.Spread) and isinstance(value, Pack):
            out.extend(value.items)
        else:
            out.append(value)
    return m.packed(out, span)


def _pipe(m: Machine, cx: Cx, expr: ast.Pipe, env: Env, want: Want | None) -> Value:
    """``x >> f``: data that enters one network leaves it the slot that a pick lends."""
    first = m.evaluate(m, cx.inside(), expr.stages[0], env)
    if len(expr.stages) == 1:
        return first
    if len(expr.stages) == 2:
        return m.apply(m, cx.below(), expr.stages[1], env, first, want)
    rest = ast.Pipe(expr.stages[1:], span=expr.stages[1].span.to(expr.stages[-1].span))
    return m.apply(m, cx.inside(), rest, env, first, want)


def _unary(m: Machine, cx: Cx, expr: ast.Unary, env: Env) -> Value:
    value = m.evaluate(m, cx, expr.operand, env)
    if value is UNKNOWN:
        return UNKNOWN
    if expr.op == "not":
        return negation(value) if isinstance(value, Test) else not truth(m, value, expr.operand.span)
    if isinstance(value, int | float | Poly):
        return -value
    return m.fail("E0203", expr.span, f"`-` of {describe(value)}")
