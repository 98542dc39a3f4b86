"""``f * n`` and ``f * {2..4}``: copies in sequence, and how many of them."""

from __future__ import annotations

from spacec.diagnostics.model import Label
from spacec.ir.conditions import Is, both
from spacec.ir.dims import Poly
from spacec.ir.graph import DecisionDecl, DecisionRef, SlotDecl
from spacec.sema.builder import Cx
from spacec.sema.choices import join
from spacec.sema.machine import MAX_DEPTH, MAX_REPEAT, Machine
from spacec.sema.presence import presence_of
from spacec.sema.stated import same_type
from spacec.sema.value_choice import braces_values
from spacec.sema.values import ABSENT, UNKNOWN, Env, Options, Tensor, Value, Want, describe, leaves, shape_of
from spacec.syntax import ast


def apply_repeat(m: Machine, cx: Cx, expr: ast.Binary, env: Env, x: Value, want: Want | None) -> Value:
    """Copies of the left side, each deciding and weighing for itself; the first takes a stated change."""
    if isinstance(expr.right, ast.Braces):
        return _depth(m, cx, expr, expr.right, env, x, want)
    count = m.evaluate(m, cx, expr.right, env)
    if count is UNKNOWN:
        return UNKNOWN
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        help = "write the depths here: `* {1..3}`" if isinstance(count, Options | Poly) else ""
        return m.fail("E0404", expr.right.span, f"a repeat count is a whole number, found {describe(count)}", help=help)
    if count > MAX_REPEAT:
        return m.fail("E0404", expr.right.span, f"{count:,} copies", f"at most {MAX_REPEAT:,}")
    value = x
    for copy in range(count):
        value = m.apply(m, cx, expr.left, env, value, want if copy == 0 else None)
        if value is UNKNOWN:
            return UNKNOWN
    return value


def _depth(m: Machine, cx: Cx, expr: ast.Binary, braces: ast.Braces, env: Env, x: Value, want: Want | None) -> Value:
    """A depth choice: always a prefix of the longest sequence; copies beyond the depth are absent."""
    values = braces_values(m, cx, braces, env)
    if values is None:
        return UNKNOWN
    depths = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    if len(depths) < len(values) or min(depths) < 0 or max(depths) > MAX_DEPTH:
        return m.fail("E0404", braces.span, f"depths are whole numbers from 0 to {MAX_DEPTH:,}")
    if len(depths) == 1:
        fixed = ast.Binary("*", expr.left, ast.Number(depths[0], span=braces.span), span=expr.span)
        return apply_repeat(m, cx, fixed, env, x, want)
    depths.sort()
    labels = tuple(map(str, depths))
    step = cx.enter("depth").step
    condition = both(cx.guard, presence_of(x))
    decision = cx.builder.decide(
        DecisionDecl("depth", step, labels, tuple(depths), elastic=braces.elastic, condition=condition, span=expr.span)
    )
    slot = cx.builder.slot(SlotDecl(step, labels, decision))
    ref = DecisionRef((), decision)
    prefixes: list[Value] = [x]
    for copy in range(1, depths[-1] + 1):
        deep = frozenset(k for k, d in enumerate(depths) if d >= copy)
        branch = cx if copy <= depths[0] else cx.under(Is(ref, deep))
        value = m.apply(m, branch, expr.left, env, prefixes[-1], want if copy == 1 else None)
        if value is UNKNOWN or value is ABSENT:
            return value
        if _changes(m, expr, prefixes[-1], value, copy, depths[0]):
            return UNKNOWN
        prefixes.append(value)
    return join(m, cx, slot, ref, [prefixes[d] for d in depths], labels, (expr.left.span,) * len(depths), expr.span)


def _changes(m: Machine, expr: ast.Binary, before: Value, after: Value, copy: int, least: int) -> bool:
    """Report a copy that changes the type where the depth could stop before or after it."""
    if copy == 1 and least > 0:
        return False
    pairs = list(zip(leaves(before), leaves(after), strict=False))
    if shape_of(before) == shape_of(after) and all(
        isinstance(a, Tensor) and isinstance(b, Tensor) and same_type(a.type, b.type) for a, b in pairs
    ):
        return False
    which = (
        "with depth 0 possible, no copy may change the type"
        if copy == 1
        else "in a depth choice only the first copy may change the type"
    )
    m.fail(
        "E0405",
        expr.left.span,
        f"copy {copy} turns {describe(before)} into {describe(after)}",
        which,
        labels=(Label(expr.right.span, "the depth is chosen here"),),
    )
    return True
