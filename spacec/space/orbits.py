"""Labellings of a structure up to its automorphisms: counted (Burnside's lemma) and drawn uniformly (Dixon and Wilf).

The holes of a structure take labels from menus. Two labellings are one network where an automorphism of the holed
graph takes one to the other. The group is that of :class:`spacec.space.canonical.Symmetry`: each part has a small group
of its own, and equal parts are exchanged in every way, so labellings of equal parts form a multiset. (Dixon and Wilf,
The random selection of unlabeled graphs, J. Algorithms 1983.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb, prod
from random import Random

from spacec.space.canonical import Part, Permutation, Symmetry, automorphisms
from spacec.space.workshop import Form

HOLE = "hole:"
"""Begins the labels of vertices that are open."""

Menu = tuple[str, ...]
"""The different labels that a hole may take."""


def menu_of(label: str) -> Menu:
    """The labels that a hole may take, each once, in order."""
    return tuple(dict.fromkeys(label.removeprefix(HOLE).split(" | ")))


@dataclass(frozen=True)
class Labellings:
    """The labellings of one form: ``sizes`` are those of the menus of its holes, by vertex."""

    symmetry: Symmetry
    sizes: Mapping[int, int]

    @staticmethod
    def of(form: Form) -> Labellings:
        sizes = {v: len(menu_of(form.graph.vertices[v].label)) for v, _ in form.holes}
        return Labellings(automorphisms(form.graph) if sizes else Symmetry(0, (), ()), sizes)

    @cached_property
    def free(self) -> int:
        """How many there are before automorphisms."""
        return prod(self.sizes.values())

    @cached_property
    def total(self) -> int:
        """How many there are up to automorphisms. Raises :class:`TooManyAutomorphisms`."""
        total = prod(self.sizes.get(v, 1) for v in self.symmetry.fixed)
        for parts in self.symmetry.classes:
            total *= comb(self.of_part(parts[0]) + len(parts) - 1, len(parts))
        return total

    def of_part(self, part: Part) -> int:
        """Of one part, up to its own group."""
        sizes = [self.sizes.get(v, 1) for v in part.nodes]
        return sum(_fixed(g, sizes) for g in part.elements) // len(part.elements)

    def draw(self, rng: Random) -> dict[int, int]:
        """A label (its place in the menu) for each hole: all networks of the structure are equally likely."""
        found = {v: rng.randrange(self.sizes[v]) for v in self.symmetry.fixed if v in self.sizes}
        for parts in self.symmetry.classes:
            ways = self.of_part(parts[0])
            drawn: list[list[int]] = []
            for k, part in enumerate(parts):  # a random permutation of the parts by its cycles, which share labels
                other = rng.randrange(ways + k)
                drawn.append(self._draw_part(part, rng) if other < ways else drawn[other - ways])
                found.update((v, x) for v, x in zip(part.nodes, drawn[-1], strict=True) if v in self.sizes)
        return found

    def _draw_part(self, part: Part, rng: Random) -> list[int]:
        sizes = [self.sizes.get(v, 1) for v in part.nodes]
        point = rng.randrange(sum(_fixed(g, sizes) for g in part.elements))
        for g in part.elements:
            fixed = _fixed(g, sizes)
            if point < fixed:
                break
            point -= fixed
        labels = [0] * len(g)
        for cycle in _cycles(g):
            label = rng.randrange(sizes[cycle[0]])
            for k in cycle:
                labels[k] = label
        return labels


def _fixed(g: Permutation, sizes: Sequence[int]) -> int:
    """Labellings that a permutation leaves as they are."""
    return prod(sizes[cycle[0]] for cycle in _cycles(g))


def _cycles(g: Permutation) -> list[list[int]]:
    found, seen = [], [False] * len(g)
    for start in range(len(g)):
        cycle = []
        while not seen[start]:
            seen[start] = True
            cycle.append(start)
            start = g[start]
        if cycle:
            found.append(cycle)
    return found
