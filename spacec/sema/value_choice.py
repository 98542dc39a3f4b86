"""``{3, 5, 7}`` and ``elastic {…}`` as data: a decision whose candidates are values."""

from __future__ import annotations

from spacec.ir.dims import Symbol, poly
from spacec.ir.graph import DecisionDecl, DecisionRef, SlotDecl
from spacec.sema.builder import Cx
from spacec.sema.machine import MAX_CANDIDATES, Machine
from spacec.sema.values import UNKNOWN, Env, Options, Pack, Value, describe
from spacec.syntax import ast


def braces_values(m: Machine, cx: Cx, expr: ast.Braces, env: Env) -> tuple[Value, ...] | None:
    """The candidates, ranges and spreads expanded; ``None`` after a report."""
    value = m.evaluate(m, cx.inside(), ast.ListOf(expr.items, span=expr.span), env)
    if value is not UNKNOWN and not isinstance(value, Pack):
        m.fail("E0306", expr.span, f"a value choice lists numbers and texts, found {describe(value)}")
        return None
    if not isinstance(value, Pack) or any(v is UNKNOWN for v in value.items):
        return None
    if not value.items:
        m.fail("E0401", expr.span, "a choice needs at least one value")
        return None
    if len(value.items) > MAX_CANDIDATES:
        m.fail("E0408", expr.span, f"a choice among {len(value.items):,}", f"at most {MAX_CANDIDATES:,}")
        return None
    seen: set[Value] = set()
    for item in value.items:
        if not isinstance(item, bool | int | float | str):
            m.fail("E0306", expr.span, f"a value choice lists numbers and texts, found {describe(item)}")
            return None
        if item in seen:
            m.fail("E0401", expr.span, f"the value {item} is listed twice", "candidates of a choice differ")
            return None
        seen.add(item)
    return value.items


def evaluate_braces(m: Machine, cx: Cx, expr: ast.Braces, env: Env, *, handed_on: bool = True) -> Value:
    """A decision over the listed values: a size symbol where elastic, else one option for each value.

    ``handed_on``: other text, perhaps in another region, may come to mention it.
    """
    values = braces_values(m, cx, expr, env)
    if values is None:
        return UNKNOWN
    if len(values) == 1:
        return values[0]
    step = cx.step if cx.fresh else cx.enter("value").step
    labels = tuple(str(v) for v in values)
    plain = tuple(v for v in values if isinstance(v, int | float | str))
    single = handed_on or expr.elastic
    name = step.name or (cx.builder.region.name if cx.builder.binder else "value")
    decision = DecisionDecl(
        "value",
        step,
        labels,
        plain,
        elastic=expr.elastic,
        condition=cx.guard,
        span=expr.span,
        name=name,
        single=single,
    )
    if not expr.elastic:
        cx.builder.decide(decision)
        cx.builder.slot(SlotDecl(step, labels, decision))
        return Options(DecisionRef((), decision), values)
    sizes = tuple(v for v in values if isinstance(v, int) and not isinstance(v, bool))
    if len(sizes) < len(values) or min(sizes) < 1:
        return m.fail(
            "E0306",
            expr.span,
            "elastic values are positive whole numbers",
            help="drop `elastic` to choose among other values",
        )
    cx.builder.decide(decision)
    decision.symbol = _symbol(m, cx, Symbol(name, sizes, decision))
    cx.builder.slot(SlotDecl(step, labels, decision))
    return poly(decision.symbol)


def _symbol(m: Machine, cx: Cx, symbol: Symbol) -> Symbol:
    """Its symbol: in the body of a let, every activation has the symbols of the first."""
    builder = cx.builder
    if builder.binder is None:
        return symbol
    builder.symbols[0] += 1
    return m.shared_symbols.setdefault((builder.binder, builder.symbols[0]), symbol)
