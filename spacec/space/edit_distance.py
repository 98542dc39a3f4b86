"""The edit distance between the wirings of two architectures, exactly, by branch and bound.

Assumes architectures of one table. The graphs are those of :mod:`spacec.space.encodings.wiring`; what they do
not show plays no part. Inputs and outputs are matched with themselves, choices and values with any.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import holds
from spacec.ir.graph import SpaceGraph
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable
from spacec.space.encodings.wiring import Wiring, wirings

LIMIT = 300_000
"""Partial matchings that are tried for one owner."""


@dataclass(frozen=True)
class Drawn:
    """One owner's graph: ``fixed`` vertices (inputs, then outputs) come first, then one for each of ``labels``."""

    fixed: int
    labels: tuple[str, ...]
    wires: frozenset[tuple[int, int]]


def edit_distance(table: DecisionTable, graph: SpaceGraph, a: Architecture, b: Architecture) -> int:
    """Fewest edits that make one wiring the other's, up to the names of vertices, summed over owners.

    An edit adds or removes a vertex without wires, adds or removes a wire, or changes what a vertex is. It is a metric
    on wirings: 0 exactly where they are isomorphic. Raises :class:`SpacecError`: E0623 where there are too many
    vertices, E0634 where so many matchings are alike that exact search exceeds :data:`LIMIT`.
    """
    pairs = ((_drawn(table, w, a), _drawn(table, w, b)) for w in wirings(table, graph, "edit distance"))
    return sum(_Matching(x, y).best for x, y in pairs if x != y)


def _drawn(table: DecisionTable, wiring: Wiring, arch: Architecture) -> Drawn:
    fixed = [i for i, v in enumerate(wiring.vertices) if v.decision is None]
    inner, labels = [], []
    for i, vertex in enumerate(wiring.vertices):
        value = None if vertex.decision is None else arch.get(vertex.decision)
        if isinstance(value, int) and holds(vertex.guard, lambda d: arch.get(str(d))):
            inner.append(i)
            labels.append(vertex.labels[value])
    place = {v: k for k, v in enumerate([*fixed, *inner])}
    own = [d for d in table.decisions if d.owner == wiring.owner]
    used = not own or any(d.id in arch for d in own)
    there = (w for w in wiring.wires if used and holds(w.when, lambda d: arch.get(str(d))))
    wires = frozenset((place[w.source], place[w.target]) for w in there if w.source in place and w.target in place)
    return Drawn(len(fixed), tuple(labels), wires)


class _Matching:
    """Depth-first over the vertices of ``a``; a partial cost that cannot get below the best is left."""

    def __init__(self, a: Drawn, b: Drawn) -> None:
        self.a, self.b = a, b
        self.tried = 0
        start: list[int | None] = list(range(a.fixed))
        in_order = [a.fixed + i if i < len(b.labels) else None for i in range(len(a.labels))]
        self.best = self._cost([*start, *in_order])
        self._extend(start, self._between(start))

    def _between(self, image: list[int | None]) -> int:
        """Wires among the first vertices that differ, all of which have images."""
        size = len(image)
        mine = {(u, v) for u, v in self.a.wires if u < size and v < size}
        theirs = {(u, v) for u, v in self.b.wires if u < size and v < size}
        return len(mine ^ theirs)

    def _step(self, image: list[int | None], to: int | None) -> int:
        """What matching the next vertex costs: its label, and its wires to those matched before."""
        at = len(image)
        label = self.a.labels[at - self.a.fixed]
        cost = 1 if to is None else int(label != self.b.labels[to - self.b.fixed])
        for other, image_of in enumerate(image):
            for mine, theirs in (((other, at), (image_of, to)), ((at, other), (to, image_of))):
                cost += (mine in self.a.wires) != (None not in theirs and theirs in self.b.wires)
        return cost

    def _rest(self, image: list[int | None]) -> int:
        """What is left of ``b``: vertices without a match, and their wires."""
        matched = {i for i in image if i is not None}
        free = set(range(self.b.fixed, self.b.fixed + len(self.b.labels))) - matched
        return len(free) + sum(u in free or v in free for u, v in self.b.wires)

    def _cost(self, image: list[int | None]) -> int:
        total = self._between(image[: self.a.fixed])
        for at in range(self.a.fixed, len(image)):
            total += self._step(image[:at], image[at])
        return total + self._rest(image)

    def _bound(self, image: list[int | None]) -> int:
        """Labels that are left on both sides differ at least so often."""
        mine = Counter(self.a.labels[len(image) - self.a.fixed :])
        taken = {i for i in image if i is not None}
        theirs = Counter(x for i, x in enumerate(self.b.labels) if i + self.b.fixed not in taken)
        return max(mine.total(), theirs.total()) - (mine & theirs).total()

    def _extend(self, image: list[int | None], cost: int) -> None:
        self.tried += 1
        if self.tried > LIMIT:
            headline = f"an exact edit distance takes more than {LIMIT:,} partial matchings"
            raise SpacecError(Diagnostic("E0634", headline, help="`distance` compares decision by decision"))
        if len(image) == self.a.fixed + len(self.a.labels):
            self.best = min(self.best, cost + self._rest(image))
            return
        taken = {i for i in image if i is not None}
        free = [i for i in range(self.b.fixed, self.b.fixed + len(self.b.labels)) if i not in taken]
        steps = sorted(((self._step(image, to), to) for to in [*free, None]), key=lambda s: (s[0], s[1] is None))
        for step, to in steps:
            further = [*image, to]
            if cost + step + self._bound(further) < self.best:
                self._extend(further, cost + step)
