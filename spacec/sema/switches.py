"""Choices that other decisions determine: ``identity when in == out | conv(1) when in != out`` with elastic sizes.

Every assignment of the decisions that the guards mention must leave exactly one candidate. The
choice is then no decision and has no slot: a switch node takes the candidate whose condition holds.
"""

from __future__ import annotations

from dataclasses import replace

from spacec.diagnostics.model import Label
from spacec.ir.conditions import both, either
from spacec.ir.dims import Dim
from spacec.ir.types import TensorType
from spacec.sema.builder import Cx
from spacec.sema.conditional import (
    MAX_CASES,
    Case,
    case_text,
    cases,
    combinations,
    condition_of,
    difference_where,
    equal_where,
    holds_in,
    rules_out,
    variables_of,
)
from spacec.sema.machine import Machine
from spacec.sema.values import ABSENT, UNKNOWN, Env, Pack, Tensor, Test, TypeView, Value, Want, describe, shape_of
from spacec.source import Span
from spacec.syntax import ast

Guarded = tuple[ast.Candidate, bool | Test]
"""A candidate and when it is there."""


def apply_switch(
    m: Machine, cx: Cx, expr: ast.Alternatives, live: list[Guarded], env: Env, x: Value, want: Want | None
) -> Value:
    """The candidates, each under its condition, joined by a switch for each tensor."""
    if _ambiguous(m, cx, expr, live):
        return UNKNOWN
    tests = [(c, t) for c, t in live if isinstance(t, Test)]
    results: list[Value] = []
    for candidate, test in tests:
        branch = cx.inside().under(condition_of(test))
        if candidate.label is not None:
            branch = branch.enter(candidate.label)
        scope, wanted = _narrowed(env, x, want, test)
        results.append(m.apply(m, branch, candidate.value, scope, x, wanted))
    if any(r is UNKNOWN for r in results):
        return UNKNOWN
    places = tuple(c.value.span for c, _ in tests)
    return join_switch(m, cx, results, tuple(t for _, t in tests), places, expr.span)


def _ambiguous(m: Machine, cx: Cx, expr: ast.Alternatives, live: list[Guarded]) -> bool:
    """Report guards that leave no candidate, or several, for some assignment; and weights where nothing is drawn."""
    tests = [t for _, t in live]
    if not m.spend(expr.span, 2 * combinations(*tests)):
        return True
    every = cases(variables_of(*tests))
    if every is None:
        headline = f"the guards of this choice depend on over {MAX_CASES:,} combinations of choices"
        m.fail("E0407", expr.span, headline, "they are told apart one by one")
        return True
    for case in every:
        left = [c for c, test in live if holds_in(test, case)]
        if len(left) != 1 and not rules_out(cx.guard, case):
            _not_one(m, expr, left, case)
            return True
    weighed = next((c.prior for c, _ in live if c.prior is not None), None)
    if weighed is not None:
        m.fail("E0410", weighed.span, "other choices determine this candidate, so it has no prior weight")
        return True
    return False


def _not_one(m: Machine, expr: ast.Alternatives, left: list[ast.Candidate], case: Case) -> None:
    what = "no candidate" if not left else f"{len(left)} candidates"
    seen = tuple(Label(c.span, "left") for c in left)
    notes = (
        f"a counterexample: any architecture with {case_text(case)}",
        "where a guard depends on other choices, the guards of all candidates must leave exactly one",
    )
    m.fail("E0410", expr.span, f"the guards of this choice can leave {what}", "", labels=seen, notes=notes)


def _narrowed(env: Env, x: Value, want: Want | None, test: Test) -> tuple[Env, Want | None]:
    """What is asked of a branch: a size that equals the input's wherever the test holds *is* the input's."""
    given, asked = env.get("in"), env.get("out")
    scope = env
    if isinstance(given, TypeView) and isinstance(asked, TypeView) and given.type.rank == asked.type.rank:
        scope = env.nest({"out": TypeView(_type_like(asked.type, given.type, test))})
    if want is None or not isinstance(x, Tensor):
        return scope, want
    out = None if want.out is None else _like(want.out, x.type.channels, test)
    space = want.space
    if space is not None and len(space) == x.type.rank:
        space = tuple(_like(a, b, test) for a, b in zip(space, x.type.space, strict=True))
    return scope, replace(want, out=out, space=space)


def _like(asked: Dim, given: Dim, test: Test) -> Dim:
    return given if equal_where(asked, given, test) else asked


def _type_like(asked: TensorType, given: TensorType, test: Test) -> TensorType:
    dims = [_like(a, b, test) for a, b in zip(asked.dims, given.dims, strict=True)]
    return TensorType(dims[0], tuple(dims[1:]), asked.kind)


# ---------------------------------------------------------------------- joining


def join_switch(
    m: Machine, cx: Cx, results: list[Value], tests: tuple[Test, ...], places: tuple[Span, ...], span: Span
) -> Value:
    """One value out of the results of candidates that exclude each other: a switch for each tensor."""
    present = [(k, r) for k, r in enumerate(results) if r is not ABSENT]
    if not present:
        return ABSENT
    first = present[0][1]
    other = next((k for k, r in present if shape_of(r) != shape_of(first)), None)
    if other is not None:
        seen = (
            Label(places[present[0][0]], f"this candidate gives {describe(first)}"),
            Label(places[other], f"this one gives {describe(results[other])}"),
        )
        return m.fail("E0301", span, "the candidates of a choice give different numbers of values", labels=seen)
    if isinstance(first, Pack):
        parts = []
        for k in range(len(first.items)):
            column = [r.items[k] if isinstance(r, Pack) else ABSENT for r in results]
            parts.append(join_switch(m, cx, column, tests, places, span))
        return Pack(tuple(parts)) if UNKNOWN not in parts else UNKNOWN
    wrong = next((k for k, r in present if not isinstance(r, Tensor)), None)
    if wrong is not None:
        return m.fail("E0203", places[wrong], f"this candidate gives {describe(results[wrong])}, not a tensor")
    return _join_tensors(m, cx, results, tests, places, span)


def _join_tensors(
    m: Machine, cx: Cx, results: list[Value], tests: tuple[Test, ...], places: tuple[Span, ...], span: Span
) -> Value:
    conditions = tuple(map(condition_of, tests))
    found = [(k, r) for k, r in enumerate(results) if isinstance(r, Tensor)]
    type = next((r.type for _, r in found if all(_fits(o.type, r.type, tests[j]) for j, o in found)), None)
    if type is None:
        return _disagree(m, found, tests, places, span)
    presences = {r.presence for _, r in found}
    if len(presences) == 1 and len(found) == len(results):
        presence = presences.pop()
    else:
        presence = either(*(both(conditions[k], r.presence) for k, r in found))
    refs = tuple(r.ref if isinstance(r, Tensor) else None for r in results)
    node = cx.builder.switch(refs, conditions, type, both(cx.guard, presence), span)
    return Tensor(node, type, presence, span)


def _fits(own: TensorType, whole: TensorType, test: Test) -> bool:
    """Whether a candidate of type ``own`` gives ``whole`` wherever its test holds."""
    if own.kind != whole.kind or own.rank != whole.rank:
        return False
    return all(equal_where(a, b, test) for a, b in zip(own.dims, whole.dims, strict=True))


def _disagree(
    m: Machine, found: list[tuple[int, Tensor]], tests: tuple[Test, ...], places: tuple[Span, ...], span: Span
) -> Value:
    (i, a), (k, b) = next(
        (p, q) for p in found for q in found if p is not q and not _fits(q[1].type, p[1].type, tests[q[0]])
    )
    seen = (Label(places[i], f"this branch is {a.type}"), Label(places[k], f"this one is {b.type}"))
    case: Case | None = None
    if a.type.rank == b.type.rank:
        differing = (difference_where(p, q, tests[k]) for p, q in zip(a.type.dims, b.type.dims, strict=True))
        case = next((c for c in differing if c), None)
    notes = (f"a counterexample: any architecture with {case_text(case)}",) if case else ()
    return m.fail(
        "E0301",
        span,
        f"the candidates of a choice disagree: {a.type} and {b.type}",
        "all candidates must have one type, each where its guard holds",
        labels=seen,
        notes=notes,
    )
