"""Exact arithmetic on data: numbers and sizes, element by element on lists, term by term on tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import inf, isfinite, prod

from spacec.ir.conditions import both
from spacec.ir.dims import Dim, Poly, symbols, weight
from spacec.ir.ops import Precondition
from spacec.ir.quotients import exact_div, floor_div, modulo
from spacec.ir.sizes import divides, same, undivided, violation
from spacec.ir.types import TensorType
from spacec.sema.builder import Cx
from spacec.sema.conditional import MAX_CASES, under, variables_of
from spacec.sema.machine import Machine
from spacec.sema.presence import example_text
from spacec.sema.primitive import apply_primitive
from spacec.sema.stated import same_type
from spacec.sema.values import ABSENT, UNKNOWN, Options, Pack, Picked, Tensor, TypeView, Value, describe
from spacec.source import Span
from spacec.syntax import ast

Number = int | float | Poly

MAX_BITS = 4_096
"""Of a whole number."""
MAX_TERMS = 4_096
"""Of a product of sizes before it is collected."""


def combine(m: Machine, cx: Cx, expr: ast.Binary, left: Value, right: Value) -> Value:
    """``left op right``, element by element on lists, term by term on tensors."""
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    if expr.op == "+" and (isinstance(left, Tensor) or isinstance(right, Tensor) or left is ABSENT or right is ABSENT):
        spec = m.ops.get("sum")
        return UNKNOWN if spec is None else apply_primitive(m, cx, spec, {}, Pack((left, right)), None, expr.span)
    if isinstance(left, Pack) or isinstance(right, Pack):
        return _elementwise(m, cx, expr, left, right)
    if isinstance(left, Options) or isinstance(right, Options):
        return each_option(m, expr.span, (left, right), lambda pair: combine(m, cx, expr, pair[0], pair[1]))
    if isinstance(left, Picked) or isinstance(right, Picked):
        return _present(m, cx, expr, left, right)
    if not isinstance(left, int | float | Poly) or not isinstance(right, int | float | Poly):
        headline = f"`{expr.op}` between {describe(left)} and {describe(right)}"
        return m.fail("E0203", expr.span, headline, help=_of_tensors(expr, left, right))
    if isinstance(left, float) or isinstance(right, float):
        return _float(m, expr, left, right)
    if expr.op == "*" and not bounded(left, right):
        return m.fail("E0306", expr.span, f"this number needs more than {MAX_BITS:,} bits or {MAX_TERMS:,} terms")
    return within_measure(m, expr.span, _exact(m, expr, left, right))


def _of_tensors(expr: ast.Binary, left: Value, right: Value) -> str:
    """How arithmetic of tensors is written, where there is such."""
    a, b = expr.left.span.text, expr.right.span.text
    match left, right, expr.op:
        case Tensor(), Tensor(), "-":
            return f"write `{a} + ({b} >> times(-1))`"
        case Tensor(), Tensor(), "*":
            return f"write `({a}, {b}) >> mul`"
        case Tensor(), int() | float(), "*":
            return f"write `{a} >> times({b})`"
        case int() | float(), Tensor(), "*":
            return f"write `{b} >> times({a})`"
    return ""


def within_measure(m: Machine, span: Span, value: Value) -> Value:
    """The value, if it is no size beyond all measure."""
    if isinstance(value, Poly) and weight(value) > MAX_TERMS:
        return m.fail("E0306", span, f"this size has over {MAX_TERMS:,} terms when written out")
    return value


def each_option(m: Machine, span: Span, values: Sequence[Value], function: Callable[[Sequence[Value]], Value]) -> Value:
    """A function of data of which some is chosen: its result for each candidate."""
    if prod(len(ref.decision.labels) for ref in variables_of(*values)) > MAX_CASES:
        return m.fail("E0408", span, f"this takes one of over {MAX_CASES:,} values", "computed from value choices")
    return _each_option(values, function)


def _each_option(values: Sequence[Value], function: Callable[[Sequence[Value]], Value]) -> Value:
    choice = next((v for v in values if isinstance(v, Options)), None)
    if choice is None:
        return function(values)
    cases = ({choice.decision: k} for k in range(len(choice.values)))
    results = tuple(_each_option([under(v, case) for v in values], function) for case in cases)
    return UNKNOWN if any(r is UNKNOWN for r in results) else replace(choice, values=results)


def _present(m: Machine, cx: Cx, expr: ast.Binary, left: Value, right: Value) -> Value:
    """A number made of picked ones, there where all of these are."""
    picked = [v for v in (left, right) if isinstance(v, Picked)]
    a, b = (v.value if isinstance(v, Picked) else v for v in (left, right))
    value = combine(m, cx, expr, a, b)
    if value is UNKNOWN:
        return UNKNOWN
    gates = tuple(dict.fromkeys(g for p in picked for g in p.gates))
    return Picked(value, both(*(p.presence for p in picked)), gates)


def bounded(left: Dim, right: Dim) -> bool:
    """Whether a product is a number that anything could have as a size."""
    terms, bits = 1, 0
    for factor in (left, right):
        terms *= 1 if isinstance(factor, int) else len(factor.terms)
        bits += factor.bit_length() if isinstance(factor, int) else 0
    return terms <= MAX_TERMS and bits <= MAX_BITS


def _elementwise(m: Machine, cx: Cx, expr: ast.Binary, left: Value, right: Value) -> Value:
    many = left if isinstance(left, Pack) else right
    size = len(many.items) if isinstance(many, Pack) else 0
    a = left.items if isinstance(left, Pack) else (left,) * size
    b = right.items if isinstance(right, Pack) else (right,) * size
    if len(a) != len(b):
        return m.fail("E0307", expr.span, f"`{expr.op}` between lists of {len(a)} and {len(b)}")
    return Pack(tuple(combine(m, cx, expr, x, y) for x, y in zip(a, b, strict=True)))


def _float(m: Machine, expr: ast.Binary, left: Number, right: Number) -> Value:
    if isinstance(left, Poly) or isinstance(right, Poly):
        return _scaled(m, expr, left, right)
    if right == 0 and expr.op in ("/", "//", "%"):
        return m.fail("E0306", expr.span, "division by zero")
    try:
        found = _inexact(expr.op, left, right)
    except (OverflowError, ZeroDivisionError):
        found = inf
    if isinstance(found, complex) or not isfinite(found):
        return m.fail("E0306", expr.span, "this number is beyond the range of decimal numbers")
    return found


def _inexact(op: ast.BinaryOp, left: int | float, right: int | float) -> int | float | complex:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "^":
            return left**right
        case "/":
            return left / right
        case "//":
            return left // right
        case _:
            return left % right


def _scaled(m: Machine, expr: ast.Binary, left: Number, right: Number) -> Value:
    """A size times or divided by a decimal number: exact, and only for sizes that an architecture chooses."""
    size, factor = (left, right) if isinstance(left, Poly) else (right, left)
    divided = expr.op == "/" and size is left
    scales = (expr.op == "*" or divided) and isinstance(factor, float) and isfinite(factor)
    if not scales or not isinstance(size, Poly) or any(s.domain is None for s in size.symbols):
        return m.fail("E0306", expr.span, "sizes are exact: a fraction cannot scale a symbol")
    ratio = Fraction(str(factor))
    if divided and ratio == 0:
        return m.fail("E0306", expr.span, "division by zero")
    return size * Poly((((), 1 / ratio if divided else ratio),)) if ratio else 0


def _exact(m: Machine, expr: ast.Binary, left: Dim, right: Dim) -> Value:
    match expr.op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "^":
            return _power(m, expr, left, right)
        case _:
            if right == 0:
                return m.fail("E0306", expr.span, "division by zero")
            if isinstance(right, Poly) and any(s.part is not None for s in right.symbols):
                zero = violation(right, "!=", 0)
                if zero is not None:
                    note = (f"a counterexample: an architecture with {example_text(zero)}",) if zero else ()
                    text = "`max(1, …)` keeps a count above zero"
                    return m.fail("E0306", expr.span, "division by a number that may be zero", notes=note, help=text)
    if expr.op == "//":
        return floor_div(left, right)
    if expr.op == "%":
        return modulo(left, right)
    quotient = exact_div(left, right)
    chosen = divides(left, right) if symbols(left) | symbols(right) else None
    if chosen:
        return quotient[0] if quotient else floor_div(left, right)
    if quotient is None or chosen is False:
        return m.fail(
            "E0303",
            expr.span,
            f"{left} does not divide by {right}",
            "an explicit `/` is exact",
            notes=_remainder(left, right) if chosen is False else (),
            help="use `//` to round down" if isinstance(left, int) or chosen is False else "",
        )
    if not quotient[1] and isinstance(right, int):
        m.preconditions.setdefault(Precondition(left, right), expr.span)
    return quotient[0]


def _remainder(left: Dim, right: Dim) -> tuple[str, ...]:
    """A note with sizes for which a division leaves a remainder."""
    found = undivided(left, right)
    return (f"a counterexample: any architecture with {example_text(found)}",) if found else ()


def _power(m: Machine, expr: ast.Binary, left: Dim, right: Dim) -> Value:
    if not isinstance(right, int) or not 0 <= right <= 64:
        return m.fail("E0306", expr.span, "an exponent is a whole number from 0 to 64", f"found {right}")
    value: Dim = 1
    for _ in range(right):
        if not bounded(value, left):
            return m.fail("E0306", expr.span, f"this number needs more than {MAX_BITS:,} bits or {MAX_TERMS:,} terms")
        value = value * left
    return value


def _plain(value: Value) -> Value:
    return value.type if isinstance(value, TypeView | Tensor) else value  # type: ignore[return-value]  # a type compares by ==


def relation(left: Value, op: ast.CompareOp, right: Value) -> bool | None:
    if op in ("in", "not in"):
        if not isinstance(right, Pack):
            return None
        found = [relation(left, "==", item) for item in right.items]
        if True in found:
            return op == "in"
        return None if None in found else op == "not in"
    if op in ("==", "!="):
        equal = _equal(left, right)
        return None if equal is None else equal is (op == "==")
    return _ordered(left, op, right)


def _equal(left: Value, right: Value) -> bool | None:
    a, b = _plain(left), _plain(right)
    if isinstance(a, TensorType) and isinstance(b, TensorType):
        return same_type(a, b)
    if isinstance(a, Pack) and isinstance(b, Pack):
        if len(a.items) != len(b.items):
            return False
        parts = [_equal(x, y) for x, y in zip(a.items, b.items, strict=True)]
        return False if False in parts else (None if None in parts else True)
    if isinstance(a, int | Poly) and isinstance(b, int | Poly):
        return same(a, b)
    return a == b if isinstance(a, int | float | str) and isinstance(b, int | float | str) else None


def _ordered(left: Value, op: ast.CompareOp, right: Value) -> bool | None:
    if isinstance(left, int | Poly) and isinstance(right, int | Poly):
        left, right = left - right, 0
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return None
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op]
