"""The ``where`` of a space: what a constraint mentions, whether it holds, and its linear form.

A comparison is between polynomials over decision symbols and costs. It holds vacuously where one of
the decisions that it names itself is inactive; decisions inside a cost do not count, since a cost
is what the active ones add up to. Comparisons join by *and* and *or*; a negation is gone by now
(the comparison under it is turned round), so vacuity means the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import ALWAYS, holds
from spacec.ir.conditions import text as condition_text
from spacec.ir.dims import Atom, Cases, Dim, Monomial, Poly, Symbol, symbols
from spacec.ir.sizes import evaluate
from spacec.space.activity import ConditionPool
from spacec.space.cost import evaluate_cost, free_sizes
from spacec.space.decisions import Constraint, CostTerm, DecisionTable, Forbidden, Junction, Limit, Need
from spacec.space.values import Number, Value, symbol_number

COST = "cost"
"""``ref`` of a symbol that stands for a cost of the table."""


@dataclass(frozen=True)
class Linear:
    """``sum of terms op 0``, void where a decision in ``mentioned`` is inactive."""

    op: Literal["<=", "<", "==", "!="]
    terms: tuple[CostTerm, ...]
    mentioned: frozenset[str]
    text: str = ""


@dataclass(frozen=True)
class LinearJunction:
    """All or any of linear parts."""

    conjunction: bool
    parts: tuple[LinearLimit, ...]
    text: str = ""


LinearLimit = Linear | LinearJunction


def linear_parts(limit: LinearLimit) -> Iterator[Linear]:
    """The comparisons of a limit, as written."""
    if isinstance(limit, Linear):
        yield limit
        return
    for part in limit.parts:
        yield from linear_parts(part)


def comparisons(limit: Limit) -> Iterator[Constraint]:
    """The comparisons of numbers in a limit, as written."""
    if isinstance(limit, Constraint):
        yield limit
    elif isinstance(limit, Junction):
        for part in limit.parts:
            yield from comparisons(part)


def mentioned(constraint: Constraint) -> frozenset[str]:
    """Ids of the decisions that a comparison names itself."""
    found = symbols(constraint.left) | symbols(constraint.right)
    return frozenset(s.name for s in found if s.ref != COST and s.part is None)


def sides(table: DecisionTable, constraint: Constraint, chosen: Mapping[str, Value]) -> tuple[Number, Number] | None:
    """Both sides under an assignment of the active decisions, or ``None`` where the comparison is void.

    Raises :class:`SpacecError` (E0512) where a side needs the size of an input.
    """
    check_symbols(table)
    if any(name not in chosen for name in mentioned(constraint)):
        return None

    def value(symbol: Symbol) -> Number:
        if symbol.ref == COST:
            return evaluate_cost(table, symbol.name, chosen)
        return symbol_number(table.by_id[symbol.name], chosen.get(symbol.name), symbol.part)

    return evaluate(constraint.left, value), evaluate(constraint.right, value)


def satisfied(table: DecisionTable, limit: Limit, chosen: Mapping[str, Value]) -> bool:
    """Whether a limit holds under an assignment of the active decisions."""
    match limit:
        case Constraint():
            both = sides(table, limit, chosen)
            return both is None or compare(both[0], limit.op, both[1])
        case Forbidden():
            return not holds(limit.when, lambda name: chosen.get(str(name)))
        case Junction():
            return (all if limit.conjunction else any)(satisfied(table, p, chosen) for p in limit.parts)


def all_satisfied(table: DecisionTable, chosen: Mapping[str, Value]) -> bool:
    """Whether every output is there and every constraint of the table holds."""
    return not absent_outputs(table, chosen) and all(satisfied(table, c, chosen) for c in table.constraints)


def absent_outputs(table: DecisionTable, chosen: Mapping[str, Value]) -> list[Need]:
    """The outputs that an assignment of the active decisions leaves absent."""
    if not table.needs:
        return []
    if "needs" not in table.memo:
        pool = ConditionPool()
        table.memo["needs"] = pool, [pool.add(n.when) for n in table.needs]
    pool, roots = table.memo["needs"]
    truths: list[bool] = []
    pool.extend(truths, len(pool.nodes), chosen)
    return [need for need, root in zip(table.needs, roots, strict=True) if not truths[root]]


def needed(need: Need) -> Linear:
    """What is needed as a constraint: ``1 - present <= 0``."""
    terms = CostTerm(ALWAYS, 1), CostTerm(need.when, -1)
    return Linear("<=", terms, frozenset(), f"output {need.output} is there")


def compare(left: Number, op: str, right: Number) -> bool:
    match op:
        case "<=":
            return left <= right
        case ">=":
            return left >= right
        case "<":
            return left < right
        case ">":
            return left > right
        case "==":
            return left == right
        case _:
            return left != right


def linear_limit(table: DecisionTable, limit: Limit) -> LinearLimit:
    """A limit with every comparison in its linear form. Raises as :func:`linear` does."""
    match limit:
        case Constraint():
            return linear(table, limit)
        case Forbidden():
            return Linear("<=", (CostTerm(limit.when, 1),), frozenset(), constraint_text(limit))
        case Junction():
            parts = tuple(linear_limit(table, p) for p in limit.parts)
            return parts[0] if len(parts) == 1 else LinearJunction(limit.conjunction, parts, limit.text)


def linear(table: DecisionTable, constraint: Constraint) -> Linear:
    """The comparison as one sum of conditional amounts against zero.

    Raises :class:`SpacecError`: E0512 where it needs the size of an input, E0513 where costs are
    multiplied with each other, so that no sum over decisions represents it.
    """
    check_symbols(table)
    difference: Dim = constraint.left - constraint.right
    sign = -1 if constraint.op in (">=", ">") else 1
    terms: list[CostTerm] = []
    monomials = difference.terms if isinstance(difference, Poly) else (((), difference),)
    for monomial, coefficient in monomials:
        costs = [(atom, power) for atom, power in monomial if _involves_cost(atom)]
        rest = tuple((atom, power) for atom, power in monomial if not _involves_cost(atom))
        factor = _poly(rest, coefficient * sign)
        if not costs:
            terms.append(CostTerm(ALWAYS, factor))
        elif len(costs) == 1 and costs[0][1] == 1 and isinstance(costs[0][0], Symbol):
            terms.extend(CostTerm(t.when, t.amount * factor) for t in table.costs[costs[0][0].name])
        else:
            raise SpacecError(
                Diagnostic(
                    "E0513",
                    f"`{constraint_text(constraint)}` is not linear in its costs, so it cannot be counted under",
                    constraint.span,
                )
            )
    op: Literal["<=", "<", "==", "!="]
    match constraint.op:
        case "<=" | ">=":
            op = "<="
        case "<" | ">":
            op = "<"
        case _:
            op = constraint.op
    return Linear(op, tuple(terms), mentioned(constraint), constraint_text(constraint))


def constraint_text(limit: Limit) -> str:
    """As written in the source, where that is known."""
    if limit.text:
        return limit.text
    match limit:
        case Constraint():
            return f"{limit.left} {limit.op} {limit.right}"
        case Forbidden():
            return f"not ({condition_text(limit.when)})"
        case Junction():
            word = " and " if limit.conjunction else " or "
            return word.join(map(constraint_text, limit.parts)) or ("true" if limit.conjunction else "false")


def _poly(monomial: Monomial, coefficient: Number) -> Dim:
    if not monomial and isinstance(coefficient, int):
        return coefficient
    return Poly(((monomial, coefficient),))


def _involves_cost(atom: Atom) -> bool:
    if isinstance(atom, Symbol):
        return atom.ref == COST
    if isinstance(atom, Cases):
        return False
    return any(s.ref == COST for a in atom.args for s in symbols(a))


def check_symbols(table: DecisionTable) -> None:
    """Raise E0512 where a constraint mentions something that no decision sets; looked at once per table."""
    if "where checked" in table.memo:
        return
    for limit in table.constraints:
        for constraint in comparisons(limit):
            _check_symbols(table, constraint)
    table.memo["where checked"] = True


def _check_symbols(table: DecisionTable, constraint: Constraint) -> None:
    free: set[str] = set()
    costs: list[str] = []
    for symbol in symbols(constraint.left) | symbols(constraint.right):
        if symbol.ref == COST:
            sizes = free_sizes(table, symbol.name)
            costs += [symbol.name] if sizes else []
            free |= set(sizes)
        elif symbol.name not in table.by_id:
            free.add(symbol.name)
    if free:
        stated = ", ".join(f"{name} = 64" for name in sorted(free))
        bare = len(costs) == 1 and costs[0].isidentifier()
        raise SpacecError(
            Diagnostic(
                "E0512",
                f"`{constraint_text(constraint)}` depends on {', '.join(sorted(free))}, which no decision sets",
                constraint.span,
                notes=("a constraint must be decided once every decision is taken",),
                help=f"say at which size, such as `{costs[0]}({stated})`" if bare else "",
            )
        )
