"""The body of a ``dag``: assignments, lists that grow, loops, static branches, local binders, results."""

from __future__ import annotations

from dataclasses import dataclass

from spacec.diagnostics.model import Label
from spacec.ir.graph import Binder
from spacec.sema.bounds import check_bound
from spacec.sema.builder import Cx
from spacec.sema.called import called_with_input, refuse_call
from spacec.sema.classify import is_network
from spacec.sema.machine import MAX_REPEAT, Machine
from spacec.sema.stated import truth
from spacec.sema.unknown import unknown_name
from spacec.sema.values import UNKNOWN, Definition, Env, Home, Pack, Value, Want, describe, wants_of
from spacec.syntax import ast


@dataclass(frozen=True)
class Flow:
    """The scope after a statement, and the result once ``return`` was met."""

    env: Env
    result: Value | None = None


def apply_dag(m: Machine, cx: Cx, expr: ast.Dag, env: Env, x: Value, want: Want | None) -> Value:
    """The dag on ``x`` (a pack where it has several inputs); what it returns."""
    flow = run_dag(m, cx, expr, env, x, want)
    if flow is None:
        return UNKNOWN
    if flow.result is None and m.exhausted:
        return UNKNOWN
    if flow.result is None:
        return m.fail("E0207", expr.span, "this dag returns nothing", help="end it with `return …`")
    return flow.result


def run_dag(m: Machine, cx: Cx, expr: ast.Dag, env: Env, x: Value, want: Want | None) -> Flow | None:
    """Run the body; ``None`` where the inputs do not fit (reported)."""
    if len(expr.params) == 1:
        bound: dict[str, Value] = {expr.params[0]: x}
    elif isinstance(x, Pack) and len(x.items) == len(expr.params):
        bound = dict(zip(expr.params, x.items, strict=True))
    elif x is UNKNOWN:
        bound = dict.fromkeys(expr.params, UNKNOWN)
    else:
        names = ", ".join(expr.params)
        m.fail("E0307", expr.span, f"dag({names}) takes {len(expr.params)} values, found {describe(x)}")
        return None
    return _block(m, cx, expr.body, env.nest(bound, Home(cx.builder.region, cx.step)), want)


def _block(m: Machine, cx: Cx, body: tuple[ast.Stmt, ...], env: Env, want: Want | None) -> Flow:
    flow = Flow(env)
    for statement in body:
        if flow.result is not None:
            m.fail("E0207", statement.span, "this statement follows `return`", "never reached")
            return flow
        if m.exhausted:
            return flow
        flow = _statement(m, cx, statement, flow.env, want)
    return flow


def _statement(m: Machine, cx: Cx, s: ast.Stmt, env: Env, want: Want | None) -> Flow:
    match s:
        case ast.Assign():
            return Flow(_assign(m, cx, s, env))
        case ast.Append():
            return Flow(_append(m, cx, s, env))
        case ast.For():
            return _loop(m, cx, s, env, want)
        case ast.If():
            return _branch(m, cx, s, env, want)
        case ast.Return():
            return Flow(env, _return(m, cx, s, env, want))
        case ast.Binding():
            return Flow(_local(m, cx, s, env))


def _value(m: Machine, cx: Cx, expr: ast.Expr, env: Env, names: tuple[str, ...], want: Want | None = None) -> Value:
    """Data for a name; a value choice is a step with that name."""
    if is_network(expr, env):
        called = called_with_input(expr, env)
        if called is not None:
            return refuse_call(m, *called)
        what = f"`{names[0]} = …`" if names else "this"
        return m.fail(
            "E0203",
            expr.span,
            "a network is not a value",
            f"{what} binds values; nothing flows through this",
            help="bind a network with `def` (decides at each use) or `let` (decides once)",
        )
    choice = isinstance(expr, ast.Braces)
    return m.evaluate(m, cx.enter(names[0]) if choice and names else cx, expr, env, want)


def _assign(m: Machine, cx: Cx, s: ast.Assign, env: Env) -> Env:
    first = s.targets[0]
    m.spend(s.span, len(env.names) // 100)  # binding copies
    values = [_value(m, cx, v, env, first if len(first) == 1 else ()) for v in s.values]
    for names in s.targets:
        if len(names) == 1:
            env = env.bind(**{names[0]: values[0] if len(values) == 1 else m.packed(values, s.span)})
            continue
        parts = values
        if len(values) == 1 and isinstance(values[0], Pack):
            parts = list(values[0].items)
        if len(parts) != len(names):
            if UNKNOWN not in parts:
                m.fail("E0307", s.span, f"{len(names)} names for {len(parts)} values")
            parts = [UNKNOWN] * len(names)
        env = env.bind(**dict(zip(names, parts, strict=True)))
    return env


def _append(m: Machine, cx: Cx, s: ast.Append, env: Env) -> Env:
    current = env.get(s.target)
    value = _value(m, cx, s.value, env, ())
    if current is None:
        unknown_name(m, ast.Name(s.target, span=s.span), env)
        return env.bind(**{s.target: UNKNOWN})
    if current is UNKNOWN:
        return env
    if not isinstance(current, Pack):
        m.fail(
            "E0203",
            s.span,
            f"`{s.target}` is {describe(current)}",
            "`+=` appends to a list",
            help=f"start with `{s.target} = []`",
        )
        return env
    added = value.size if isinstance(value, Pack) else 0
    if not m.spend(s.span, added + len(current.items) // 1000):  # appending copies
        return env.bind(**{s.target: UNKNOWN})
    return env.bind(**{s.target: Pack((*current.items, value))})


def _loop(m: Machine, cx: Cx, s: ast.For, env: Env, want: Want | None) -> Flow:
    over = m.evaluate(m, cx, s.iterable, env)
    if over is UNKNOWN:
        return Flow(env)
    if not isinstance(over, Pack):
        m.fail("E0404", s.iterable.span, f"a loop runs over a range or a list, found {describe(over)}")
        return Flow(env)
    if len(over.items) > MAX_REPEAT:
        m.fail("E0404", s.iterable.span, f"{len(over.items):,} rounds", f"at most {MAX_REPEAT:,}")
        return Flow(env)
    flow = Flow(env)
    for item in over.items:
        flow = _block(m, cx, s.body, flow.env.bind(**{s.name: item}), want)
        if flow.result is not None or m.exhausted:
            return flow
    return flow


def _branch(m: Machine, cx: Cx, s: ast.If, env: Env, want: Want | None) -> Flow:
    verdict = truth(m, m.evaluate(m, cx, s.condition, env), s.condition.span)
    if verdict is None:
        return Flow(env)
    return _block(m, cx, s.then if verdict else s.orelse, env, want)


def _return(m: Machine, cx: Cx, s: ast.Return, env: Env, want: Want | None) -> Value:
    wants = (want,) if len(s.values) == 1 else wants_of(want, len(s.values))
    values = tuple(_value(m, cx, v, env, (), w) for v, w in zip(s.values, wants, strict=True))
    if any(v is UNKNOWN for v in values):
        return UNKNOWN
    return values[0] if len(values) == 1 else m.packed(values, s.span)


def _local(m: Machine, cx: Cx, s: ast.Binding, env: Env) -> Env:
    check_bound(m, s)
    known = env.names.get(s.name)
    if isinstance(known, Definition) and known.binding is not s:
        seen = (Label(known.binding.name_span, "first defined here"),)
        m.fail("E0202", s.name_span, f"`{s.name}` is defined twice", "second definition", labels=seen)
    binder: Binder | None = None
    if s.kind != "def":
        siblings = cx.builder.region.binders
        again = sum(b.home is cx.step and not b.member and b.name.partition("[")[0] == s.name for b in siblings)
        binder = Binder(s.kind, f"{s.name}[{again}]" if again else s.name, s.name_span, cx.step, cx.builder.region)
        siblings.append(binder)
    return env.bind(**{s.name: Definition(s, env, binder)})
