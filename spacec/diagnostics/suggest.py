"""The nearest of some names, for "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 64
_MOST = 2_000
"""Names among which one is looked for; in a file with more, nobody waits for a guess."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that differs least from ``name``, or ``None`` if none is near.

    Near means at most a third of the longer name's characters, and at least one, inserted, deleted, replaced or
    swapped with their neighbour; names of one or two characters must agree apart from case. Ties go to the first in
    alphabetical order, so the outcome does not depend on the order of the candidates.
    """
    best: tuple[int, str] | None = None
    known = set(candidates)
    for candidate in sorted(known) if len(known) <= _MOST else ():
        if candidate == name or len(candidate) > _LONGEST or len(name) > _LONGEST:
            continue
        limit = max(len(name), len(candidate)) // 3
        if name.casefold() == candidate.casefold():
            found = 0
        elif abs(len(name) - len(candidate)) > limit:
            continue
        else:
            found = distance(name.casefold(), candidate.casefold())
            if found > limit:
                continue
        if best is None or found < best[0]:
            best = (found, candidate)
    return best[1] if best else None


def distance(a: str, b: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours that turn ``a`` into ``b``.

    No character is changed twice (the restricted Damerau-Levenshtein distance).
    """
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]
