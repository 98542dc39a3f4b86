"""Draws a sketch: states as discs, chosen operations as coloured boxes, fixed parts as grey boxes."""

from __future__ import annotations

from collections.abc import Mapping

from spacec.draw.layered import Mark, Sketch, place
from spacec.draw.svg import FAINT, INK, MUTED, PALETTE, PAPER, WASH, Point, Svg, curve, text_width, tint

_MARGIN = 10.0
_TITLE = 26.0
_TEXT = 11.5


def colours_of(labels: list[str]) -> dict[str, str]:
    """A colour per label, in the order given; beyond the palette they repeat."""
    return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(dict.fromkeys(labels))}


def draw_sketch(sketch: Sketch, title: str = "", colours: Mapping[str, str] | None = None) -> Svg:
    """The picture; ``colours`` by an operation's first line."""
    colours = colours or colours_of([m.lines[0] for m in sketch.marks if m.role == "op"])
    sizes = {m.id: _size(m) for m in sketch.marks}
    placement = place(sketch, sizes, gap_x=34, gap_y=14)
    top = _MARGIN + (_TITLE if title else 0)
    svg = Svg(placement.width + 2 * _MARGIN, placement.height + top + _MARGIN, title)
    if title:
        svg.text(_MARGIN, _MARGIN + 12, title, 13, bold=True)
    centres = {n: (x + _MARGIN, y + top) for n, (x, y) in placement.centres.items()}
    roles = {m.id: m for m in sketch.marks}
    for (a, b), course in placement.courses.items():
        *points, end = ((x + _MARGIN, y + top) for x, y in course)
        head = roles[b].role != "op"
        points.append((end[0] - (4 if head else 0), end[1]))
        stroke = MUTED if "op" in (roles[a].role, roles[b].role) else "#a8adb5"
        svg.path(curve(points), stroke=stroke, line=1.2)
        if head:
            svg.arrow_head(*end, stroke=stroke)
    for mark in sketch.marks:
        _draw(svg, mark, centres[mark.id], sizes[mark.id], colours)
    return svg


def _size(mark: Mark) -> tuple[float, float]:
    text = max((text_width(line, _TEXT) for line in mark.lines), default=0.0)
    height = 14.0 * max(1, len(mark.lines)) + 8
    if mark.role == "state":
        return (max(24.0, text + 10), 24.0)
    return (text + 16, height)


def _draw(svg: Svg, mark: Mark, centre: Point, size: Point, colours: Mapping[str, str]) -> None:
    (x, y), (w, h) = centre, size
    left, top = x - w / 2, y - h / 2
    ink = INK
    match mark.role:
        case "state":
            svg.rect(left, top, w, h, PAPER, INK, radius=h / 2, line=1.3)
        case "op":
            colour = colours.get(mark.lines[0], PALETTE[0])
            svg.rect(left, top, w, h, tint(colour), colour, radius=4, line=1.2)
        case "fixed":
            svg.rect(left, top, w, h, WASH, FAINT, radius=4)
            ink = MUTED
        case _:
            svg.rect(left, top, w, h, WASH, INK, radius=4, line=1.3)
    first = y + 4 - 7 * (len(mark.lines) - 1)
    for i, line in enumerate(mark.lines):
        svg.text(x, first + 14 * i, line, _TEXT, "middle", ink)
