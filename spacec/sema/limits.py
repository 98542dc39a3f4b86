"""``where``: constraints over costs and decisions, as comparisons of polynomials."""

from __future__ import annotations

from spacec.diagnostics.suggest import nearest
from spacec.ir.dims import Dim, Poly, Symbol, poly
from spacec.sema.header import scratch
from spacec.sema.machine import Machine
from spacec.sema.values import UNKNOWN, Definition, Env, Options, Value, describe
from spacec.source import Span
from spacec.space.decisions import Constraint
from spacec.syntax import ast

COSTS = ("params", "macs")


def read_limits(m: Machine, items: tuple[ast.Item, ...], env: Env) -> tuple[Constraint, ...]:
    """Every comparison of every ``where``; a chain is several.

    Decision symbols still carry their declaration in ``ref``; cost symbols carry ``"cost"``.
    """
    limits: list[Constraint] = []
    costs: dict[str, Value] = {c: poly(Symbol(c, None, "cost")) for c in COSTS if env.get(c) is None}
    scope = env.nest(costs)
    for item in items:
        if isinstance(item, ast.Where):
            for condition in item.conditions:
                limits.extend(_condition(m, condition, scope))
    return tuple(limits)


def _condition(m: Machine, expr: ast.Expr, env: Env) -> list[Constraint]:
    if isinstance(expr, ast.Binary) and expr.op == "and":
        return [*_condition(m, expr.left, env), *_condition(m, expr.right, env)]
    if not isinstance(expr, ast.Compare) or any(op in ("in", "not in") for op in expr.ops):
        m.fail("E0505", expr.span, "a constraint is a comparison", "for example `params <= 5M`")
        return []
    sides = [_side(m, e, env) for e in expr.operands]
    out: list[Constraint] = []
    for k, op in enumerate(expr.ops):
        if op == "in" or op == "not in":
            continue  # refused above
        left, right = sides[k], sides[k + 1]
        if left is not None and right is not None:
            out.append(Constraint(left, op, right, expr.span.text, expr.span))
    return out


def _side(m: Machine, expr: ast.Expr, env: Env) -> Dim | None:
    if isinstance(expr, ast.Call) and isinstance(expr.callee, ast.Name) and env.get(expr.callee.id) is None:
        return _call(m, expr, expr.callee, env)
    if isinstance(expr, ast.Binary) and expr.op in ("+", "-", "*"):
        left, right = _side(m, expr.left, env), _side(m, expr.right, env)
        if left is None or right is None:
            return None
        return left + right if expr.op == "+" else left - right if expr.op == "-" else left * right
    if isinstance(expr, ast.Name) and env.get(expr.id) is None:
        _no_cost(m, expr.span, f"`{expr.id}`", nearest(expr.id, COSTS))
        return None
    cx, region = scratch()
    reached = set(m.shared_data)
    value = m.evaluate(m, cx, expr, env)
    if set(m.shared_data) - reached:
        if not m.sink.failed:  # what an error cut off may have read it
            m.fail("E0505", expr.span, f"`{expr.span.text}` is read by no network", "only this constraint reads it")
        return None
    if region.decisions:
        note = ("a constraint is about the decisions of a `let`; this would be a choice of its own",)
        m.fail("E0505", expr.span, "a constraint decides nothing", "this is a new choice", notes=note)
        return None
    if isinstance(value, Options):
        return _option_symbol(m, value, expr)
    if isinstance(value, bool) or not isinstance(value, int | Poly):
        if value is not UNKNOWN:
            m.fail(
                "E0505", expr.span, "a constraint compares costs, sizes and whole numbers", f"found {describe(value)}"
            )
        return None
    return value


def _option_symbol(m: Machine, value: Options, expr: ast.Expr) -> Dim | None:
    numbers = tuple(v for v in value.values if isinstance(v, int))
    if len(numbers) < len(value.values):
        m.fail("E0505", expr.span, "this choice is not among whole numbers", "a constraint compares numbers")
        return None
    return poly(Symbol("choice", numbers, value.decision.decision))


def _call(m: Machine, expr: ast.Call, callee: ast.Name, env: Env) -> Dim | None:
    argument = expr.args[0].value if len(expr.args) == 1 else None
    if callee.id == "picks" and isinstance(argument, ast.Name):
        target = env.get(argument.id)
        if isinstance(target, Definition) and target.binding.kind != "def":
            return poly(Symbol(f"picks:{argument.id}", None, "cost"))
        m.fail(
            "E0505", argument.span, f"`picks` counts the elements picked by a let or tied, and `{argument.id}` is none"
        )
        return None
    _no_cost(m, expr.span, f"`{callee.id}(…)`", nearest(callee.id, [*COSTS, "picks"]))
    return None


def _no_cost(m: Machine, span: Span, what: str, close: str | None) -> None:
    m.fail(
        "E0505",
        span,
        f"{what} is no cost of this space",
        "costs are `params`, `macs` and `picks(let)`",
        help=f"did you mean `{close}`?" if close else "",
    )
