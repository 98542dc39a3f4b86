"""Architectures drawn by the product of their decisions' probabilities, conditioned on validity, exactly.

:mod:`spacec.space.chances` does so for any probabilities, in floating point and fast enough to follow a controller;
here nothing is rounded. Every node of a decision diagram gets the weight of all ways on, as an exact fraction; a walk
then takes each class of outcomes with its share of the node's weight, and an outcome with its share of the class. A
share is compared with 64 random bits; in the rare case that these do not settle it, further bits do. Imports numpy.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.diagnostics.model import SpacecError
from spacec.space.algebra import Algebra
from spacec.space.batch import INACTIVE, code_type
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.diagram import DEAD, END, Diagram
from spacec.space.factorised import Factorised, factorised
from spacec.space.sample import no_architecture
from spacec.space.schedule import Step
from spacec.space.streams import words
from spacec.space.unrank import adds
from spacec.space.values import Value, value_at

_BITS = 64
"""Random bits that a choice looks at first; at most 64."""

_BLOCK = 256
"""Rows that are always drawn together, so that a sequence does not depend on how many are asked for."""

_Array = NDArray[Any]


def of_priors(table: DecisionTable, priors: bool) -> Factorised:
    """Every decision by itself: by its prior weights (as written in decimal), or all its values alike."""
    weighing = (d for d in table.decisions if priors and d.priors is not None)
    return factorised(table, {d.id: _shares(d) for d in weighing})


def _shares(decision: Decision) -> tuple[Fraction, ...]:
    weights = [Fraction(str(prior)) for prior in decision.priors or ()]
    total = sum(weights)
    return tuple(w / total if total else w for w in weights)


def weighted_value(decision: Decision, rng: Random, priors: bool) -> Value:
    """A value of one decision: by its probabilities; of a subset decision uniformly."""
    if decision.kind == "subset" or not priors or decision.priors is None:
        return value_at(decision, rng.randrange(decision.cardinality))
    return _settle(list(accumulate(_shares(decision)[:-1])), rng.getrandbits(_BITS), rng)


def _settle(cuts: Sequence[Fraction], drawn: int, rng: Random) -> int:
    """Which part of [0, 1), cut at ``cuts``, holds the number that begins with the bits ``drawn``; may draw more."""
    width = _BITS
    while True:
        part = bisect_right(cuts, Fraction(drawn, 1 << width))
        if part == bisect_left(cuts, Fraction(drawn + 1, 1 << width)):
            return part
        drawn, width = drawn << _BITS | rng.getrandbits(_BITS), width + _BITS


class _Divisions:
    """Many divisions of [0, 1) into parts; ``exact`` tells the shares of the parts of one of them."""

    def __init__(self, count: int, exact: Callable[[int], Sequence[Fraction]]) -> None:
        self.exact = exact
        start, cuts = [0], list[int]()
        for division in range(count):
            shares = exact(division)
            begins = list(accumulate(shares, initial=Fraction(0)))[:-1]
            cuts += [(begin.numerator << _BITS) // begin.denominator for begin in begins]
            start.append(len(cuts))
        self.start = np.array(start, dtype=np.int64)
        self.cuts = np.array(cuts, dtype=np.uint64)
        """Of each part, the first bits of where it begins."""
        self.halvings = (int(np.diff(self.start).max(initial=1)) - 1).bit_length()

    def pick(self, divisions: _Array, rng: Random) -> _Array:
        """A part of each of these divisions, by its share; parts are numbered through all divisions."""
        parts = self.start[divisions]
        several = np.flatnonzero(self.start[divisions + 1] - parts > 1)
        if len(several) == 0:
            return parts
        drawn = words(rng, 2 * len(several)).view("<u8") >> np.uint64(64 - _BITS)
        asked = divisions[several]
        low, high = parts[several], self.start[asked + 1] - 1
        for _ in range(self.halvings):
            middle = (low + high + 1) >> 1
            beyond = self.cuts[middle] > drawn
            high = np.where(beyond, middle - 1, high)
            low = np.where(beyond, low, middle)
        for place in np.flatnonzero((self.cuts[low] == drawn) & (low > parts[several])).tolist():
            shares = self.exact(int(asked[place]))
            low[place] = parts[several[place]] + _settle(list(accumulate(shares[:-1])), int(drawn[place]), rng)
        parts[several] = low
        return parts


class WeightedRows:
    """Rows of codes by weight, one sequence however many are taken at a time.

    ``law`` is exact; ``compiled`` must admit every outcome. Raises E0511 where every architecture has a prior of zero.
    """

    def __init__(self, table: DecisionTable, compiled: Algebra, seed: int, law: Factorised) -> None:
        self.table = table
        self.rng = Random(seed)
        self.components = [_Component(diagram, table, law) for diagram in compiled.diagrams]
        if any(component.weights[component.diagram.root] == 0 for component in self.components):
            raise SpacecError(no_architecture(table, "every valid architecture has a prior of zero"))
        self.waiting = np.zeros((0, len(table.decisions)), dtype=code_type(table))

    def rows(self, count: int) -> _Array:
        parts, have = [self.waiting], len(self.waiting)
        while have < count:
            block = np.full((_BLOCK, len(self.table.decisions)), INACTIVE, dtype=self.waiting.dtype)
            for component in self.components:
                component.walk(block, self.rng)
            parts.append(block)
            have += _BLOCK
        found = np.concatenate(parts)
        self.waiting = found[count:]
        return found[:count]


@dataclass(frozen=True)
class _Class:
    """Outcomes of a step that lead to one child: their probability together, and the shares of each in it."""

    place: int
    weight: Fraction
    outcomes: tuple[int, ...]
    shares: tuple[Fraction, ...]


class _Component:
    """A diagram with the exact weight of every node, and its choices as divisions."""

    def __init__(self, diagram: Diagram, table: DecisionTable, law: Factorised) -> None:
        self.diagram = diagram
        self.classes: list[_Class] = []
        by_step: dict[int, list[_Class]] = {}
        for step in diagram.steps:
            if step is not None and id(step) not in by_step:
                by_step[id(step)] = _classes(step, law.weights(step), len(self.classes))
                self.classes += by_step[id(step)]
        self.weights = [Fraction(1)]
        self.ways: list[list[tuple[_Class, int]]] = [[]]
        """Per node, its classes with a weight and their children."""
        for step, children in zip(diagram.steps[1:], diagram.children[1:], strict=True):
            pairs = zip(by_step[id(step)], children, strict=True)
            ways = [(c, child) for c, child in pairs if child != DEAD and c.weight and self.weights[child]]
            self.ways.append(ways)
            self.weights.append(sum((c.weight * self.weights[child] for c, child in ways), Fraction(0)))
        self.nodes = _Divisions(len(self.ways), self.shares)
        self.inside = _Divisions(len(self.classes), lambda k: self.classes[k].shares)
        self.child = np.array([child for ways in self.ways for _, child in ways], dtype=np.int64)
        self.kind = np.array([c.place for ways in self.ways for c, _ in ways], dtype=np.int64)
        self.outcome = np.array([o for c in self.classes for o in c.outcomes], dtype=code_type(table))
        columns = {d.id: i for i, d in enumerate(table.decisions)}
        steps = diagram.steps[1:]
        self.column = np.array([0, *(columns[s.decision] for s in steps if s)], dtype=np.int64)
        added = [(0, 0), *(adds(s) for s in steps if s)]
        self.base, self.factor = (np.array(numbers, dtype=code_type(table)) for numbers in zip(*added, strict=True))

    def shares(self, node: int) -> list[Fraction]:
        """Of each way on, in order."""
        return [c.weight * self.weights[child] / self.weights[node] for c, child in self.ways[node]]

    def walk(self, codes: _Array, rng: Random) -> None:
        """Draw the decisions of the component in every row."""
        rows = np.arange(len(codes))
        nodes = np.full(len(codes), self.diagram.root)
        while len(rows):
            going = nodes != END
            rows, nodes = rows[going], nodes[going]
            ways = self.nodes.pick(nodes, rng)
            outcomes = self.outcome[self.inside.pick(self.kind[ways], rng)]
            places = self.column[nodes]
            codes[rows, places] = np.maximum(codes[rows, places], 0) + self.base[nodes] + outcomes * self.factor[nodes]
            nodes = self.child[ways]


def _classes(step: Step, weights: Sequence[Fraction], first: int) -> list[_Class]:
    """The classes of a step, numbered from ``first``; ``weights`` are per outcome."""
    found = []
    for kind in range(max(step.classes) + 1):
        outcomes = tuple(o for o, k in enumerate(step.classes) if k == kind and weights[o])
        total = sum((weights[o] for o in outcomes), Fraction(0))
        found.append(_Class(first + kind, total, outcomes, tuple(weights[o] / total for o in outcomes)))
    return found
