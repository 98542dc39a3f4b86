"""Positions of a multi-scale diagram: shapes in columns, scales on rows, finest first.

Assumes that every shape has its rows. Guarantees that no two shapes overlap, and that a wire which would pass behind
a shape runs above the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spacec.draw.model import Diagram, Wire
from spacec.draw.placed import LANE, ROW_GAP, TEXT, Box, Course, Layout
from spacec.draw.svg import text_width


def grid(diagram: Diagram, sizes: Mapping[str, tuple[float, float]], inner: Mapping[str, Layout]) -> Layout:
    """Positions for shapes of some sizes; ``inner`` are the layouts inside frames."""
    column = _columns(diagram)
    pitch = _pitch(diagram, sizes)
    left = max(text_width(name, TEXT) for name in diagram.scales) + 18
    lanes = _lanes(diagram, column)
    top = LANE * (1 + max(lanes.values(), default=-1)) + (8 if lanes else 0)
    highest = max(h for s in diagram.shapes for h in [sizes[s.id][1]] if len(s.rows) == 1 and s.rows[0] == 0) if any(
        s.rows == (0,) for s in diagram.shapes
    ) else 30.0  # fmt: skip
    rows = tuple(top + highest / 2 + pitch * k for k in range(len(diagram.scales)))
    gap = 46.0 if any(w.rows[0] != w.rows[1] for w in diagram.wires) else 22.0
    xs, x = {}, left
    for k in range(max(column.values(), default=0) + 1):
        width = max(sizes[s.id][0] for s in diagram.shapes if column[s.id] == k)
        xs[k] = (x, width)
        x += width + gap
    boxes: dict[str, Box] = {}
    for shape in diagram.shapes:
        w, h = sizes[shape.id]
        start, width = xs[column[shape.id]]
        first, last = rows[shape.rows[0]], rows[shape.rows[-1]]
        if len(shape.rows) > 1:
            h, w = max(h, last - first + 30), width
        boxes[shape.id] = Box(shape, start + (width - w) / 2, (first + last - h) / 2, w, h, inner.get(shape.id))
    courses = tuple(_route(wire, boxes, rows, lanes.get(k)) for k, wire in enumerate(diagram.wires))
    bottom = max(box.y + box.height for box in boxes.values())
    return Layout(tuple(boxes.values()), courses, x - gap, bottom, diagram.scales, rows)


def _pitch(diagram: Diagram, sizes: Mapping[str, tuple[float, float]]) -> float:
    """Distance of the rows: no shape reaches into the row beside it, and a tall one holds its text."""
    lone = [sizes[s.id][1] for s in diagram.shapes if len(s.rows) == 1]
    tall = [(sizes[s.id][1] - 30) / (len(s.rows) - 1) for s in diagram.shapes if len(s.rows) > 1]
    return max([24.0 + ROW_GAP, *(h + 16 for h in lone), *tall])


def _columns(diagram: Diagram) -> dict[str, int]:
    """A column for each shape: right of all it reads, and beside no other on the same rows."""
    column: dict[str, int] = {}
    taken: dict[int, set[int]] = {}
    for shape in diagram.shapes:
        at = max((column[w.tail] + 1 for w in diagram.wires if w.head == shape.id), default=0)
        span = set(range(shape.rows[0], shape.rows[-1] + 1))
        while span & taken.get(at, set()):
            at += 1
        taken.setdefault(at, set()).update(span)
        column[shape.id] = at
    return column


def _lanes(diagram: Diagram, column: Mapping[str, int]) -> dict[int, int]:
    """Wires (by place) that would pass behind a shape run above the rows, each in a lane of its own."""
    lanes: dict[int, int] = {}
    for k, wire in enumerate(diagram.wires):
        between = range(column[wire.tail] + 1, column[wire.head])
        passed = range(min(wire.rows), max(wire.rows) + 1)
        if any(column[s.id] in between and set(s.rows) & set(passed) for s in diagram.shapes):
            lanes[k] = len(lanes)
    return lanes


def _route(
    wire: Wire,
    boxes: Mapping[str, Box],
    rows: Sequence[float],
    lane: int | None,
) -> Course:
    tail, head = boxes[wire.tail], boxes[wire.head]
    start, end = (tail.x + tail.width, rows[wire.rows[0]]), (head.x, rows[wire.rows[1]])
    if lane is None:
        return Course(wire, (start, end), "right")
    y = LANE * (lane + 0.5)
    turn = 20.0
    return Course(wire, (start, (start[0] + turn, y), (end[0] - turn, y), end), "right")
