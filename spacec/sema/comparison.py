"""Comparisons, ``and`` and ``or``: whether something holds, or a test where decisions settle it.

What neither the text nor decisions settle is reported (E0407).
"""

from __future__ import annotations

from typing import TypeGuard

from spacec.ir.dims import Poly
from spacec.sema.arithmetic import relation
from spacec.sema.builder import Cx
from spacec.sema.conditional import MAX_CASES, combinations, tabulate
from spacec.sema.counting import contains
from spacec.sema.machine import Machine
from spacec.sema.stated import truth
from spacec.sema.values import UNKNOWN, Env, Pack, Picked, Tensor, Test, TypeView, Value, describe
from spacec.std.checks import UNDECIDED
from spacec.syntax import ast


def logic(m: Machine, cx: Cx, expr: ast.Binary, env: Env) -> Value:
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


def compare(m: Machine, cx: Cx, expr: ast.Compare, env: Env) -> Value:
    """What a chain of comparisons says, as :func:`logic` does for ``and``; E0407 where nothing decides it."""
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
