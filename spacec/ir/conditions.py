"""When something is there: conditions over decisions, in a small normal form.

A condition mentions a decision by any hashable reference: a place inside a region while the
graph is hierarchical, the decision's id once it is flat. Conditions are monotone (no negation):
a candidate is chosen, an element is picked, and ANDs and ORs of these.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Is:
    """The decision takes one of these candidates (indices)."""

    decision: Hashable
    candidates: frozenset[int]

    @cached_property
    def text(self) -> str:
        return f"{self.decision}={'/'.join(map(str, sorted(self.candidates)))}"


@dataclass(frozen=True)
class Has:
    """The subset decision contains this element (zero-based index)."""

    decision: Hashable
    element: int


@dataclass(frozen=True)
class All:
    """Conjunction; ``All(frozenset())`` is always true."""

    parts: frozenset[Cond]

    @cached_property
    def _hash(self) -> int:
        return hash(("all", self.parts))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True)
class Any:
    """Disjunction; ``Any(frozenset())`` is never true."""

    parts: frozenset[Cond]

    @cached_property
    def _hash(self) -> int:
        return hash(("any", self.parts))

    def __hash__(self) -> int:
        return self._hash


Cond = Is | Has | All | Any

ALWAYS = All(frozenset())
NEVER = Any(frozenset())


def both(*conditions: Cond) -> Cond:
    """Conjunction, flattened, with constants removed."""
    told = [c for c in conditions if c is not ALWAYS and not (isinstance(c, All) and not c.parts)]
    if len(told) < 2:
        return told[0] if told else ALWAYS
    parts: set[Cond] = set()
    if len(told) == 2 and isinstance(told[0], All) and isinstance(told[1], All):
        return All(told[0].parts | told[1].parts)  # by far the most frequent in large spaces
    for c in told:
        if isinstance(c, All):
            parts |= c.parts
        elif isinstance(c, Any) and not c.parts:
            return NEVER
        else:
            parts.add(c)
    return next(iter(parts)) if len(parts) == 1 else All(frozenset(parts))


def either(*conditions: Cond) -> Cond:
    """Disjunction, flattened, with constants and absorbed parts removed; ``Is`` of one decision merge."""
    parts: set[Cond] = set()
    for c in conditions:
        if c == ALWAYS:
            return ALWAYS
        if isinstance(c, Any):
            parts |= c.parts
        else:
            parts.add(c)
    merged: dict[Hashable, frozenset[int]] = {}
    for c in list(parts):
        if isinstance(c, Is):
            merged[c.decision] = merged.get(c.decision, frozenset()) | c.candidates
            parts.discard(c)
    parts |= {Is(d, k) for d, k in merged.items()}
    kept = {c for c in parts if not (isinstance(c, All) and c.parts & (parts - {c}))}
    if len(kept) == 1:
        return next(iter(kept))
    return Any(frozenset(kept)) if kept else NEVER


def rename(condition: Cond, name: Callable[[Hashable], Hashable]) -> Cond:
    """The condition with every decision reference replaced."""
    match condition:
        case Is():
            return Is(name(condition.decision), condition.candidates)
        case Has():
            return Has(name(condition.decision), condition.element)
        case All():
            return condition if not condition.parts else both(*(rename(p, name) for p in condition.parts))
        case Any():
            return condition if not condition.parts else either(*(rename(p, name) for p in condition.parts))


def without(condition: Cond, decision: Hashable) -> Cond:
    """What the condition says where ``decision`` has no value."""
    match condition:
        case Is() | Has():
            return NEVER if condition.decision == decision else condition
        case All():
            return condition if not condition.parts else both(*(without(p, decision) for p in condition.parts))
        case Any():
            return condition if not condition.parts else either(*(without(p, decision) for p in condition.parts))


def conjuncts(condition: Cond) -> frozenset[Cond]:
    """The parts that must all hold."""
    return condition.parts if isinstance(condition, All) else frozenset((condition,))


def contradict(a: Cond, b: Cond) -> bool:
    """Whether two conditions ask different things of one decision, so that they never hold together."""
    if isinstance(a, Any):
        return all(contradict(p, b) for p in a.parts)
    if isinstance(b, Any):
        return all(contradict(a, p) for p in b.parts)
    wanted = {p.decision: p.candidates for p in conjuncts(a) if isinstance(p, Is)}
    for part in conjuncts(b):
        if isinstance(part, Is) and part.decision in wanted and not part.candidates & wanted[part.decision]:
            return True
    inner = [p for p in conjuncts(a) if isinstance(p, Any)]
    return any(contradict(p, b) for p in inner) or any(contradict(a, p) for p in conjuncts(b) if isinstance(p, Any))


def decisions(condition: Cond) -> frozenset[Hashable]:
    """Every decision mentioned."""
    if isinstance(condition, Is | Has):
        return frozenset((condition.decision,))
    found: set[Hashable] = set()
    for part in condition.parts:
        if isinstance(part, Is | Has):
            found.add(part.decision)
        else:
            found |= decisions(part)
    return frozenset(found)


Lookup = Callable[[Hashable], "int | tuple[int, ...] | None"]


def holds(condition: Cond, value: Lookup) -> bool:
    """Whether it holds under an assignment; ``value`` gives an index, a tuple of elements, or ``None`` (inactive)."""
    match condition:
        case Is():
            return value(condition.decision) in condition.candidates
        case Has():
            picked = value(condition.decision)
            return isinstance(picked, tuple) and condition.element in picked
        case All():
            return all(holds(p, value) for p in condition.parts)
        case Any():
            return any(holds(p, value) for p in condition.parts)


def text(condition: Cond) -> str:
    """A stable, readable form (used in digests: changing it changes every digest)."""
    match condition:
        case Is():
            return condition.text
        case Has():
            return f"{condition.element} in {condition.decision}"
        case All():
            return " and ".join(sorted(map(_grouped, condition.parts))) or "always"
        case Any():
            return " or ".join(sorted(map(_grouped, condition.parts))) or "never"


def _grouped(condition: Cond) -> str:
    return f"({text(condition)})" if isinstance(condition, Any | All) else text(condition)
