"""Whether an architecture is one of a space: its decisions, their values, and the constraints."""

from __future__ import annotations

from collections.abc import Mapping

from spacec.diagnostics.model import Diagnostic, Label, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.source import Span
from spacec.space.activity import walk
from spacec.space.architecture import Architecture, spelling_of
from spacec.space.constraints import absent_outputs, comparisons, constraint_text, satisfied, sides
from spacec.space.decisions import Constraint, Decision, DecisionTable, Need
from spacec.space.values import Number, Value, is_value

SHOWN = 5
"""Names that a message lists before it says how many more there are."""


def validate(table: DecisionTable, arch: Architecture, where: bool = True) -> None:
    """Raise :class:`SpacecError` unless ``arch`` is a valid architecture of the space.

    E0603: a decision that the space does not have; E0604: a value that a decision does not have;
    E0605: an active decision without a value, or an inactive one with a value; E0905: an output is
    absent; E0606: a constraint does not hold (with ``where``).
    """
    found = findings(table, arch.values, where)
    if found:
        raise SpacecError(found)


def findings(
    table: DecisionTable,
    chosen: Mapping[str, Value],
    where: bool = True,
    spans: Mapping[str, Span | None] | None = None,
) -> list[Diagnostic]:
    """What is wrong with an assignment; ``spans`` places the decisions in a text."""
    spans = spans or {}
    wrong = [unknown_decision(table, name, spans.get(name)) for name in chosen if name not in table.by_id]
    answered: set[str] = set()

    def choose(decision: Decision) -> Value:
        answered.add(decision.id)
        if decision.id not in chosen:
            raise SpacecError(missing(decision))
        value = chosen[decision.id]
        if not is_value(decision, value):
            raise SpacecError(no_value(table, decision, value, spans.get(decision.id)))
        return value

    try:
        walk(table, choose)
    except SpacecError as error:  # later decisions depend on this one, so nothing more can be said
        return [*wrong, *error.diagnostics]
    extra = [d for d in table.decisions if d.id in chosen and d.id not in answered]
    wrong += [inactive(d, spans.get(d.id)) for d in extra]
    wrong = wrong or [_absent(need) for need in absent_outputs(table, chosen)]
    return wrong or (violations(table, chosen) if where else [])


def violations(table: DecisionTable, chosen: Mapping[str, Value]) -> list[Diagnostic]:
    """One E0606 per constraint that does not hold, with the numbers that it compares."""
    found = []
    for limit in table.constraints:
        if satisfied(table, limit, chosen):
            continue
        text = constraint_text(limit)
        headline = f"this architecture violates `{text}`"
        notes: tuple[str, ...] = ()
        if isinstance(limit, Constraint):
            headline += f": {_shown(table, limit, chosen)} is false"
        else:
            notes = tuple(f"`{constraint_text(c)}`: {_shown(table, c, chosen)}" for c in comparisons(limit))
        found.append(Diagnostic("E0606", headline, limit.span if limit.text else None, notes=notes))
    return found


def _shown(table: DecisionTable, constraint: Constraint, chosen: Mapping[str, Value]) -> str:
    both = sides(table, constraint, chosen)
    if both is None:
        return "holds, since it is about an inactive decision"
    return f"{_number(both[0])} {constraint.op} {_number(both[1])}"


def unknown_decision(table: DecisionTable, name: str, span: Span | None = None) -> Diagnostic:
    near = nearest(name, table.by_id)
    return Diagnostic(
        "E0603", f"{table.space} has no decision {name!r}", span, help=f"did you mean {near!r}?" if near else ""
    )


def _absent(need: Need) -> Diagnostic:
    span = need.span if need.span.source.text else None
    return Diagnostic("E0905", f"this architecture leaves the output `{need.output}` absent", span)


def missing(decision: Decision, span: Span | None = None) -> Diagnostic:
    return Diagnostic("E0605", f"{decision.id} is active and has no value", span, labels=_declared(decision))


def inactive(decision: Decision, span: Span | None = None) -> Diagnostic:
    return Diagnostic(
        "E0605", f"{decision.id} has a value but is inactive in this architecture", span, labels=_declared(decision)
    )


def no_value(table: DecisionTable, decision: Decision, value: object, span: Span | None = None) -> Diagnostic:
    """``value``: what was given, an index, a tuple, or a text that names no candidate."""
    if decision.kind == "subset":
        amount = str(decision.low) if decision.low == decision.high else f"{decision.low} to {decision.high}"
        shown = "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return Diagnostic(
            "E0604",
            f"{decision.id} picks {amount} of {decision.size} elements; {shown or 'none'} is not that",
            span,
            labels=_declared(decision),
            notes=(f"elements are numbered 0 to {decision.size - 1} and stand in order",) if decision.size else (),
        )
    tokens = spelling_of(table).candidates[decision.id]
    near = nearest(value, tokens) if isinstance(value, str) else None
    listed = ", ".join(tokens[:SHOWN]) + (f" and {len(tokens) - SHOWN} more" if len(tokens) > SHOWN else "")
    return Diagnostic(
        "E0604",
        f"{decision.id} has no candidate {value!r}",
        span,
        labels=_declared(decision),
        notes=(f"its candidates are {listed}",),
        help=f"did you mean {near!r}?" if near else "",
    )


def _declared(decision: Decision) -> tuple[Label, ...]:
    return (Label(decision.span, "decided here"),) if decision.span.source.text else ()


def _number(value: Number) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{float(value):g}"
