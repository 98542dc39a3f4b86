"""Architectures by their ranks, many at a time: the walk down the decision diagrams as array operations.

Assumes ranks below the count. Guarantees the architectures of :func:`spacec.space.algebra.unrank`, rank
by rank. All walks take one step at a time together. Nodes with more than ``2**62`` ways on, where a space
has such, are passed first, with Python's integers; ranks that lie near each other pass them together.
Components of few architectures are listed once and then read off. Imports numpy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spacec.space.batch import INACTIVE, code_type
from spacec.space.decisions import DecisionTable
from spacec.space.diagram import DEAD, END, Diagram
from spacec.space.schedule import IN, Step
from spacec.space.streams import NARROW, Ranks

if TYPE_CHECKING:
    from spacec.space.algebra import Algebra

_LISTED = 1 << 12
"""Components of at most this many architectures are listed."""

_MOST = 1 << NARROW

_Array = NDArray[Any]


def unranker(table: DecisionTable, compiled: Algebra) -> Unranker:
    """The unranker of a table's algebra, made once; ``compiled`` must admit every outcome."""
    known: list[Unranker] = table.memo.setdefault("unrankers", [])
    found = next((u for u in known if u.compiled is compiled), None)
    if found is None:
        found = Unranker(table, compiled)
        known.append(found)
    return found


class Unranker:
    """Ranks to rows of codes."""

    def __init__(self, table: DecisionTable, compiled: Algebra) -> None:
        self.compiled = compiled
        self.type = code_type(table)
        self.width = len(table.decisions)
        columns = {d.id: i for i, d in enumerate(table.decisions)}
        parts = zip(compiled.diagrams, compiled.counts, strict=True)
        self.components = [_Component(diagram, counts, columns, self.type) for diagram, counts in parts]
        self.blocks = _blocks(self.components)

    def codes(self, ranks: Ranks) -> _Array:
        """Rows of codes, shape [ranks, decisions]."""
        found = np.full((len(ranks), self.width), INACTIVE, dtype=self.type)
        if len(ranks) == 0:
            return found
        for block, own in zip(self.blocks, self._digits(ranks), strict=True):
            for component in block[:0:-1]:
                own, rest = np.divmod(own, component.size)
                component.fill(rest, found)
            block[0].fill(own, found)
        return found

    def _digits(self, ranks: Ranks) -> list[Ranks]:
        """The ranks within each block."""
        sizes = [prod(component.size for component in block) for block in self.blocks]
        if len(sizes) == 1:
            return [_compact(ranks, sizes[0])]
        digits: list[list[int]] = [[] for _ in sizes]
        for rank in ranks:
            left = int(rank)
            for own, size in zip(reversed(digits), reversed(sizes), strict=True):
                left, digit = divmod(left, size)
                own.append(digit)
        return [_compact(own, size) for own, size in zip(digits, sizes, strict=True)]


class _Component:
    """One diagram as arrays: per node its column and edges, per edge the ways before it and where it leads.

    An edge is a run of consecutive outcomes with one child. A step adds ``base + outcome * factor`` to
    the code of its decision, whose code is zero when it is first asked.
    """

    def __init__(self, diagram: Diagram, counts: Sequence[int], columns: dict[str, int], kind: np.dtype[Any]) -> None:
        self.diagram = diagram
        self.counts = counts
        self.size = 0 if diagram.root == DEAD else counts[diagram.root]
        self.type = kind
        asked = {step.decision for step in diagram.steps if step is not None}
        self.columns = np.array(sorted(columns[name] for name in asked), dtype=np.int64)
        self.own = {name: int(np.searchsorted(self.columns, columns[name])) for name in asked}
        """Decisions of the component by their place in ``columns``."""
        self.listed: _Array | None = None
        self.wide: dict[int, _Wide] = {}

    def fill(self, ranks: Ranks, codes: _Array) -> None:
        """Write the codes of the component's decisions, rank by rank."""
        if self.size > min(_LISTED, _MOST):
            self._walk(ranks, codes, self.columns)
            return
        if self.listed is None:
            self.listed = np.full((self.size, len(self.columns)), INACTIVE, dtype=self.type)
            self._walk(np.arange(self.size), self.listed, np.arange(len(self.columns)))
        codes[:, self.columns] = self.listed[ranks]

    def _walk(self, ranks: Ranks, codes: _Array, columns: NDArray[np.int64]) -> None:
        if isinstance(ranks, np.ndarray):
            self._walk_narrow(np.full(len(ranks), self.diagram.root), ranks, np.arange(len(ranks)), codes, columns)
            return
        nodes, lefts, rows = [], [], []
        for group, node, left, written in self._pass_wide(ranks):
            codes[np.ix_(group, columns[list(written)])] = np.array(list(written.values()), dtype=self.type)
            nodes.append(np.full(len(group), node))
            lefts.append(left)
            rows.append(group)
        self._walk_narrow(np.concatenate(nodes), np.concatenate(lefts), np.concatenate(rows), codes, columns)

    def _walk_narrow(
        self, nodes: _Array, ranks: _Array, rows: _Array, codes: _Array, columns: NDArray[np.int64]
    ) -> None:
        """All walks to the end, step by step; each row once."""
        arrays = self.arrays
        while True:
            going = nodes != END
            if not going.all():
                nodes, ranks, rows = nodes[going], ranks[going], rows[going]
            if len(nodes) == 0:
                return
            edges = arrays.edges(nodes, ranks)
            places = columns[arrays.column[nodes]]
            outcomes, ranks = np.divmod(ranks - arrays.before[edges], arrays.unit[edges])
            outcomes += arrays.first[edges]
            added = arrays.base[nodes] + outcomes * arrays.factor[nodes]
            codes[rows, places] = np.maximum(codes[rows, places], 0) + added
            nodes = arrays.child[edges]

    def _pass_wide(self, ranks: list[int]) -> Iterator[tuple[_Array, int, _Array, dict[int, int]]]:
        """Groups of rows with the narrow node that they reach, their ranks there, and the codes written on the way."""
        for start, offsets, rows in _near(ranks):
            stack: list[tuple[int, int, _Array, _Array, dict[int, int]]] = []
            stack.append((self.diagram.root, start, offsets, rows, {}))
            while stack:
                node, start, offsets, rows, written = stack.pop()
                reach = int(offsets[-1])
                while self.counts[node] > _MOST:
                    wide = self.wide.get(node) or self.wide.setdefault(node, _Wide(self, node))
                    at = bisect_right(wide.before, start, hi=len(wide.edges)) - 1
                    first, child, _ = wide.edges[at]
                    unit = self.counts[child]
                    outcome, left = divmod(start - wide.before[at], unit)
                    if (room := unit - left) <= reach:
                        cut = int(np.searchsorted(offsets, room))
                        stack.append((node, start + room, offsets[cut:] - room, rows[cut:], written.copy()))
                        offsets, rows, reach = offsets[:cut], rows[:cut], int(offsets[cut - 1])
                    written[wide.place] = written.get(wide.place, 0) + wide.base + (first + outcome) * wide.factor
                    node, start = child, left
                yield rows, node, offsets + start, written

    @cached_property
    def arrays(self) -> _Arrays:
        return _Arrays(self)


class _Wide:
    """A node with more than ``2**62`` ways on: its edges, and the ways before each."""

    def __init__(self, component: _Component, node: int) -> None:
        step = component.diagram.steps[node]
        assert step is not None
        self.place = component.own[step.decision]
        self.base, self.factor = adds(step)
        self.edges = _edges(component.diagram, node)
        ways = (length * component.counts[child] for _, child, length in self.edges)
        self.before = list(accumulate(ways, initial=0))


class _Arrays:
    """The nodes of a component that have at most ``2**62`` ways on, in arrays; the others have no edges here."""

    def __init__(self, component: _Component) -> None:
        diagram, counts = component.diagram, component.counts
        start, first, child, before, unit = [0], list[int](), list[int](), list[int](), list[int]()
        column, base, factor = [0], [0], [0]
        for node, step in enumerate(diagram.steps):
            if step is None:
                start.append(0)
                continue
            column.append(component.own[step.decision])
            add = adds(step)
            base.append(add[0])
            factor.append(add[1])
            total = 0
            for outcome, target, length in _edges(diagram, node) if counts[node] <= _MOST else ():
                first.append(outcome)
                child.append(target)
                before.append(total)
                unit.append(counts[target])
                total += length * counts[target]
            start.append(len(child))
        self.start, self.first, self.child, self.before, self.unit, self.column = (
            np.array(numbers, dtype=np.int64) for numbers in (start, first, child, before, unit, column)
        )
        self.base, self.factor = (np.array(numbers, dtype=component.type) for numbers in (base, factor))
        fan = int(np.diff(self.start).max(initial=1))
        self.halvings = (fan - 1).bit_length()

    def edges(self, nodes: _Array, ranks: _Array) -> _Array:
        """Per walk, the edge of its node that its rank lies on."""
        low = self.start[nodes]
        if self.halvings == 0:
            return low
        high = self.start[nodes + 1] - 1
        for _ in range(self.halvings):
            middle = (low + high + 1) >> 1
            beyond = self.before[middle] > ranks
            high = np.where(beyond, middle - 1, high)
            low = np.where(beyond, low, middle)
        return low


_Edge = tuple[int, int, int]
"""First outcome, child, number of outcomes."""


def _edges(diagram: Diagram, node: int) -> list[_Edge]:
    """Runs of consecutive outcomes of a node that lead to one child."""
    step = diagram.steps[node]
    assert step is not None
    children, found = diagram.children[node], list[_Edge]()
    for outcome, kind in enumerate(step.classes):
        child = children[kind]
        if child == DEAD:
            continue
        if found and found[-1][1] == child and sum(found[-1][::2]) == outcome:
            found[-1] = (found[-1][0], child, found[-1][2] + 1)
        else:
            found.append((outcome, child, 1))
    return found


def adds(step: Step) -> tuple[int, int]:
    """What a step adds to its decision's code: for outcome 0, and for each further outcome."""
    if step.element is None:
        return 0, 1
    assert IN == 0
    return 1 << step.element, -(1 << step.element)


def _blocks(components: Sequence[_Component]) -> list[list[_Component]]:
    """Consecutive components whose ranks together are narrow; one that is wide by itself is alone."""
    found: list[list[_Component]] = []
    size = 0
    for component in components:
        if found and size * component.size <= _MOST:
            found[-1].append(component)
            size *= component.size
        else:
            found.append([component])
            size = component.size
    return found


def _compact(ranks: Ranks, size: int) -> Ranks:
    if size <= _MOST:
        return np.asarray(ranks, dtype=np.int64)
    return ranks if isinstance(ranks, list) else [int(rank) for rank in ranks]


def _near(ranks: list[int]) -> Iterator[tuple[int, _Array, _Array]]:
    """Rows whose ranks lie near each other: the least rank, what the others are beyond it in order, the rows."""
    rows = sorted(range(len(ranks)), key=ranks.__getitem__)
    start = 0
    for place in range(1, len(rows) + 1):
        least = ranks[rows[start]]
        if place == len(rows) or ranks[rows[place]] - least >= _MOST // 2:
            group = rows[start:place]
            yield least, np.array([ranks[row] - least for row in group], dtype=np.int64), np.array(group)
            start = place
