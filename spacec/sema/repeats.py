"""``f * n`` and ``f * {2..4}``: copies in sequence, and how many of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spacec.diagnostics.model import Label
from spacec.ir.conditions import Cond, Is, both
from spacec.ir.dims import Poly
from spacec.ir.graph import DecisionDecl, DecisionRef, SlotDecl
from spacec.sema.builder import Cx
from spacec.sema.choices import join
from spacec.sema.conditional import cases, condition_of, under, variables_of
from spacec.sema.machine import MAX_DEPTH, MAX_REPEAT, Machine
from spacec.sema.presence import presence_of
from spacec.sema.stated import same_type
from spacec.sema.switches import join_switch
from spacec.sema.value_choice import braces_values
from spacec.sema.values import UNKNOWN, Env, Options, Tensor, Test, Value, Want, describe, leaves, shape_of
from spacec.source import Span
from spacec.syntax import ast


def apply_repeat(m: Machine, cx: Cx, expr: ast.Binary, env: Env, x: Value, want: Want | None) -> Value:
    """Copies of the left side, each deciding and weighing for itself; the first takes a stated change."""
    if isinstance(expr.right, ast.Braces):
        return _own_depth(m, cx, expr, expr.right, env, x, want)
    count = m.evaluate(m, cx, expr.right, env)
    if count is UNKNOWN:
        return UNKNOWN
    if isinstance(count, Options | Poly):
        return _shared_depth(m, cx, expr, count, env, x, want)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        return m.fail("E0404", expr.right.span, f"a repeat count is a whole number, found {describe(count)}")
    if count > MAX_REPEAT:
        return m.fail("E0404", expr.right.span, f"{count:,} copies", f"at most {MAX_REPEAT:,}")
    value = x
    for copy in range(count):
        value = m.apply(m, cx, expr.left, env, value, want if copy == 0 else None)
        if value is UNKNOWN:
            return UNKNOWN
    return value


def _depths(m: Machine, span: Span, values: Sequence[Value]) -> list[int] | None:
    """The numbers as depths; ``None`` after a report."""
    depths = [v for v in values if isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= MAX_DEPTH]
    if len(depths) == len(values):
        return depths
    m.fail("E0404", span, f"depths are whole numbers from 0 to {MAX_DEPTH:,}")
    return None


def _own_depth(
    m: Machine, cx: Cx, expr: ast.Binary, braces: ast.Braces, env: Env, x: Value, want: Want | None
) -> Value:
    """A depth choice: always a prefix of the longest sequence; copies beyond the depth are absent."""
    values = braces_values(m, cx, braces, env)
    depths = None if values is None else _depths(m, braces.span, values)
    if depths is None:
        return UNKNOWN
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
    return _chosen_depth(m, cx, expr, env, x, want, DecisionRef((), decision), depths, slot)


def _shared_depth(
    m: Machine, cx: Cx, expr: ast.Binary, count: Options | Poly, env: Env, x: Value, want: Want | None
) -> Value:
    """A depth that is decided elsewhere, perhaps for several repeats: that value's slot chooses, or a switch does."""
    decisions = variables_of(count)
    every = cases(decisions)
    if not decisions or every is None:
        return m.fail("E0404", expr.right.span, f"a repeat count is a whole number, found {describe(count)}")
    taken = list(every)
    depths = _depths(m, expr.right.span, [under(count, case) for case in taken])
    if depths is None:
        return UNKNOWN
    slot = decisions[0].decision.slot
    if len(decisions) == 1 and isinstance(count, Options) and slot is not None:
        return _chosen_depth(m, cx, expr, env, x, want, decisions[0], depths, slot)
    rows = [(tuple(case.values()), depth) for case, depth in zip(taken, depths, strict=True)]
    if len(set(depths)) == 1:
        fixed = ast.Binary("*", expr.left, ast.Number(depths[0], span=expr.right.span), span=expr.span)
        return apply_repeat(m, cx, fixed, env, x, want)

    def where(holds: Callable[[int], bool]) -> Test:
        return Test(decisions, frozenset(row for row, depth in rows if holds(depth)))

    prefixes = _prefixes(m, cx, expr, env, x, want, depths, lambda copy: condition_of(where(lambda d: d >= copy)))
    if prefixes is None:
        return UNKNOWN
    distinct = sorted(set(depths))
    tests = tuple(where(depth.__eq__) for depth in distinct)
    places = (expr.left.span,) * len(tests)
    return join_switch(m, cx, [prefixes[d] for d in distinct], tests, places, expr.span)


def _chosen_depth(
    m: Machine,
    cx: Cx,
    expr: ast.Binary,
    env: Env,
    x: Value,
    want: Want | None,
    ref: DecisionRef,
    depths: Sequence[int],
    slot: SlotDecl,
) -> Value:
    """The prefix that a decision chooses; ``depths`` in the order of its candidates."""

    def reached(copy: int) -> Cond:
        return Is(ref, frozenset(k for k, depth in enumerate(depths) if depth >= copy))

    prefixes = _prefixes(m, cx, expr, env, x, want, depths, reached)
    if prefixes is None:
        return UNKNOWN
    places = (expr.left.span,) * len(depths)
    return join(m, cx, slot, ref, [prefixes[d] for d in depths], ref.decision.labels, places, expr.span)


def _prefixes(
    m: Machine,
    cx: Cx,
    expr: ast.Binary,
    env: Env,
    x: Value,
    want: Want | None,
    depths: Sequence[int],
    reached: Callable[[int], Cond],
) -> list[Value] | None:
    """What the first 0, 1, 2 … copies give; copy ``c`` exists where ``reached(c)`` holds. ``None`` after a report."""
    prefixes: list[Value] = [x]
    for copy in range(1, max(depths) + 1):
        branch = cx if copy <= min(depths) else cx.under(reached(copy))
        value = m.apply(m, branch, expr.left, env, prefixes[-1], want if copy == 1 else None)
        if value is UNKNOWN or _changes(m, expr, prefixes[-1], value, copy, min(depths)):
            return None
        prefixes.append(value)
    return prefixes


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
