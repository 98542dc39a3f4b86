"""Evaluating data: numbers, sizes, lists, tensors that flow, and the choices of values.

Assumes names may be anything; reports what is not data and returns the silent value. Every
expression that makes tensors leaves its nodes in the region of ``cx``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isfinite
from typing import TypeGuard

from spacec.diagnostics.model import Label
from spacec.diagnostics.suggest import nearest
from spacec.ir.cases import MAX_NODES, TooManyCases
from spacec.ir.dims import Poly
from spacec.ir.ops import OpSpec
from spacec.ir.quotients import round_to
from spacec.sema.arithmetic import combine, each_option, relation, within_measure
from spacec.sema.builder import Cx
from spacec.sema.classify import BUILTINS, is_network
from spacec.sema.conditional import MAX_CASES, combinations, negation, tabulate
from spacec.sema.counting import contains, extreme_of, flat_items, is_numbers, length, total_of
from spacec.sema.definitions import data_of_definition
from spacec.sema.foreign import meant
from spacec.sema.machine import Machine
from spacec.sema.picks import evaluate_from
from spacec.sema.primitive import apply_primitive
from spacec.sema.stated import truth, typed
from spacec.sema.value_choice import evaluate_braces
from spacec.sema.values import (
    UNKNOWN,
    Closure,
    Definition,
    Env,
    Options,
    Pack,
    Picked,
    Tensor,
    Test,
    TypeView,
    Value,
    Want,
    describe,
)
from spacec.source import Span
from spacec.syntax import ast

UNDECIDED = "state the input in multiples, such as [C, 2*H, 2*W], so that halving and doubling it are exact"


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
            return _items(m, cx.inside(), expr.items, env, expr.span)
        case ast.Braces():
            return evaluate_braces(m, cx, expr, env)
        case ast.Pipe():
            return _pipe(m, cx, expr, env, want)
        case ast.Typed():
            return typed(m, cx, expr, env, lambda wanted: m.evaluate(m, cx, expr.stage, env, wanted))
        case ast.Call():
            return _exactly(m, expr, lambda: _call(m, cx, expr, env, want))
        case ast.From():
            return evaluate_from(m, cx, expr, env, want)
        case ast.Index():
            return _index(m, cx.inside(), expr, env)
        case ast.Slice():
            return _slice(m, cx.inside(), expr, env)
        case ast.Attribute():
            return _attribute(m, cx.inside(), expr, env)
        case ast.Binary(op="and" | "or"):
            return _logic(m, cx.inside(), expr, env)
        case ast.Binary():
            left, right = (
                m.evaluate(m, cx.inside(), expr.left, env, want),
                m.evaluate(m, cx.inside(), expr.right, env, want),
            )
            return _exactly(m, expr, lambda: combine(m, cx.inside(), expr, left, right))
        case ast.Unary():
            return _unary(m, cx.inside(), expr, env)
        case ast.Compare():
            return _exactly(m, expr, lambda: _compare(m, cx.inside(), expr, env))
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


def unknown_name(m: Machine, name: ast.Name, env: Env) -> Value:
    """E0201, with what was most likely meant: an input, a name of another library, a near miss."""
    if m.exhausted:
        return UNKNOWN
    if name.id in m.inputs:
        seen = (Label(m.inputs[name.id], "the input"),)
        headline = f"the input `{name.id}` is known only inside a `dag`"
        form = f"dag({', '.join(m.inputs)}) {{ … }}"
        return m.fail("E0201", name.span, headline, "not known here", labels=seen, help=f"write `net = {form}`")
    names = [*env.all_names(), *m.ops.ops]
    other = meant(name.id, frozenset(names))
    close = None if other else nearest(name.id, names)
    help = f"this language writes `{other}`" if other else f"did you mean `{close}`?" if close else ""
    return m.fail("E0201", name.span, f"unknown name `{name.id}`", "not defined here", help=help)


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


def _items(m: Machine, cx: Cx, items: tuple[ast.Expr, ...], env: Env, span: Span) -> Value:
    out: list[Value] = []
    for item in items:
        if isinstance(item, ast.Range):
            out.extend(span_of_range(m, cx, item, env))
            continue
        value = m.evaluate(m, cx, item.value if isinstance(item, ast.Spread) else item, env)
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


# --------------------------------------------------------------------- calls


def _call(m: Machine, cx: Cx, expr: ast.Call, env: Env, want: Want | None) -> Value:
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


# -------------------------------------------------------------- parts of data


def _static_index(m: Machine, cx: Cx, expr: ast.Expr, env: Env) -> int | None:
    value = m.evaluate(m, cx, expr, env)
    if value is UNKNOWN:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        m.fail("E0407", expr.span, "an index is a whole number", f"found {describe(value)}")
        return None
    return value


def _index(m: Machine, cx: Cx, expr: ast.Index, env: Env) -> Value:
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


def _slice(m: Machine, cx: Cx, expr: ast.Slice, env: Env) -> Value:
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


def _attribute(m: Machine, cx: Cx, expr: ast.Attribute, env: Env) -> Value:
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


def _unary(m: Machine, cx: Cx, expr: ast.Unary, env: Env) -> Value:
    value = m.evaluate(m, cx, expr.operand, env)
    if value is UNKNOWN:
        return UNKNOWN
    if expr.op == "not":
        return negation(value) if isinstance(value, Test) else not truth(m, value, expr.operand.span)
    if isinstance(value, int | float | Poly):
        return -value
    return m.fail("E0203", expr.span, f"`-` of {describe(value)}")


# ------------------------------------------------------------------ conditions


def _logic(m: Machine, cx: Cx, expr: ast.Binary, env: Env) -> Value:
    """``and``, ``or``: the right side is read only where the left leaves it open."""
    left = _condition(m, cx, expr.left, env)
    if left is None:
        return UNKNOWN
    if left is (expr.op == "or"):
        return left
    right = _condition(m, cx, expr.right, env)
    if right is None:
        return UNKNOWN
    both = _joined(m, expr, left, right, expr.op == "and")
    return UNKNOWN if both is None else both


def _condition(m: Machine, cx: Cx, expr: ast.Expr, env: Env) -> bool | Test | None:
    value = m.evaluate(m, cx, expr, env)
    return value if isinstance(value, Test) else truth(m, value, expr.span)


def _joined(m: Machine, expr: ast.Expr, left: bool | Test, right: bool | Test, conjunction: bool) -> bool | Test | None:
    """Both conditions, or either; ``None`` (reported) where they depend on too many decisions."""
    if isinstance(left, bool) and isinstance(right, bool):
        return (left and right) if conjunction else (left or right)
    found = tabulate((left, right), all if conjunction else any)
    if found is None:
        m.fail("E0407", expr.span, f"a condition that depends on over {MAX_CASES:,} combinations of choices")
    return found


def _picked(value: Value) -> TypeGuard[Pack]:
    """Whether a list has elements of a pick of numbers."""
    return isinstance(value, Pack) and any(isinstance(v, Picked) for v in value.items)


def _membership(m: Machine, cx: Cx, expr: ast.Compare, value: Value, pack: Pack) -> Value:
    """Whether a list of picked numbers has a value: a size that is 0 or 1."""
    found = contains(m, cx.builder, value, pack)
    if found is None:
        text = f"whether {describe(value)} is in {describe(pack)} is not decided"
        return m.fail("E0407", expr.span, text, "conditions are static")
    if isinstance(found, int):
        return bool(found) is (expr.ops[0] == "in")
    return found if expr.ops[0] == "in" else 1 - found


def _compare(m: Machine, cx: Cx, expr: ast.Compare, env: Env) -> Value:
    values = [m.evaluate(m, cx, e, env) for e in expr.operands]
    if any(v is UNKNOWN for v in values):
        return UNKNOWN
    if len(values) == 2 and expr.ops[0] in ("in", "not in") and _picked(values[1]):
        return _membership(m, cx, expr, values[0], values[1])
    held: bool | Test = True
    for left, op, right in zip(values, expr.ops, values[1:], strict=False):
        if not m.spend(expr.span, 2 * combinations(left, right)):
            return UNKNOWN
        verdict = _verdict(left, op, right)
        if verdict is None:
            text = f"`{op}` between {describe(left)} and {describe(right)} is not decided"
            notes = (UNDECIDED,) if isinstance(left, TypeView | Poly) else ()
            return m.fail("E0407", expr.span, text, "conditions are static", notes=notes)
        both = _joined(m, expr, held, verdict, True)
        if both is None or both is False:
            return UNKNOWN if both is None else False
        held = both
    return held


def _verdict(left: Value, op: ast.CompareOp, right: Value) -> bool | Test | None:
    """What a comparison says; a test where it depends on decisions, ``None`` where on sizes that nobody knows."""
    if op in ("==", "!=") and isinstance(left, Tensor | TypeView) and isinstance(right, Tensor | TypeView):
        a, b = left.type, right.type
        open_pairs = [(p, q) for p, q in zip(a.dims, b.dims, strict=False) if p != q]
        if a.kind == b.kind and a.rank == b.rank and len(open_pairs) == 1:
            return _verdict(open_pairs[0][0], op, open_pairs[0][1])
    found = tabulate((left, right), lambda pair: relation(pair[0], op, pair[1]))
    return relation(left, op, right) if found is None else found
