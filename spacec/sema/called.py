"""Networks that are called with their input, as functions are in Python: what was meant, in this language."""

from __future__ import annotations

from spacec.ir.ops import OpSpec
from spacec.sema.machine import Machine
from spacec.sema.values import UNKNOWN, Env, Tensor, Value, leaves
from spacec.syntax import ast


def called_with_input(expr: ast.Expr, env: Env) -> tuple[ast.Call, str] | None:
    """The innermost call in ``expr`` that is given a tensor, and how it is written with ``>>``.

    Only where data would begin is looked at: the arguments of later stages of a chain are networks and numbers.
    """
    parts = _beginnings(expr)
    found = next((inner for e in parts if (inner := called_with_input(e, env)) is not None), None)
    if found is not None or not isinstance(expr, ast.Call) or _joins(expr.callee, env):
        return found
    given = next((arg for arg in expr.args if arg.name is None and flows(arg.value, env)), None)
    return None if given is None else (expr, _chain(expr, given))


def _joins(callee: ast.Expr, env: Env) -> bool:
    """Whether this is an op that may be called with its inputs, as `sum` may."""
    value = env.get(callee.id) if isinstance(callee, ast.Name) else None
    return isinstance(value, OpSpec) and value.inputs is None


def refuse_call(m: Machine, call: ast.Call, chain: str) -> Value:
    """Report what :func:`called_with_input` found."""
    headline = f"`{call.callee.span.text}` gets its input as an argument"
    return m.fail("E0203", call.span, headline, "tensors flow by `>>`", help=f"write `{chain}`")


def _beginnings(expr: ast.Expr) -> tuple[ast.Expr, ...]:
    """The parts of ``expr`` in which data would begin."""
    match expr:
        case ast.Call():
            return tuple(arg.value for arg in expr.args)
        case ast.Pipe():
            return expr.stages[:1]
        case ast.Typed():
            return (expr.stage,)
        case ast.TupleOf() | ast.ListOf():
            return expr.items
        case ast.Binary():
            return (expr.left, expr.right)
        case ast.Index():
            return (expr.base,)
        case _:
            return ()


def flows(expr: ast.Expr, env: Env) -> bool:
    """Whether a tensor is where ``expr`` begins: a name of one, or of what was to be one and is reported already."""
    if isinstance(expr, ast.Name):
        value = env.get(expr.id)
        return value is not None and any(v is UNKNOWN or isinstance(v, Tensor) for v in leaves(value))
    return any(flows(e, env) for e in _beginnings(expr))


def _chain(call: ast.Call, given: ast.Arg) -> str:
    """``x >> f(3)`` for ``f(x, 3)``."""
    source = given.value.span.text
    if isinstance(given.value, ast.Pipe | ast.Binary | ast.Typed):
        source = f"({source})"
    rest = ", ".join(arg.span.text for arg in call.args if arg is not given)
    return f"{source} >> {call.callee.span.text}" + (f"({rest})" if rest else "")
