"""``let(e)`` and ``tied(e)``: anonymous binders, hoisted out of the loops around them."""

from __future__ import annotations

from spacec.ir.graph import Binder
from spacec.sema.builder import Cx
from spacec.sema.definitions import apply_definition
from spacec.sema.machine import Machine
from spacec.sema.values import Definition, Env, Value, Want
from spacec.syntax import ast


def apply_inline(m: Machine, cx: Cx, expr: ast.Inline, env: Env, x: Value, want: Want | None) -> Value:
    """One binder for each activation of the text around it, however often a loop or a repeat comes by."""
    home = env.home
    key = ("inline", id(expr), home)
    binder = m.binders.get(key)
    if binder is None:
        siblings = home.region.binders if home else []
        count = sum(b.kind == expr.kind and b.home is (home.step if home else None) for b in siblings)
        binder = Binder(
            expr.kind, f"{expr.kind}[{count}]", expr.span, home.step if home else None, home.region if home else None
        )
        m.binders[key] = binder
        if home is not None:
            home.region.binders.append(binder)
    binding = _binding(m, expr)
    return apply_definition(m, cx, Definition(binding, env, binder), (), (), env, x, want, expr.span)


def _binding(m: Machine, expr: ast.Inline) -> ast.Binding:
    """The binding that the inline form abbreviates; one object for each text, as keys need it."""
    if id(expr) not in m.inline_bindings:
        m.inline_bindings[id(expr)] = ast.Binding(expr.kind, expr.kind, expr.value, span=expr.span, name_span=expr.span)
    return m.inline_bindings[id(expr)]
