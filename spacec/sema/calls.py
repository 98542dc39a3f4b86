"""Calls that make data: definitions, ops of any number of tensors, and the built-in functions of data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from math import isfinite

from spacec.ir.dims import Poly
from spacec.ir.ops import OpSpec
from spacec.ir.quotients import round_to
from spacec.sema.arithmetic import each_option, within_measure
from spacec.sema.builder import Cx
from spacec.sema.classify import BUILTINS
from spacec.sema.counting import extreme_of, flat_items, is_numbers, length, total_of
from spacec.sema.definitions import data_of_definition
from spacec.sema.machine import Machine
from spacec.sema.primitive import apply_primitive
from spacec.sema.unknown import unknown_name
from spacec.sema.values import UNKNOWN, Definition, Env, Options, Pack, Tensor, Value, Want, describe
from spacec.syntax import ast


def call(m: Machine, cx: Cx, expr: ast.Call, env: Env, want: Want | None) -> Value:
    """A call of a definition, of an op of any number of tensors, or of a function of data."""
    if not isinstance(expr.callee, ast.Name):
        return m.fail("E0203", expr.callee.span, "only a name can be called")
    name = expr.callee.id
    callee = env.get(name)
    if isinstance(callee, OpSpec):
        return _call_variadic(m, cx.inside(), callee, expr, env, want)
    if isinstance(callee, Definition):
        return data_of_definition(m, cx, callee, expr.args, (), env, expr.span)
    if callee is None:
        return _builtin(m, cx.inside(), expr, name, env)
    return m.fail("E0203", expr.callee.span, f"{describe(callee)} cannot be called")


def _call_variadic(m: Machine, cx: Cx, spec: OpSpec, expr: ast.Call, env: Env, want: Want | None) -> Value:
    """``sum(a, b)``, ``concat(s[2..])``: an op of any number of tensors, given its tensors as arguments."""
    values: list[Value] = []
    for arg in expr.args:
        inner = arg.value.value if isinstance(arg.value, ast.Spread) else arg.value
        values.append(m.evaluate(m, cx, inner, env, want if spec.name == "sum" else None))
    if any(v is UNKNOWN for v in values):
        return UNKNOWN
    if spec.name == "sum" and is_numbers(items := flat_items(values)):
        return total_of(m, cx.builder, items)
    return apply_primitive(m, cx, spec, {}, Pack(tuple(values)), want, expr.span)


def _builtin(m: Machine, cx: Cx, expr: ast.Call, name: str, env: Env) -> Value:
    values = [m.evaluate(m, cx, a.value, env) for a in expr.args]
    if any(v is UNKNOWN for v in values):
        return UNKNOWN
    if any(isinstance(v, Options) for v in values):
        return each_option(m, expr.span, values, lambda chosen: _data_function(m, cx, expr, name, chosen, env))
    return within_measure(m, expr.span, _data_function(m, cx, expr, name, values, env))


def _data_function(m: Machine, cx: Cx, expr: ast.Call, name: str, values: Sequence[Value], env: Env) -> Value:
    """A built-in function of data."""
    match name, values:
        case "len", [Pack() as pack]:
            return length(m, cx.builder, pack)
        case "len", [Tensor()]:
            return 1
        case "max" | "min", _:
            flat = flat_items(list(values))
            if is_numbers(flat):
                return extreme_of(m, cx.builder, "max" if name == "max" else "min", flat, expr.span)
        case "normal", [int() | float() as std] if abs(std) <= sys.float_info.max:
            return Pack(("normal", float(std)))
        case "abs" | "round", [int() | float() as number]:
            return abs(number) if name == "abs" else round(number)
        case "round_to", [int() | float() as number, int(step)] if step > 0 and isfinite(number):
            return round_to(Fraction(str(number)), step)
        case "round_to", [Poly() as size, int(step)] if step > 0:
            return round_to(size, step)
        case _:
            pass
    if name in BUILTINS:
        return m.fail(
            "E0204", expr.span, f"`{name}` does not take {', '.join(map(describe, values)) or 'no arguments'}"
        )
    return unknown_name(m, expr.callee, env) if isinstance(expr.callee, ast.Name) else UNKNOWN
