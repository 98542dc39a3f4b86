"""Trials as points over two objectives, with the front of those that no other betters in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spacec.draw.svg import MUTED, PALETTE, Point, Svg, tint
from spacec.search import pareto
from spacec.search.report.charts import Axis, axes, linear_axis, log_axis
from spacec.space.benchmark import Direction

MOST_POINTS = 2_000
"""Points beside the front that are drawn, at most; of more, every so many."""
WIDE = 30.0
"""How far apart, as a ratio, the values of an axis are that is logarithmic."""


@dataclass(frozen=True)
class Aim:
    """One of two objectives: the label of its axis, and what is better."""

    label: str
    direction: Direction

    def loss(self, value: float) -> float:
        return -value if self.direction == "max" else value


def front(points: Sequence[Point], x: Aim, y: Aim) -> list[int]:
    """Which points none dominates, in the order of ``x``; of equal points all."""
    losses = [(x.loss(p), y.loss(q)) for p, q in points]
    return sorted(pareto.front(losses), key=lambda k: (losses[k], k))


def scatter(points: Sequence[Point], x: Aim, y: Aim, title: str, size: Point = (440.0, 300.0)) -> Svg:
    """All points, faintly, and the front as a staircase: what lies behind it is bettered."""
    width, height = size
    svg = Svg(width, height, title)
    svg.text(54, 16, title, 12.5, bold=True)
    best = front(points, x, y)
    shown = _near(points, best, x, y)
    lying = _axis([points[k][0] for k in shown], 54.0, width - 16)
    upright = _axis([points[k][1] for k in shown], height - 38, 40.0)
    axes(svg, lying, upright, x.label, y.label)

    def at(p: Point) -> Point:
        return lying.at(p[0]), upright.at(p[1])

    kept = set(best)
    others = [points[k] for k in shown if k not in kept]
    for p in others[:: -(-len(others) // MOST_POINTS) or 1]:
        svg.circle(*at(p), 2.2, tint(PALETTE[0], 0.35), "none", 0)
    stairs: list[Point] = []
    for k in best:
        here = at(points[k])
        if stairs:
            stairs.append((here[0], stairs[-1][1]))
        stairs.append(here)
    if len(stairs) > 1:
        svg.polyline(stairs, PALETTE[1], 1.4)
    for k in best:
        svg.circle(*at(points[k]), 3.2, PALETTE[1], "#ffffff", 0.8)
    count = f"{len(best)} of {len(points):,} on the front"
    beyond = f", {len(points) - len(shown):,} beyond the axes" if len(shown) < len(points) else ""
    svg.text(width - 16, 28, count + beyond, 10.5, "end", MUTED)
    return svg


def _near(points: Sequence[Point], best: Sequence[int], x: Aim, y: Aim) -> list[int]:
    """The points that are shown: the front, and of the others those that are not far worse than most.

    Far is beyond the worst of the front and beyond nine tenths of all points; few outliers would else press the rest
    into a line.
    """

    def limit(aim: Aim, side: int) -> float:
        losses = sorted(aim.loss(p[side]) for p in points)
        return max(losses[(9 * (len(losses) - 1)) // 10], *(aim.loss(points[k][side]) for k in best))

    right, top = limit(x, 0), limit(y, 1)
    return [k for k, p in enumerate(points) if x.loss(p[0]) <= right and y.loss(p[1]) <= top]


def _axis(values: Sequence[float], start: float, end: float) -> Axis:
    if min(values) > 0 and max(values) / min(values) > WIDE:
        return log_axis(values, start, end)
    return linear_axis(values, start, end)
