"""``where``: constraints over costs and decisions, as comparisons joined by *and*, *or* and *not*.

A comparison is between polynomials over decision symbols and costs; or, where one side is a choice
among texts or a let that chooses among networks, between candidates. *not* is pushed down to the
comparisons, which it turns round.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import Literal

from spacec.ir.conditions import Cond, Is, both, either
from spacec.ir.dims import Dim, Poly, Symbol, poly
from spacec.sema.arithmetic import MAX_TERMS, bounded
from spacec.sema.costs import Costs
from spacec.sema.header import scratch
from spacec.sema.machine import Machine, mentions
from spacec.sema.values import UNKNOWN, Definition, Env, Options, Pack, Value, describe
from spacec.source import Span
from spacec.space.constraints import compare
from spacec.space.decisions import Constraint, Forbidden, Junction, Limit
from spacec.space.measures import Measure
from spacec.syntax import ast

Op = Literal["<=", ">=", "==", "!=", "<", ">"]

CONDITION = 200
"""Steps that a condition is worth: each is counted over and sampled from."""

_OPPOSITE: dict[str, Op] = {"<=": ">", ">=": "<", "<": ">=", ">": "<=", "==": "!=", "!=": "=="}


def read_limits(
    m: Machine, items: tuple[ast.Item, ...], header: ast.Header, env: Env
) -> tuple[tuple[Limit, ...], tuple[Measure, ...]]:
    """Every condition of every ``where``, and what their cost symbols stand for.

    Decision symbols and conditions still carry their declaration; cost symbols carry ``"cost"``.
    """
    reader = _Reader(m, items, env, Costs(m, header, env))
    limits: list[Limit] = []
    for item in items:
        if isinstance(item, ast.Where):
            for condition in item.conditions:
                if not m.spend(condition.span, CONDITION):
                    break
                limits.extend(_flat(reader.condition(condition, True)))
    return tuple(limits), tuple(reader.costs.measures.values())


def _flat(limit: Limit | None) -> list[Limit]:
    """A conjunction as its parts, so that each is named by itself where it fails."""
    if isinstance(limit, Junction) and limit.conjunction:
        return [part for each in limit.parts for part in _flat(each)]
    return [] if limit is None else [limit]


class _Reader:
    """Reads conditions in one scope; ``None`` stands for what was reported."""

    def __init__(self, m: Machine, items: tuple[ast.Item, ...], env: Env, costs: Costs) -> None:
        self.m, self.env, self.costs = m, env, costs
        self.read = {name for i in items if not isinstance(i, ast.Where) for name in mentions(m, i).names}
        self.reached = frozenset(m.uses)
        """Before the constraints themselves read anything."""

    def dormant(self, expr: ast.Expr) -> bool:
        """Whether it is about a let that other forms of the space use and this one does not: always inactive."""
        values = [(name, self.env.get(name)) for name in mentions(self.m, expr).names if name in self.read]
        return any(
            isinstance(v, Definition) and v.binder is not None and id(v.binding) not in self.reached for _, v in values
        )

    def condition(self, expr: ast.Expr, positive: bool) -> Limit | None:
        """A condition, or (``positive`` false) its negation."""
        text = expr.span.text if positive else f"not ({expr.span.text})"
        match expr:
            case ast.Binary(op="and" | "or"):
                parts = [self.condition(e, positive) for e in (expr.left, expr.right)]
                told = tuple(p for p in parts if p is not None)
                return Junction((expr.op == "and") == positive, told, text, expr.span) if len(told) == 2 else None
            case ast.Unary(op="not"):
                return self.condition(expr.operand, not positive)
            case ast.Compare():
                parts = [self.comparison(expr, k, op, positive) for k, op in enumerate(expr.ops)]
                told = tuple(p for p in parts if p is not None)
                if len(told) < len(parts):
                    return None
                return told[0] if len(told) == 1 else Junction(positive, told, text, expr.span)
            case _:
                return self.settled(expr, positive)

    def settled(self, expr: ast.Expr, positive: bool) -> Limit | None:
        """A flag among conditions: a header parameter, or arithmetic on them."""
        value: Value = UNKNOWN
        if not isinstance(expr, ast.Name | ast.Call) or not self.costs.meant(expr):
            value = self.data(expr)
            if value is UNKNOWN:
                return None
        if isinstance(value, bool | int | float):
            return Junction(bool(value) == positive, (), expr.span.text, expr.span)
        self.m.fail("E0505", expr.span, "a constraint is a comparison", "for example `params <= 5M`")
        return None

    def comparison(self, expr: ast.Compare, k: int, op: str, positive: bool) -> Limit | None:
        left, right = expr.operands[k], expr.operands[k + 1]
        span = left.span.to(right.span)
        text = span.text if positive else f"not ({span.text})"
        if any(map(self.dormant, (left, right))):
            return Junction(True, (), text, span)
        if op in ("in", "not in"):
            return self.membership(left, right, (op == "in") == positive, text, span)
        kept = _OPPOSITE[op] if not positive else _OPPOSITE[_OPPOSITE[op]]
        labelled = [self.candidates(e) for e in (left, right)]
        if any(c is not None for c in labelled):
            return self.labels((left, right), labelled, kept, text, span)
        sides = [self.side(left), self.side(right)]
        if sides[0] is None or sides[1] is None:
            return None
        return _numeric(sides[0], kept, sides[1], text, span)

    # -------------------------------------------------------------- candidates

    def candidates(self, expr: ast.Expr) -> tuple[Hashable, tuple[Value, ...]] | None:
        """The decision and candidates of a choice among texts, or of a let that is a choice of networks."""
        if not isinstance(expr, ast.Name | ast.Index):
            return None
        found = self.costs.choice(expr)
        if found is not None:
            return found
        if isinstance(expr, ast.Name) and isinstance(self.env.get(expr.id), Definition):
            value = self.data(expr)
            if isinstance(value, Options) and any(isinstance(v, str) for v in value.values):
                return value.decision, value.values
        return None

    def labels(
        self,
        sides: tuple[ast.Expr, ast.Expr],
        labelled: list[tuple[Hashable, tuple[Value, ...]] | None],
        op: str,
        text: str,
        span: Span,
    ) -> Limit | None:
        """``heads == "a"``, or two choices among texts with each other."""
        if op not in ("==", "!="):
            self.m.fail("E0505", span, f"texts have no order, so `{op}` says nothing", "compare with `==` or `!=`")
            return None
        known = [c if c is not None else (None, self.texts(e)) for c, e in zip(labelled, sides, strict=True)]
        if any(values is None for _, values in known):
            return None
        (first, mine), (second, theirs) = known
        assert mine is not None
        assert theirs is not None
        if first is None or second is None:
            among, wanted, at = (theirs, mine, sides[0]) if first is None else (mine, theirs, sides[1])
            if not self.among(among, wanted, at):
                return None
        bad = [(a, b) for a, x in enumerate(mine) for b, y in enumerate(theirs) if (x == y) != (op == "==")]
        return Forbidden(either(*(_pair(first, a, second, b) for a, b in bad)), text, span)

    def texts(self, expr: ast.Expr) -> tuple[Value, ...] | None:
        value = self.data(expr)
        if value is UNKNOWN:
            return None
        if isinstance(value, str | int | float):
            return (value,)
        self.m.fail("E0505", expr.span, f"a choice among texts is compared with a text, not {describe(value)}")
        return None

    def among(self, candidates: tuple[Value, ...], wanted: tuple[Value, ...], expr: ast.Expr) -> bool:
        missing = [w for w in wanted if w not in candidates]
        if missing:
            listed = ", ".join(map(str, candidates))
            self.m.fail(
                "E0505",
                expr.span,
                f"no candidate is {_quoted(missing[0])}",
                "never chosen",
                notes=(f"the candidates are {listed}",),
                help=self.costs.near(missing[0], candidates),
            )
        return not missing

    def membership(self, left: ast.Expr, right: ast.Expr, inside: bool, text: str, span: Span) -> Limit | None:
        """``k in [3, 5]``, ``heads not in ["a"]``."""
        listed = self.data(right)
        if listed is UNKNOWN:
            return None
        if not isinstance(listed, Pack):
            self.m.fail("E0505", right.span, "`in` is followed by a list", f"found {describe(listed)}")
            return None
        choice = self.candidates(left)
        if choice is not None:
            if not self.among(choice[1], listed.items, right):
                return None
            bad = frozenset(i for i, v in enumerate(choice[1]) if (v in listed.items) != inside)
            return Forbidden(Is(choice[0], bad) if bad else either(), text, span)
        side = self.side(left)
        if side is None:
            return None
        numbers = [_number(v) for v in listed.items]
        if any(n is None for n in numbers):
            self.m.fail("E0505", right.span, "a list of numbers is expected here")
            return None
        parts = tuple(_numeric(side, "==" if inside else "!=", n, text, span) for n in numbers if n is not None)
        return Junction(not inside, parts, text, span)

    # ------------------------------------------------------------------ numbers

    def side(self, expr: ast.Expr) -> Dim | None:
        if isinstance(expr, ast.Name | ast.Call) and self.costs.meant(expr):
            return self.costs.cost(expr)
        if isinstance(expr, ast.Binary) and expr.op in ("+", "-", "*"):
            left, right = self.side(expr.left), self.side(expr.right)
            if left is None or right is None:
                return None
            if expr.op == "*" and not bounded(left, right):
                self.m.fail("E0306", expr.span, f"a product of over {MAX_TERMS:,} terms")
                return None
            return left + right if expr.op == "+" else left - right if expr.op == "-" else left * right
        if isinstance(expr, ast.Unary) and expr.op == "-":
            operand = self.side(expr.operand)
            return None if operand is None else -operand
        value = self.data(expr)
        if value is UNKNOWN:
            return None
        if isinstance(value, Options):
            return self.option_symbol(value, expr)
        number = _number(value)
        if number is None:
            self.m.fail(
                "E0505", expr.span, "a constraint compares costs, sizes and numbers", f"found {describe(value)}"
            )
        return number

    def option_symbol(self, value: Options, expr: ast.Expr) -> Dim | None:
        if any(isinstance(v, bool) or not isinstance(v, int | float) for v in value.values):
            what = "this choice is among texts, which have no sums and no order"
            self.m.fail("E0505", expr.span, what, help='compare it alone: `== "…"`')
            return None
        whole = tuple(v for v in value.values if isinstance(v, int))
        return poly(Symbol("choice", whole if len(whole) == len(value.values) else None, value.decision.decision))

    def data(self, expr: ast.Expr) -> Value:
        """The value of an expression that neither decides nor reads a let that no network reads."""
        m = self.m
        cx, region = scratch()
        reached = set(m.shared_data)
        value = m.evaluate(m, cx, expr, self.env)
        if set(m.shared_data) - reached:
            if not m.sink.failed:  # what an error cut off may have read it
                m.fail("E0505", expr.span, f"`{expr.span.text}` is read by no network", "only this constraint reads it")
            return UNKNOWN
        if region.decisions:
            note = ("a constraint is about the decisions of a `let`; this would be a choice of its own",)
            m.fail("E0505", expr.span, "a constraint decides nothing", "this is a new choice", notes=note)
            return UNKNOWN
        return value


def _numeric(left: Dim, op: Op, right: Dim, text: str, span: Span) -> Limit:
    difference = left - right
    if isinstance(difference, int) or not difference.symbols:
        number = difference if isinstance(difference, int) else Fraction(difference.terms[0][1])
        return Junction(compare(number, op, 0), (), text, span)
    return Constraint(left, op, right, text, span)


def _number(value: Value) -> Dim | None:
    """A number or size of a side; a decimal number as written, not its nearest binary fraction."""
    if isinstance(value, float):
        exact = Fraction(str(value))
        return int(exact) if exact.denominator == 1 else Poly((((), exact),))
    return value if isinstance(value, int | Poly) and not isinstance(value, bool) else None


def _pair(first: Hashable | None, a: int, second: Hashable | None, b: int) -> Cond:
    atoms = [Is(ref, frozenset((k,))) for ref, k in ((first, a), (second, b)) if ref is not None]
    return both(*atoms)


def _quoted(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
