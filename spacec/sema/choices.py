"""``a | b | c`` between networks, and the slots that a pick lends to the choice in its body."""

from __future__ import annotations

from spacec.diagnostics.model import Label
from spacec.ir.conditions import Is, both
from spacec.ir.graph import DecisionDecl, DecisionRef, Ref, SlotDecl
from spacec.ir.types import TensorType
from spacec.sema.bounds import finishing, first_that_finishes
from spacec.sema.builder import Cx
from spacec.sema.machine import MAX_CANDIDATES, Machine
from spacec.sema.presence import factored, presence_of
from spacec.sema.stated import counterexample, same_type, truth
from spacec.sema.switches import Guarded, apply_switch
from spacec.sema.values import ABSENT, UNKNOWN, Env, Pack, Tensor, Test, Value, Want, describe, shape_of
from spacec.source import Span
from spacec.syntax import ast
from spacec.syntax.format import format_expression


def apply_alternatives(m: Machine, cx: Cx, expr: ast.Alternatives, env: Env, x: Value, want: Want | None) -> Value:
    """Static guards first; one survivor is no decision; several are one, with a result for each."""
    guarded = _survivors(m, cx, expr, env)
    if guarded is None:
        return UNKNOWN
    if not guarded:
        return m.fail("E0401", expr.span, "no candidate of this choice is left", "every `when` is false here")
    if any(isinstance(test, Test) for _, test in guarded):
        return apply_switch(m, cx, expr, guarded, env, x, want)
    live = [candidate for candidate, _ in guarded]
    if cx.builder.scratch:
        return first_that_finishes(m, cx.inside(), live, env, x, want)
    live = finishing(m, cx, live, env, x, want)
    if not live:
        m.cut = True
        return UNKNOWN
    if len(live) > MAX_CANDIDATES:
        return m.fail("E0408", expr.span, f"a choice among {len(live):,}", f"at most {MAX_CANDIDATES:,}")
    if len(live) == 1:
        only = live[0]
        return m.apply(m, cx if only.label is None else cx.alias(only.label), only.value, env, x, want)
    labels = candidate_labels(m, live)
    priors = _priors(m, cx, live, env)
    if labels is None:
        return UNKNOWN
    step = cx.step if cx.fresh else cx.enter("choice").step
    decision = cx.builder.decide(
        DecisionDecl("op", step, labels, priors=priors, condition=both(cx.guard, presence_of(x)), span=expr.span)
    )
    slot = _slot(cx, decision)
    ref = DecisionRef((), decision)
    results: list[Value] = []
    for index, candidate in enumerate(live):
        branch = cx.inside().under(Is(ref, frozenset((index,))))
        if candidate.label is not None:
            branch = branch.enter(candidate.label)
        results.append(m.apply(m, branch, candidate.value, env, x, want))
    places = tuple(c.value.span for c in live)
    return join(m, cx, slot, ref, results, labels, places, expr.span)


def _survivors(m: Machine, cx: Cx, expr: ast.Alternatives, env: Env) -> list[Guarded] | None:
    """The candidates whose guards do not refuse them, each with when it is there."""
    live: list[Guarded] = []
    for candidate in expr.candidates:
        if candidate.guard is None:
            live.append((candidate, True))
            continue
        value = m.evaluate(m, cx.inside(), candidate.guard, env)
        verdict = value if isinstance(value, Test) else truth(m, value, candidate.guard.span)
        if verdict is None:
            return None
        if verdict is not False:
            live.append((candidate, verdict))
    return live


def candidate_labels(m: Machine, live: list[ast.Candidate]) -> tuple[str, ...] | None:
    """The labels, canonical text where none is given; equal texts are told apart by ``#n``, equal labels refused."""
    seen: dict[str, int] = {}
    named: dict[str, Span] = {}
    labels: list[str] = []
    for candidate in live:
        if candidate.label is not None and candidate.label in named:
            m.fail(
                "E0202",
                candidate.span,
                f"the label `{candidate.label}` is used twice",
                "second use",
                labels=(Label(named[candidate.label], "first use"),),
            )
            return None
        label = candidate.label or format_expression(candidate.value)
        if candidate.label is not None:
            named[label] = candidate.span
        seen[label] = seen.get(label, 0) + 1
        labels.append(label if seen[label] == 1 else f"{label}#{seen[label] - 1}")
    return tuple(labels)


_HEAVIEST = 1e15
"""Of prior weights: with more, the lightest would vanish in their sum."""


def _priors(m: Machine, cx: Cx, live: list[ast.Candidate], env: Env) -> tuple[float, ...] | None:
    if all(c.prior is None for c in live):
        return None
    weights: list[float] = []
    for candidate in live:
        value = 1.0 if candidate.prior is None else m.evaluate(m, cx.inside(), candidate.prior, env)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _HEAVIEST:
            if value is not UNKNOWN:
                span = candidate.prior.span if candidate.prior else candidate.span
                m.fail("E0306", span, f"a prior weight is a number from 0 to 1e15, not {describe(value)}")
            return None
        weights.append(float(value))
    total = sum(weights)
    return tuple(w / total for w in weights) if total > 0 else None


def _slot(cx: Cx, decision: DecisionDecl) -> SlotDecl:
    """The slot of a choice: its own, or the one the enclosing pick lends where the choice is the whole body."""
    pick = cx.pick
    if pick is None:
        return cx.builder.slot(SlotDecl(decision.step, decision.labels, decision, priors=decision.priors))
    labels = ("absent", *decision.labels) if pick.absent else decision.labels
    slot = SlotDecl(decision.step, labels, decision, pick.decision, pick.element, pick.absent)
    pick.taken.append(slot)
    return cx.builder.slot(slot)


def join(
    m: Machine,
    cx: Cx,
    slot: SlotDecl,
    ref: DecisionRef,
    results: list[Value],
    labels: tuple[str, ...],
    places: tuple[Span, ...],
    span: Span,
) -> Value:
    """One value out of the candidates' results: a choice node for each tensor, all on one slot."""
    if any(r is UNKNOWN for r in results):
        return UNKNOWN
    present = [(i, r) for i, r in enumerate(results) if r is not ABSENT]
    if not present:
        return ABSENT
    first_index, first = present[0]
    for index, other in present[1:]:
        if shape_of(other) != shape_of(first):
            seen = (
                Label(places[first_index], f"this candidate gives {describe(first)}"),
                Label(places[index], f"this one gives {describe(other)}"),
            )
            return m.fail("E0301", span, "the candidates of a choice give different numbers of values", labels=seen)
    if isinstance(first, Pack):
        parts = []
        for k in range(len(first.items)):
            column = [r.items[k] if isinstance(r, Pack) else ABSENT for r in results]
            parts.append(join(m, cx, slot, ref, column, labels, places, span))
        return Pack(tuple(parts)) if UNKNOWN not in parts else UNKNOWN
    return _join_tensors(m, cx, slot, ref, results, labels, places, span)


def _join_tensors(
    m: Machine,
    cx: Cx,
    slot: SlotDecl,
    ref: DecisionRef,
    results: list[Value],
    labels: tuple[str, ...],
    places: tuple[Span, ...],
    span: Span,
) -> Value:
    found = [(i, r) for i, r in enumerate(results) if isinstance(r, Tensor)]
    wrong = next((i for i, r in enumerate(results) if r is not ABSENT and not isinstance(r, Tensor)), None)
    if wrong is not None:
        return m.fail("E0203", places[wrong], f"this candidate gives {describe(results[wrong])}, not a tensor")
    first_index, first = found[0]
    for index, other in found[1:]:
        verdict = same_type(first.type, other.type)
        if verdict is not True:
            _disagree(m, first.type, other.type, labels, (first_index, index), places, span, verdict)
            return first  # reported: any candidate's type lets the rest be checked
    presence = factored([both(Is(ref, frozenset((i,))), r.presence) for i, r in found])
    lead: tuple[Ref | None, ...] = (None,) if slot.absent else ()
    refs = tuple(r.ref if isinstance(r, Tensor) else None for r in results)
    node = cx.builder.choose(slot, lead + refs, first.type, both(cx.guard, presence), span)
    return Tensor(node, first.type, presence, span)


def _disagree(
    m: Machine,
    a: TensorType,
    b: TensorType,
    labels: tuple[str, ...],
    at: tuple[int, int],
    places: tuple[Span, ...],
    span: Span,
    verdict: bool | None,
) -> Value:
    seen = (Label(places[at[0]], f"this branch is {a}"), Label(places[at[1]], f"this one is {b}"))
    sizes = counterexample(a, b)
    if verdict is None and sizes:
        note = (f"a counterexample: an architecture with {sizes}",)
    else:
        note = (f"a counterexample: any architecture that takes `{labels[at[1]]}` here",)
    if verdict is None and not sizes:
        return m.fail("E0305", span, f"cannot prove that the candidates {a} and {b} have one type", labels=seen)
    return m.fail(
        "E0301",
        span,
        f"the candidates of a choice disagree: {a} and {b}",
        "all candidates must have one type",
        labels=seen,
        notes=note,
    )
