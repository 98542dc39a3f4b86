"""When a value is there: conditions of sums and choices, simplified by what decisions guarantee."""

from __future__ import annotations

from collections.abc import Iterable

from spacec.ir.conditions import ALWAYS, All, Any, Cond, Has, Is, both, either
from spacec.ir.graph import DecisionRef
from spacec.sema.values import Tensor, Value, leaves


def present_any(conditions: Iterable[Cond]) -> Cond:
    """The disjunction, true where a decision cannot avoid all of its parts.

    A choice always takes one candidate; a pick of at least k of n elements always has one of any
    n - k + 1 of them.
    """
    result = either(*conditions)
    parts = result.parts if isinstance(result, Any) else frozenset((result,))
    picked: dict[DecisionRef, set[int]] = {}
    for part in parts:
        if isinstance(part, Is) and isinstance(part.decision, DecisionRef):
            if len(part.candidates) == len(part.decision.decision.labels):
                return ALWAYS
        elif isinstance(part, Has) and isinstance(part.decision, DecisionRef):
            picked.setdefault(part.decision, set()).add(part.element)
    for ref, elements in picked.items():
        if len(elements) > ref.decision.size - ref.decision.low:
            return ALWAYS
    return result


def factored(conditions: list[Cond]) -> Cond:
    """:func:`present_any` after taking out what all conditions share."""
    if not conditions:
        return Any(frozenset())
    sets = [c.parts if isinstance(c, All) else frozenset((c,)) for c in conditions]
    common = frozenset.intersection(*sets)
    return both(*common, present_any(both(*(s - common)) for s in sets))


def presence_of(value: Value) -> Cond:
    """When a value, or every tensor of a pack, is there."""
    return both(*(leaf.presence for leaf in leaves(value) if isinstance(leaf, Tensor)))
