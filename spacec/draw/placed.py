"""A diagram with positions: what a layout holds, how large lines and badges are, and layouts at other places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spacec.draw.model import Line, Shape, Wire
from spacec.draw.svg import Point, text_width
from spacec.draw.words import TIMES

TEXT, LEAD, SWATCH, INDENT = 11.5, 15.0, 14.0, 14.0
STRAND = 1.9
"""Distance of the strands of an edge that chooses."""
PAD = 8.0
ROW_GAP = 26.0
LANE = 12.0


@dataclass(frozen=True)
class Box:
    """A shape at its place (left, top)."""

    shape: Shape
    x: float
    y: float
    width: float
    height: float
    inner: Layout | None = None

    @property
    def centre(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


Bend = Literal["right", "down", "beside"]


@dataclass(frozen=True)
class Course:
    """A wire's points. Between them it runs to the right or downward; or it passes beside a column, with corners."""

    wire: Wire
    points: tuple[Point, ...]
    bend: Bend


@dataclass(frozen=True)
class Layout:
    """A diagram with positions; ``rows`` are the heights of its scales."""

    boxes: tuple[Box, ...]
    courses: tuple[Course, ...]
    width: float
    height: float
    scales: tuple[str, ...] = ()
    rows: tuple[float, ...] = ()


def lines_of(shape: Shape) -> list[Line]:
    """The lines of a shape as they are drawn, its type after its own."""
    kind = [Line(shape.type, "muted")] if shape.type else []
    often = [Line(f"{TIMES} {shape.times}", "title")] if shape.times and len(shape.rows) > 1 else []
    return [*shape.lines, *kind, *often]


def line_width(line: Line) -> float:
    swatch = SWATCH if line.style == "candidate" else 0.0
    return text_width(line.text, TEXT, bold=line.style == "title") + line.indent * INDENT + swatch


def badge_width(shape: Shape) -> float:
    """Width of the part that says how often; a shape of several rows says it as its last line."""
    if not shape.times or len(shape.rows) > 1:
        return 0.0
    return text_width(f"{TIMES} {shape.times}", TEXT, bold=True) + 14


def strands(wire: Wire) -> float:
    """Thickness of a wire."""
    return max(1, len(wire.labels)) * STRAND


def moved(layout: Layout, dx: float, dy: float) -> Layout:
    """The layout at another place; insides of frames move with their frames when they are painted."""
    boxes = tuple(replace(box, x=box.x + dx, y=box.y + dy) for box in layout.boxes)
    courses = tuple(replace(c, points=tuple((x + dx, y + dy) for x, y in c.points)) for c in layout.courses)
    return replace(layout, boxes=boxes, courses=courses, rows=tuple(y + dy for y in layout.rows))


def inside(box: Box) -> Layout | None:
    """The content of a frame at its place."""
    if box.inner is None:
        return None
    lines = len(lines_of(box.shape))
    title = LEAD * lines + (4 if lines else 0)
    room = box.width - badge_width(box.shape)
    return moved(box.inner, box.x + (room - box.inner.width) / 2, box.y + PAD + title)
