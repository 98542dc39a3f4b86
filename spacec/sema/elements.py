"""Elements, slices and sizes: ``s[i]``, ``s[a..b]``, ``x.hw``.

Indices are static; a list knows its length.
"""

from __future__ import annotations

from spacec.diagnostics.suggest import nearest
from spacec.sema.builder import Cx
from spacec.sema.definitions import data_of_definition
from spacec.sema.machine import Machine
from spacec.sema.values import UNKNOWN, Definition, Env, Pack, Tensor, TypeView, Value, describe
from spacec.syntax import ast


def _static_index(m: Machine, cx: Cx, expr: ast.Expr, env: Env) -> int | None:
    value = m.evaluate(m, cx, expr, env)
    if value is UNKNOWN:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        m.fail("E0407", expr.span, "an index is a whole number", f"found {describe(value)}")
        return None
    return value


def index(m: Machine, cx: Cx, expr: ast.Index, env: Env) -> Value:
    """``s[i]``: an element of a list, or a member of a family."""
    family = env.get(expr.base.id) if isinstance(expr.base, ast.Name) else None
    if isinstance(family, Definition) and family.binding.indices:
        indices = [_static_index(m, cx, item, env) for item in expr.items]
        known = tuple(i for i in indices if i is not None)
        return data_of_definition(m, cx, family, (), known, env, expr.span) if len(known) == len(indices) else UNKNOWN
    base = m.evaluate(m, cx, expr.base, env)
    position = _static_index(m, cx, expr.items[0], env)
    if base is UNKNOWN or position is None:
        return UNKNOWN
    if isinstance(base, Tensor) and position in (0, -1):
        return base
    if not isinstance(base, Pack):
        return m.fail("E0203", expr.base.span, f"{describe(base)} has no elements")
    if not -len(base.items) <= position < len(base.items):
        return m.fail("E0307", expr.span, f"element {position} of {len(base.items)}", "there is no such element")
    return base.items[position]


def slice_of(m: Machine, cx: Cx, expr: ast.Slice, env: Env) -> Value:
    """``s[a..b]``, both ends included; what lies outside the list is left out."""
    base = m.evaluate(m, cx, expr.base, env)
    low = 0 if expr.low is None else _static_index(m, cx, expr.low, env)
    high = -1 if expr.high is None else _static_index(m, cx, expr.high, env)
    if base is UNKNOWN or low is None or high is None:
        return UNKNOWN
    if not isinstance(base, Pack):
        return m.fail("E0203", expr.base.span, f"{describe(base)} has no elements")
    if expr.high is not None and high < 0:
        return Pack(())  # `s[..i-2]` at i = 1: nothing that far back
    stop = len(base.items) if high == -1 else high + 1
    return Pack(base.items[max(low, 0) : stop])


def attribute(m: Machine, cx: Cx, expr: ast.Attribute, env: Env) -> Value:
    """``x.c``, ``x.hw``: a size of a tensor or of a type."""
    base = m.evaluate(m, cx, expr.base, env)
    if base is UNKNOWN:
        return UNKNOWN if expr.name in _SIZES else _no_size(m, expr, "a tensor")
    if not isinstance(base, Tensor | TypeView):
        return m.fail("E0208", expr.span, f"{describe(base)} has no sizes", "only tensors, `in` and `out` have them")
    t = base.type
    match expr.name:
        case "c" | "channels":
            return t.channels
        case "hw" | "space":
            return Pack(t.space)
        case "rank":
            return t.rank
        case "h" | "t" if t.rank >= 1:
            return t.space[0]
        case "w" if t.rank >= 2:
            return t.space[1]
        case _:
            return _no_size(m, expr, str(t))


_SIZES = ("c", "channels", "hw", "space", "rank", "h", "w", "t")


def _no_size(m: Machine, expr: ast.Attribute, what: str) -> Value:
    close = nearest(expr.name, _SIZES)
    return m.fail(
        "E0208",
        expr.span,
        f"{what} has no `.{expr.name}`",
        notes=("sizes are `.c` (channels), `.hw` or `.space`, `.h`, `.w`, `.t`, `.rank`",),
        help=f"did you mean `.{close}`?" if close else "",
    )
