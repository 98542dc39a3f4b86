"""Whether networks tell which of their ops fill holes: no chain of candidates spells another.

A structure is a graph with holes; filling one puts a chain of ops in its place. Different fillings, or different
structures, could become one network: ``a`` then ``a >> a`` is ``a >> a`` then ``a``. This is excluded where every path
of ops, from an output down to what reads nothing, is the spelling of one path of vertices of structures only. Then an
isomorphism of networks takes each op to one of the same place of the same candidate, so it is one of structures.

The paths of all structures are taken to be those of one automaton, which has more: so a verdict that spelling is
unique is a proof, and the contrary is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spacec.space.orbits import HOLE
from spacec.space.workshop import Form

_State = tuple[str, int, int]
"""Label of a vertex, number of its candidate, place in the chain of ops from the output down."""


@dataclass
class Spelling:
    """What vertices read what, over all structures; filled by :meth:`add`."""

    below: dict[str, set[str]] = field(default_factory=dict)
    starts: set[str] = field(default_factory=set)
    chains: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    def add(self, form: Form) -> None:
        """Take in the paths of a structure."""
        vertices = form.graph.vertices
        for vertex in vertices:
            self.below.setdefault(vertex.label, set()).update(vertices[u].label for u in vertex.inputs)
        self.starts.update(vertices[v].label for v in form.graph.outputs)

    def doubtful(self) -> frozenset[str]:
        """Labels of holes on two different paths that spell the same; empty where spelling is unique."""
        if not any(label.startswith(HOLE) for label in self.below):
            return frozenset()
        pairs: dict[tuple[_State, _State], set[tuple[_State, _State]]] = {}
        first = [s for label in sorted(self.starts) for s in self.entries(label)]
        stack = [(a, b) for a in first for b in first if a <= b and self.letter(a) == self.letter(b)]
        ends = set()
        seen = set(stack)
        while stack:
            pair = stack.pop()
            a, b = pair
            if self.is_end(a) and self.is_end(b):
                ends.add(pair)
            for x in self.next(a):
                for y in self.next(b):
                    if self.letter(x) != self.letter(y):
                        continue
                    after = (min(x, y), max(x, y))
                    pairs.setdefault(after, set()).add(pair)
                    if after not in seen:
                        seen.add(after)
                        stack.append(after)
        found: set[str] = set()
        done, back = set(ends), list(ends)
        while back:
            pair = back.pop()
            if pair[0] != pair[1]:
                found.update(label for label, _, _ in pair if label.startswith(HOLE))
            for before in pairs.get(pair, ()):
                if before not in done:
                    done.add(before)
                    back.append(before)
        return frozenset(found)

    def chains_of(self, label: str) -> tuple[tuple[str, ...], ...]:
        if label not in self.chains:
            texts = dict.fromkeys(label.removeprefix(HOLE).split(" | ")) if label.startswith(HOLE) else [label]
            split = (tuple(t.split(" < ")) for t in texts)
            self.chains[label] = tuple(split) if label.startswith(HOLE) else ((label,),)
        return self.chains[label]

    def letter(self, state: _State) -> str:
        label, candidate, place = state
        return self.chains_of(label)[candidate][place]

    def entries(self, label: str) -> Iterator[_State]:
        return ((label, k, 0) for k in range(len(self.chains_of(label))))

    def next(self, state: _State) -> Iterable[_State]:
        label, candidate, place = state
        if place + 1 < len(self.chains_of(label)[candidate]):
            return ((label, candidate, place + 1),)
        return [s for other in sorted(self.below[label]) for s in self.entries(other)]

    def is_end(self, state: _State) -> bool:
        label, candidate, place = state
        return not self.below[label] and place + 1 == len(self.chains_of(label)[candidate])
