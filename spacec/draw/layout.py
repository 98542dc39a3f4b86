"""Positions for a picture's diagrams: every shape a rectangle, every wire a course that ends on two of them.

Plain diagrams are layered (:mod:`spacec.draw.layered`), from left to right or downward; multi-scale ones stand
on a grid (:mod:`spacec.draw.grid`). Guarantees that no two shapes of a diagram overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from spacec.draw.grid import grid
from spacec.draw.layered import Mark, Sketch, place
from spacec.draw.model import Diagram, Shape, Wire
from spacec.draw.placed import LANE, LEAD, PAD, ROW_GAP, Box, Course, Layout, badge_width, line_width, lines_of, strands
from spacec.draw.svg import Point


def lay_out(diagram: Diagram, down: bool) -> Layout:
    """Positions for a diagram; a multi-scale one always runs to the right."""
    if not diagram.shapes:
        return Layout((), (), 0.0, 0.0)
    inner = {s.id: lay_out(s.inner, down) for s in diagram.shapes if s.inner is not None}
    sizes = {shape.id: _size(shape, inner.get(shape.id)) for shape in diagram.shapes}
    if diagram.scales:  # a shape that belongs to no scale stands on the first row
        placed = tuple(s if s.rows else replace(s, rows=(0,)) for s in diagram.shapes)
        return grid(replace(diagram, shapes=placed), sizes, inner)
    if down and _is_column(diagram):
        return _column(diagram, sizes, inner)
    return _layered(diagram, sizes, inner, down)


def _size(shape: Shape, inner: Layout | None) -> tuple[float, float]:
    lines = lines_of(shape)
    width = max((line_width(line) for line in lines), default=0.0)
    height = LEAD * len(lines)
    if shape.role == "state":
        return max(26.0, width + 12), max(26.0, height + 8)
    if shape.role == "join":
        return max(24.0, width + 14), max(24.0, height + 8)
    if inner is not None:
        title = LEAD * len(lines) + (4 if lines else 0)
        return max(width, inner.width) + 2 * PAD + 4 + badge_width(shape), inner.height + title + 2 * PAD
    return width + 2 * PAD + badge_width(shape), height + 10


def _is_column(diagram: Diagram) -> bool:
    """Whether every shape reads the one before it, so that all stand in one column."""
    joined = {(w.tail, w.head) for w in diagram.wires}
    return all((a.id, b.id) in joined for a, b in pairwise(diagram.shapes)) and not any(
        w.labels for w in diagram.wires
    )  # fmt: skip


def _column(diagram: Diagram, sizes: Mapping[str, tuple[float, float]], inner: Mapping[str, Layout]) -> Layout:
    """One below the other; wires that pass shapes run at the right, each beside those it encloses."""
    half = max((w for w, _ in sizes.values()), default=0.0) / 2
    boxes: dict[str, Box] = {}
    y = 0.0
    for shape in diagram.shapes:
        w, h = sizes[shape.id]
        boxes[shape.id] = Box(shape, half - w / 2, y, w, h, inner.get(shape.id))
        y += h + ROW_GAP
    place = {shape.id: k for k, shape in enumerate(diagram.shapes)}
    courses, lanes = [], list[tuple[int, int, int]]()
    for wire in sorted(diagram.wires, key=lambda w: place[w.head] - place[w.tail]):
        tail, head = boxes[wire.tail], boxes[wire.head]
        start, end = place[wire.tail], place[wire.head]
        if end - start == 1:
            top, bottom = (half, tail.y + tail.height), (half, head.y)
            courses.append(Course(wire, (top, bottom), "down"))
            continue
        lane = 0
        while any(k == lane and start < b and a < end for a, b, k in lanes):
            lane += 1
        lanes.append((start, end, lane))
        x = 2 * half + 14 + LANE * lane
        low, high = tail.y + tail.height * 0.7, head.y + head.height * 0.3
        points = ((tail.x + tail.width, low), (x, low), (x, high), (head.x + head.width, high))
        courses.append(Course(wire, points, "beside"))
    width = 2 * half + (14 + LANE * max(k for _, _, k in lanes) if lanes else 0.0)
    return Layout(tuple(boxes.values()), tuple(courses), width, y - ROW_GAP)


def _layered(
    diagram: Diagram, sizes: dict[str, tuple[float, float]], inner: Mapping[str, Layout], down: bool
) -> Layout:
    sizes = dict(sizes)
    sides: dict[tuple[str, bool], list[Wire]] = {}
    for wire in diagram.wires:
        sides.setdefault((wire.tail, False), []).append(wire)
        sides.setdefault((wire.head, True), []).append(wire)
    for (name, _), wires in sides.items():
        width, height = sizes[name]
        across = sum(map(strands, wires)) + 4.0 * (len(wires) - 1) + 10
        sizes[name] = (max(width, across), height) if down else (width, max(height, across))
    marks, edges, parts = _marks(diagram)
    flat = {k: (h, w) if down else (w, h) for k, (w, h) in sizes.items()}
    flat |= {m.id: (6.0, 6.0) for m in marks if m.id not in flat}
    bundles = any(wire.labels for wire in diagram.wires)
    placed = place(Sketch(marks, edges), flat, gap_x=58 if bundles else 26, gap_y=24 if bundles else 18)

    def turned(point: Point) -> Point:
        return (point[1], point[0]) if down else point

    boxes = []
    for shape in diagram.shapes:
        (x, y), (w, h) = turned(placed.centres[shape.id]), sizes[shape.id]
        boxes.append(Box(shape, x - w / 2, y - h / 2, w, h, inner.get(shape.id)))
    courses = []
    for wire, links in parts:
        points = [p for k, link in enumerate(links) for p in placed.courses[link][1 if k else 0 :]]
        courses.append((wire, points))
    low, high = _shifts(courses)
    found = []
    for k, (wire, points) in enumerate(courses):
        moved = [(x, y + low[k]) for x, y in points[:2]] + points[2:-2] + [(x, y + high[k]) for x, y in points[-2:]]
        found.append(Course(wire, tuple(map(turned, moved)), "down" if down else "right"))
    width, height = turned((placed.width, placed.height))
    return Layout(tuple(boxes), tuple(found), width, height)


def _marks(
    diagram: Diagram,
) -> tuple[tuple[Mark, ...], tuple[tuple[str, str], ...], list[tuple[Wire, list[tuple[str, str]]]]]:
    """Marks and edges for the layers; a second wire between two shapes goes through a mark of its own."""
    fed = {wire.head for wire in diagram.wires}
    marks = [Mark(s.id, (), "op", late=s.id not in fed or s.role == "choice") for s in diagram.shapes]
    edges: dict[tuple[str, str], None] = {}
    parts: list[tuple[Wire, list[tuple[str, str]]]] = []
    for k, wire in enumerate(diagram.wires):
        links = [(wire.tail, wire.head)]
        if links[0] in edges:
            via = f"via {k}"
            at = next(i for i, mark in enumerate(marks) if mark.id == wire.head)
            marks.insert(at, Mark(via, (), "op"))
            links = [(wire.tail, via), (via, wire.head)]
        edges.update(dict.fromkeys(links))
        parts.append((wire, links))
    return tuple(marks), tuple(edges), parts


def _shifts(courses: Sequence[tuple[Wire, list[Point]]]) -> tuple[list[float], list[float]]:
    """How far beside the middle of a shape each wire leaves and arrives, so that strands lie side by side."""
    low, high = [0.0] * len(courses), [0.0] * len(courses)
    for side, shifts in ((0, low), (1, high)):
        groups: dict[str, list[int]] = {}
        for k, (wire, _) in enumerate(courses):
            groups.setdefault(wire.head if side else wire.tail, []).append(k)
        for members in groups.values():
            members.sort(key=lambda k: (courses[k][1][-3 if side else 2][1], k))
            if not any(courses[k][0].labels for k in members):
                continue
            total = sum(strands(courses[k][0]) for k in members) + 4.0 * (len(members) - 1)
            at = -total / 2
            for k in members:
                thick = strands(courses[k][0])
                shifts[k] = at + thick / 2
                at += thick + 4.0
    return low, high
