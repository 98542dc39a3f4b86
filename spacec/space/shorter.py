"""Shorter conditions of the same meaning: cases that together leave nothing out become one.

A let used in every candidate of a choice is active whenever the choice is, but its condition lists the
candidates one by one, under everything that leads there. Counting keeps a bit for each condition that is not
settled yet, so this matters far beyond reading. Assumes conditions over global ids, and decisions that have exactly
one value wherever they are active; the result holds under the same assignments, and no shorter one is promised.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from spacec.ir.conditions import All, Any, Cond, Is, both, conjuncts, either, text

MAX_CASES = 2_000
"""Disjunctions of more cases are left as they are: every round compares them all."""

Case = frozenset[Cond]


def shorter(condition: Cond, sizes: Mapping[str, int], active: Mapping[str, Cond]) -> Cond:
    """A condition that holds under the same assignments.

    ``sizes``: number of candidates of each decision; ``active``: when each decision is active. An ``Is`` holds
    only where its decision is active, so one that allows every candidate says no more than that.
    """
    if not isinstance(condition, Any) or len(condition.parts) > MAX_CASES:
        return condition
    cases = {conjuncts(part) for part in condition.parts}
    while (fewer := _absorbed(_joined(cases, sizes, active))) != cases:
        cases = fewer
    return either(*(both(*case) for case in cases))


def _joined(cases: set[Case], sizes: Mapping[str, int], active: Mapping[str, Cond]) -> set[Case]:
    """Cases that differ in the candidates of one decision alone, as one case."""
    alike: dict[tuple[Case, Hashable], list[Is]] = {}
    for case in cases:
        for part in case:
            if isinstance(part, Is):
                alike.setdefault((case - {part}, part.decision), []).append(part)
    found = set(cases)
    for (rest, decision), parts in alike.items():
        candidates = frozenset().union(*(p.candidates for p in parts))
        every = len(candidates) == sizes.get(str(decision), -1)
        if every and implies(rest, active[str(decision)]):
            found.add(rest)
        elif len(parts) > 1:
            found.add(rest | {Is(decision, candidates)})
    return found


def implies(case: Case, condition: Cond) -> bool:
    """Whether the parts of a case say that the condition holds; ``False`` also where that is not obvious."""
    match condition:
        case All():
            return all(implies(case, part) for part in condition.parts)
        case Any():
            return any(implies(case, part) for part in condition.parts)
        case Is():
            same = (part for part in case if isinstance(part, Is) and part.decision == condition.decision)
            return any(part.candidates <= condition.candidates for part in same)
        case _:
            return condition in case


def _absorbed(cases: set[Case]) -> set[Case]:
    """Without the cases that another one covers."""
    kept: set[Case] = set()
    for case in sorted(cases, key=_weakest_first):
        if not any(_covers(other, case) for other in kept):
            kept.add(case)
    return kept


def _weakest_first(case: Case) -> tuple[int, int, str]:
    allowed = sum(len(part.candidates) for part in case if isinstance(part, Is))
    return len(case), -allowed, text(All(case))


def _covers(weak: Case, strong: Case) -> bool:
    return all(implies(strong, part) for part in weak)
