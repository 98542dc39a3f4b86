"""What differs between two decision tables, and between two architectures of one.

Decisions are matched by id: an id is where a decision stands in its text, so a definition that is renamed shows as
decisions removed and added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spacec.ir.conditions import text
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import Value


@dataclass(frozen=True)
class Aspect:
    """One thing that is said of a decision, on both sides; ``gained`` and ``lost`` name candidates."""

    name: Literal["kind", "candidates", "active", "elastic", "priors"]
    old: str
    new: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """A decision that only one side has, or that says something else on the other."""

    kind: Literal["added", "removed", "changed"]
    id: str
    old: Decision | None
    new: Decision | None
    aspects: tuple[Aspect, ...] = ()


def compare_decisions(a: DecisionTable, b: DecisionTable) -> list[Change]:
    """Changes from ``a`` to ``b``: those removed or changed in the order of ``a``, then those added."""
    found: list[Change] = []
    for old in a.decisions:
        new = b.by_id.get(old.id)
        if new is None:
            found.append(Change("removed", old.id, old, None))
        elif aspects := _aspects(old, new):
            found.append(Change("changed", old.id, old, new, aspects))
    return found + [Change("added", d.id, None, d) for d in b.decisions if d.id not in a.by_id]


def candidates_text(decision: Decision) -> str:
    """What a decision can take, in full."""
    if decision.kind == "subset":
        amount = f"{decision.low}" if decision.low == decision.high else f"{decision.low} to {decision.high}"
        return f"{amount} of {decision.size}"
    return " | ".join(decision.labels)


def _aspects(old: Decision, new: Decision) -> tuple[Aspect, ...]:
    found: list[Aspect] = []
    if old.kind != new.kind:
        found.append(Aspect("kind", old.kind, new.kind))
    if (before := candidates_text(old)) != (after := candidates_text(new)):
        gained = tuple(label for label in new.labels if label not in old.labels)
        lost = tuple(label for label in old.labels if label not in new.labels)
        found.append(Aspect("candidates", before, after, gained, lost))
    if text(old.active) != text(new.active):
        found.append(Aspect("active", text(old.active), text(new.active)))
    if old.elastic != new.elastic:
        found.append(Aspect("elastic", _shared(old), _shared(new)))
    if old.priors != new.priors:
        found.append(Aspect("priors", _priors(old), _priors(new)))
    return tuple(found)


def _shared(decision: Decision) -> str:
    return "elastic" if decision.elastic else "separate"


def _priors(decision: Decision) -> str:
    return "equal" if decision.priors is None else ", ".join(f"{p:g}" for p in decision.priors)


@dataclass(frozen=True)
class Difference:
    """A decision on which two architectures differ; ``None`` where it is inactive."""

    decision: Decision
    old: Value | None
    new: Value | None


def compare_architectures(table: DecisionTable, a: Architecture, b: Architecture) -> list[Difference]:
    """The decisions on which two architectures of a table differ, in order."""
    both = ((d, a.get(d.id), b.get(d.id)) for d in table.decisions)
    return [Difference(d, old, new) for d, old, new in both if old != new]


def value_text(decision: Decision, value: Value | None) -> str:
    """A value as a person reads it."""
    if value is None:
        return "inactive"
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else decision.labels[value]


def owners_of(tables: Sequence[DecisionTable]) -> tuple[str, ...]:
    """Every owner that has a digest on some side, in order."""
    return tuple(dict.fromkeys(owner for table in tables for owner in table.owner_digests))
