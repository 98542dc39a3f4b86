"""Layered drawing of a directed acyclic graph, from left to right.

The method of Sugiyama, Tagawa and Toda (1981): layers by longest path, long edges through bends, fewer crossings by
barycentres, then heights that keep edges straight (per layer the least-squares heights under minimal distances).
Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from spacec.draw.svg import Point

_STIFF = 4.0
"""How much more a bend holds to its neighbouring bends, and to its height, than a mark does."""

Role = Literal["input", "state", "op", "fixed", "output"]


@dataclass(frozen=True)
class Mark:
    """A node of a drawing; ``late`` puts it right before its first successor instead of right after its inputs."""

    id: str
    lines: tuple[str, ...]
    role: Role
    late: bool = False


@dataclass(frozen=True)
class Sketch:
    """What is drawn: marks in topological order, and edges between their ids."""

    marks: tuple[Mark, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Placement:
    """Centres of the marks, and the course of every edge: level within a layer, free only between layers."""

    centres: Mapping[str, Point]
    courses: Mapping[tuple[str, str], tuple[Point, ...]]
    width: float
    height: float


def place(sketch: Sketch, sizes: Mapping[str, tuple[float, float]], gap_x: float, gap_y: float) -> Placement:
    """Positions for marks of the given (width, height); gaps are between the outlines of neighbours."""
    layer = _layers(sketch)
    graph = _Layered(sketch, layer, sizes)
    graph.order_layers()
    heights = graph.heights(gap_y)
    columns = _columns(graph, gap_x)
    low = min(heights[n] - graph.size(n)[1] / 2 for n in heights)
    middle = {n: (sum(columns[graph.layer[n]]) / 2, heights[n] - low) for n in heights}
    bottom = max(y + graph.size(n)[1] / 2 for n, (_, y) in middle.items())
    courses = {edge: _course(graph, edge, between, middle, columns) for edge, between in graph.bends.items()}
    return Placement({m.id: middle[m.id] for m in sketch.marks}, courses, columns[-1][1], bottom)


def _course(
    graph: _Layered,
    edge: tuple[str, str],
    between: Sequence[str],
    middle: Mapping[str, Point],
    columns: Sequence[tuple[float, float]],
) -> tuple[Point, ...]:
    a, b = edge
    (ax, ay), (bx, by) = middle[a], middle[b]
    points = [(ax + graph.size(a)[0] / 2, ay), (columns[graph.layer[a]][1], ay)]
    for bend in between:
        left, right = columns[graph.layer[bend]]
        points += [(left, middle[bend][1]), (right, middle[bend][1])]
    return (*points, (columns[graph.layer[b]][0], by), (bx - graph.size(b)[0] / 2, by))


def _layers(sketch: Sketch) -> dict[str, int]:
    before: dict[str, list[str]] = {m.id: [] for m in sketch.marks}
    after: dict[str, list[str]] = {m.id: [] for m in sketch.marks}
    for a, b in sketch.edges:
        before[b].append(a)
        after[a].append(b)
    layer: dict[str, int] = {}
    for mark in sketch.marks:
        layer[mark.id] = max((layer[a] + 1 for a in before[mark.id]), default=0)
    for mark in reversed(sketch.marks):
        if mark.late and after[mark.id]:
            layer[mark.id] = min(layer[b] for b in after[mark.id]) - 1
    used = {level: k for k, level in enumerate(sorted(set(layer.values())))}
    return {name: used[level] for name, level in layer.items()}


class _Layered:
    """The graph with a bend in every layer that an edge passes."""

    def __init__(self, sketch: Sketch, layer: dict[str, int], sizes: Mapping[str, tuple[float, float]]) -> None:
        self.sizes = sizes
        self.layer = dict(layer)
        self.rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
        self.before: dict[str, list[str]] = {}
        self.after: dict[str, list[str]] = {}
        self.bends: dict[tuple[str, str], list[str]] = {}
        for mark in sketch.marks:
            self._add(mark.id, layer[mark.id])
        for a, b in sketch.edges:
            between = [f"{a}\x00{b}\x00{k}" for k in range(layer[a] + 1, layer[b])]
            for name, k in zip(between, range(layer[a] + 1, layer[b]), strict=True):
                self._add(name, k)
            self.bends[a, b] = between
            for u, v in pairwise([a, *between, b]):
                self.after[u].append(v)
                self.before[v].append(u)

    def _add(self, name: str, layer: int) -> None:
        self.layer[name] = layer
        self.rows[layer].append(name)
        self.before[name], self.after[name] = [], []

    def size(self, name: str) -> tuple[float, float]:
        return self.sizes.get(name, (0.0, 0.0))

    def order_layers(self, sweeps: int = 12) -> None:
        """Reorder every layer by barycentres, down and up; the order with the fewest crossings is kept."""
        best, fewest = [list(r) for r in self.rows], self.crossings()
        for sweep in range(sweeps):
            forward = sweep % 2 == 0
            for row in self.rows[1:] if forward else self.rows[-2::-1]:
                self._sort(row, self.before if forward else self.after)
            found = self.crossings()
            if found < fewest:
                best, fewest = [list(r) for r in self.rows], found
        self.rows = best

    def _sort(self, row: list[str], neighbours: Mapping[str, list[str]]) -> None:
        rank = {n: i for r in self.rows for i, n in enumerate(r)}
        own = {n: i for i, n in enumerate(row)}

        def key(name: str) -> tuple[float, int]:
            near = neighbours[name]
            return (sum(rank[n] for n in near) / len(near) if near else own[name], own[name])

        row.sort(key=key)

    def crossings(self) -> int:
        total = 0
        for upper, lower in pairwise(self.rows):
            rank = {n: i for i, n in enumerate(lower)}
            ends = [rank[b] for a in upper for b in sorted(self.after[a], key=rank.__getitem__)]
            total += sum(ends[i] > ends[j] for i in range(len(ends)) for j in range(i + 1, len(ends)))
        return total

    def heights(self, gap: float, sweeps: int = 40) -> dict[str, float]:
        """Height of every node: near the mean of its neighbours, order and distances kept."""
        y: dict[str, float] = {}
        for row in self.rows:
            y.update(zip(row, self._spread([0.0] * len(row), row, gap), strict=True))
        for sweep in range(sweeps):
            forward = sweep % 2 == 0
            for row in self.rows if forward else reversed(self.rows):
                wanted = [self._wanted(n, y, forward, last=sweep >= sweeps - 2) for n in row]
                y.update(zip(row, self._spread(wanted, row, gap), strict=True))
        return y

    def _wanted(self, name: str, y: Mapping[str, float], forward: bool, last: bool) -> float:
        near = [*self.before[name], *self.after[name]] if last else self.before[name] if forward else self.after[name]
        weights = [_STIFF if self._bend(n) and self._bend(name) else 1.0 for n in near]
        return sum(y[n] * w for n, w in zip(near, weights, strict=True)) / sum(weights) if near else y[name]

    def _bend(self, name: str) -> bool:
        return name not in self.sizes

    def _spread(self, wanted: list[float], row: list[str], gap: float) -> list[float]:
        """The heights nearest to ``wanted`` (least squares) that keep the order and the distances: pooled averages."""
        offsets = [0.0]
        for a, b in pairwise(row):
            bend = self._bend(a) or self._bend(b)
            offsets.append(offsets[-1] + (self.size(a)[1] + self.size(b)[1]) / 2 + (gap * 0.7 if bend else gap))
        blocks: list[tuple[float, float, int]] = []
        for name, value, offset in zip(row, wanted, offsets, strict=True):
            mean, weight, count = value - offset, _STIFF if self._bend(name) else 1.0, 1
            while blocks and blocks[-1][0] > mean:
                other, w, n = blocks.pop()
                mean, weight, count = (other * w + mean * weight) / (w + weight), w + weight, n + count
            blocks.append((mean, weight, count))
        flat = [mean for mean, _, count in blocks for _ in range(count)]
        return [m + o for m, o in zip(flat, offsets, strict=True)]


def _columns(graph: _Layered, gap: float) -> list[tuple[float, float]]:
    """Left and right of every layer."""
    widths: Sequence[float] = [max((graph.size(n)[0] for n in row), default=0.0) for row in graph.rows]
    sides, x = [], 0.0
    for width in widths:
        sides.append((x, x + width))
        x += width + gap
    return sides
