"""``def S within 4 = …``: how deep a definition may stand in itself, and which alternatives can finish there.

A level is one ``S`` inside another, however many other definitions stand between them; the outermost is the first. Past
the last level a use is *cut*: it has no result, and nobody is told. An alternative that is cut whatever it takes is
dropped; a definition whose every alternative is dropped is cut itself. What is left is no error but for the outermost
``S``. Alternatives are tried on a builder of their own, so dropped ones leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Hashable

from spacec.diagnostics.model import Label
from spacec.ir.graph import Region, Step
from spacec.sema.builder import Builder, Cx
from spacec.sema.machine import Machine
from spacec.sema.values import UNKNOWN, Definition, Env, Value, Want
from spacec.source import Span
from spacec.syntax import ast

MAX_LEVELS = 50


def check_bound(m: Machine, binding: ast.Binding) -> None:
    """Report a ``within`` that bounds nothing."""
    if binding.within is None:
        return
    if binding.kind != "def":
        m.fail(
            "E0416",
            binding.name_span,
            f"`within` bounds a `{binding.kind}`",
            "it decides once for all its uses",
            notes=("a let or tied that contained itself would have to decide as what it contains does",),
            help="use `def`",
        )
    elif not 1 <= binding.within <= MAX_LEVELS:
        m.fail("E0416", binding.name_span, f"`within {binding.within}`", f"levels are 1 to {MAX_LEVELS}")


def nested(m: Machine) -> bool:
    """Whether a bounded definition is being elaborated."""
    return any(m.levels.values())


def levels(m: Machine) -> Hashable:
    """The levels of the bounded definitions being elaborated: part of what an instance depends on."""
    return tuple(sorted((name, level) for name, level in m.levels.items() if level))


def past_bound(m: Machine, d: Definition) -> bool:
    """Whether a use of ``d`` here would stand past its last level."""
    return d.binding.within is not None and m.levels.get(id(d.binding), 0) >= d.binding.within


def enter(m: Machine, d: Definition) -> None:
    if d.binding.within is not None:
        m.levels[id(d.binding)] = m.levels.get(id(d.binding), 0) + 1


def leave(m: Machine, d: Definition) -> None:
    if d.binding.within is not None:
        m.levels[id(d.binding)] -= 1


def cut(m: Machine, d: Definition, span: Span) -> Value:
    """Nothing, silently, inside a bounded definition; outside of all, the report that it cannot finish."""
    if nested(m):
        m.cut = True
        return UNKNOWN
    return m.fail(
        "E0416",
        span,
        f"`{d.binding.name}` cannot finish within {d.binding.within}",
        "used here",
        labels=(Label(d.binding.name_span, "every alternative needs it, or another, once more"),),
    )


def finishing(
    m: Machine, cx: Cx, live: list[ast.Candidate], env: Env, x: Value, want: Want | None
) -> list[ast.Candidate]:
    """The candidates that can finish where they stand."""
    return [c for c in live if tried(m, _scratch(cx), c, env, x, want) is not None] if nested(m) else live


def tried(m: Machine, cx: Cx, candidate: ast.Candidate, env: Env, x: Value, want: Want | None) -> Value | None:
    """What a candidate gives, or ``None`` where it is cut."""
    before, m.cut = m.cut, False
    result = m.apply(m, cx, candidate.value, env, x, want)
    was_cut, m.cut = m.cut, before
    return None if was_cut else result


def first_that_finishes(m: Machine, cx: Cx, live: list[ast.Candidate], env: Env, x: Value, want: Want | None) -> Value:
    """The result of a choice on a scratch builder: all its candidates have one type, so the first will do."""
    for candidate in live:
        result = tried(m, cx, candidate, env, x, want)
        if result is not None:
            return result
    m.cut = True
    return UNKNOWN


def _scratch(cx: Cx) -> Cx:
    builder = Builder(Region("", ()), binder=cx.builder.binder, symbols=list(cx.builder.symbols), scratch=True)
    return Cx(builder, Step(""), cx.guard)
