"""Applying networks: sequences, sums, choices, repeats, typed stages, dags, definitions and primitives."""

from __future__ import annotations

from spacec.diagnostics.model import Label
from spacec.ir.ops import OpSpec
from spacec.sema.attributes import grows
from spacec.sema.binders import apply_inline
from spacec.sema.builder import Cx
from spacec.sema.choices import apply_alternatives
from spacec.sema.classify import FROZEN, is_network, openness
from spacec.sema.definitions import apply_definition
from spacec.sema.machine import MAX_NESTING, Machine
from spacec.sema.primitive import apply_primitive, call_primitive
from spacec.sema.repeats import apply_repeat
from spacec.sema.stated import typed
from spacec.sema.statements import apply_dag
from spacec.sema.unknown import unknown_name
from spacec.sema.values import UNKNOWN, Closure, Definition, Env, Pack, Value, Want, describe, wants_of
from spacec.source import Span
from spacec.syntax import ast


def apply(m: Machine, cx: Cx, expr: ast.Expr, env: Env, x: Value, want: Want | None = None) -> Value:
    """``x >> expr``, with what a stated type asks of it."""
    match expr:
        case ast.Name():
            return _use(m, cx, expr, expr, (), (), env, x, want)
        case ast.Call(callee=ast.Name(id="frozen")) if env.get(FROZEN) is None:
            return _frozen(m, cx, expr, env, x, want)
        case ast.Call(callee=ast.Name() as name):
            return _use(m, cx, expr, name, expr.args, (), env, x, want)
        case ast.Call(callee=ast.Index(base=ast.Name() as name) as family):
            return _member(m, cx, family, name, expr.args, env, x, want)
        case ast.Index(base=ast.Name() as name) if isinstance(env.get(name.id), Definition):
            return _member(m, cx, expr, name, (), env, x, want)
        case ast.Pipe():
            return _pipe(m, cx.inside(), expr, env, x, want)
        case ast.Typed():
            return typed(m, cx, expr, env, lambda wanted: m.apply(m, cx, expr.stage, env, x, wanted))
        case ast.Alternatives():
            return apply_alternatives(m, cx, expr, env, x, want)
        case ast.Binary(op="*"):
            return apply_repeat(m, cx.inside(), expr, env, x, want)
        case ast.Binary(op="+"):
            return _sum(m, cx.inside(), expr, env, x, want)
        case ast.Dag():
            return apply_dag(m, cx.inside(), expr, env, x, want)
        case ast.Inline():
            return apply_inline(m, cx, expr, env, x, want)
        case ast.TupleOf() | ast.ListOf():
            return _side_by_side(m, cx.inside(), expr, env, x, want)
        case _:
            return _not_a_network(m, cx, expr, env)


def _frozen(m: Machine, cx: Cx, expr: ast.Call, env: Env, x: Value, want: Want | None) -> Value:
    """``frozen(f)``: f, whose weights take no gradient and whose norms and drops stay in evaluation."""
    if len(expr.args) != 1 or expr.args[0].name is not None or not is_network(expr.args[0].value, env):
        return m.fail("E0204", expr.span, "`frozen` takes one network", help="write `frozen(f)`")
    inner = cx.enter(FROZEN)
    inner.step.frozen = True
    return m.apply(m, inner, expr.args[0].value, env, x, want)


def _not_a_network(m: Machine, cx: Cx, expr: ast.Expr, env: Env) -> Value:
    if isinstance(expr, ast.Braces):
        return m.fail(
            "E0203",
            expr.span,
            "braces choose among values, not networks",
            help="write `a | b` to choose among networks",
        )
    value = m.evaluate(m, cx, expr, env)
    if value is UNKNOWN:
        return UNKNOWN
    return m.fail("E0203", expr.span, f"{describe(value)} cannot be applied", "a network is expected here")


def _use(
    m: Machine,
    cx: Cx,
    expr: ast.Expr,
    name: ast.Name,
    args: tuple[ast.Arg, ...],
    indices: tuple[int | str, ...],
    env: Env,
    x: Value,
    want: Want | None,
) -> Value:
    value = env.get(name.id)
    match value:
        case None:
            return unknown_name(m, name, env)
        case OpSpec():
            return call_primitive(m, cx, value, args, env, x, want, expr.span)
        case Definition():
            return apply_definition(m, cx, value, args, indices, env, x, want, expr.span)
        case Closure():
            if not args:
                return _closure(m, cx.alias(name.id), value, x, want, expr.span)
            return _call_argument(m, cx.alias(name.id), expr, name, args, value, env, x, want)
        case _:
            if value is UNKNOWN:
                return UNKNOWN
            return m.fail(
                "E0203", expr.span, f"`{name.id}` is {describe(value)}, not a network", "nothing can flow through it"
            )


def _call_argument(
    m: Machine,
    cx: Cx,
    expr: ast.Expr,
    name: ast.Name,
    args: tuple[ast.Arg, ...],
    closure: Closure,
    env: Env,
    x: Value,
    want: Want | None,
) -> Value:
    """``f(args)`` where ``f`` is a network argument: it must be the name of a definition or an op."""
    callee: Value | None = closure
    while isinstance(callee, Closure) and isinstance(callee.expr, ast.Name):
        callee = callee.env.get(callee.expr.id)
    match callee:
        case OpSpec():
            return call_primitive(m, cx, callee, args, env, x, want, expr.span)
        case Definition() if not callee.binding.indices:
            return apply_definition(m, cx, callee, args, (), env, x, want, expr.span)
        case _:
            return m.fail(
                "E0204",
                expr.span,
                f"`{name.id}` stands for a whole network and takes no arguments",
                labels=(Label(closure.expr.span, "given here"),),
                help="hand on the name of a definition, without parentheses",
            )


def _closure(m: Machine, cx: Cx, closure: Closure, x: Value, want: Want | None, span: Span) -> Value:
    key = ("closure", id(closure))
    if sum(k == key for k, _, _ in m.active) > MAX_NESTING // 4:
        return m.fail("E0205", span, "a network argument contains itself without end")
    m.active.append((key, "argument", span))
    result = m.apply(m, cx, closure.expr, closure.env, x, want)
    m.active.pop()
    return result


def _member(
    m: Machine,
    cx: Cx,
    family: ast.Index,
    name: ast.Name,
    args: tuple[ast.Arg, ...],
    env: Env,
    x: Value,
    want: Want | None,
) -> Value:
    indices: list[int | str] = []
    for item in family.items:
        value = m.evaluate(m, cx.inside(), item, env)
        if value is UNKNOWN:
            return UNKNOWN
        if not isinstance(value, int | str):
            return m.fail("E0407", item.span, f"an index of a family is a number, found {describe(value)}")
        indices.append(value)
    return _use(m, cx, family, name, args, tuple(indices), env, x, want)


def _pipe(m: Machine, cx: Cx, expr: ast.Pipe, env: Env, x: Value, want: Want | None) -> Value:
    """In a typed sequence the first stage open in an attribute takes the whole change."""
    wants = _shared_out(expr.stages, env, x, want)
    value = x
    for stage, part in zip(expr.stages, wants, strict=True):
        value = m.apply(m, cx, stage, env, value, part)
    return value


def _shared_out(stages: tuple[ast.Expr, ...], env: Env, x: Value, want: Want | None) -> list[Want | None]:
    """What is asked of each stage of a sequence."""
    if want is None:
        return [None] * len(stages)
    open_in = [openness(stage, env) for stage in stages]
    if not want.scales:
        return _parts(open_in, x, want, "")
    inputs = x.items if isinstance(x, Pack) and len(x.items) == len(want.scales) else (UNKNOWN,) * len(want.scales)
    scales = [_parts(open_in, x, w, "*") for x, w in zip(inputs, want.scales, strict=True)]
    return [Want(span=want.span, scales=asked) if any(asked) else None for asked in zip(*scales, strict=True)]


def _parts(open_in: list[frozenset[str]], x: Value, want: Want | None, how: str) -> list[Want | None]:
    """What is asked of each stage where one value flows; ``how`` is what an open attribute's name begins with."""
    if want is None:
        return [None] * len(open_in)
    attribute = "factor" if grows(x, want) else "stride"
    takes_out = next((i for i, o in enumerate(open_in) if f"{how}out" in o), -1)
    takes_space = next((i for i, o in enumerate(open_in) if f"{how}{attribute}" in o), -1)
    return [want.only(out=i == takes_out, space=i == takes_space) for i in range(len(open_in))]


def _sum(m: Machine, cx: Cx, expr: ast.Binary, env: Env, x: Value, want: Want | None) -> Value:
    """``f + g``: both sides on the same input."""
    terms: list[Value] = []
    for side in (expr.left, expr.right):
        if not is_network(side, env):
            return m.fail("E0203", side.span, "a sum of networks needs a network on both sides", "this is data")
        terms.append(m.apply(m, cx, side, env, x, want))
    if any(t is UNKNOWN for t in terms):
        return UNKNOWN
    spec = m.ops.get("sum")
    return UNKNOWN if spec is None else apply_primitive(m, cx, spec, {}, Pack(tuple(terms)), None, expr.span)


def _side_by_side(m: Machine, cx: Cx, expr: ast.TupleOf | ast.ListOf, env: Env, x: Value, want: Want | None) -> Value:
    """``(f, g)`` on a pair: each network on its own element."""
    if not isinstance(x, Pack) or len(x.items) != len(expr.items):
        found = describe(x)
        return m.fail(
            "E0307", expr.span, f"{len(expr.items)} networks side by side need {len(expr.items)} values, found {found}"
        )
    wants = wants_of(want, len(x.items))
    parts = [m.apply(m, cx, e, env, v, w) for e, v, w in zip(expr.items, x.items, wants, strict=True)]
    return UNKNOWN if any(p is UNKNOWN for p in parts) else Pack(tuple(parts))
