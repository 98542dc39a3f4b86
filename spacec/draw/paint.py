"""A picture as an SVG document: light, in the one style of all pictures, with panels, notes and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from spacec.draw.model import Line, Picture
from spacec.draw.page import MARGIN, Frame, Page, arrange, facts, legend_rows
from spacec.draw.placed import (
    INDENT,
    LEAD,
    STRAND,
    SWATCH,
    TEXT,
    Box,
    Course,
    Layout,
    badge_width,
    inside,
    line_width,
    lines_of,
)
from spacec.draw.svg import (
    FAINT,
    INK,
    MUTED,
    PALETTE,
    PAPER,
    WASH,
    Point,
    Svg,
    corners,
    curve,
    curve_down,
    text_width,
    tint,
)
from spacec.draw.words import TIMES

_MORE = ("#4b5fd1", "#a0522d", "#1b9e9e", "#c2185b")
_NOTHING = ("none", "zero", "absent")
_GREY = "#9aa0a8"
_UP, _DOWN = "#6f9bc4", "#cf8a5b"
"""Wires to a finer and to a coarser scale."""


def colours_of(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label, in order; what gives nothing is grey."""
    palette = (*PALETTE, *_MORE)
    coloured = [label for label in dict.fromkeys(labels) if label not in _NOTHING]
    found = {label: palette[k % len(palette)] for k, label in enumerate(coloured)}
    return found | dict.fromkeys(_NOTHING, _GREY)


def render(picture: Picture) -> str:
    """The SVG document."""
    page = arrange(picture)
    colours = colours_of(picture.labels)
    svg = Svg(page.width, page.height, picture.title)
    svg.rect(0, 0, page.width, page.height, PAPER)
    svg.text(MARGIN, MARGIN + 14, picture.title, 17, bold=True)
    y = MARGIN + 14
    for line in facts(picture, page.width):
        y += 16
        svg.text(MARGIN, y, line, TEXT, fill=MUTED)
    for frame in page.frames:
        _panel(svg, frame, colours)
    _legend(svg, page, colours)
    return svg.render()


# ------------------------------------------------------------------ panels


def _panel(svg: Svg, frame: Frame, colours: Mapping[str, str]) -> None:
    svg.rect(frame.x, frame.y, frame.width, frame.height, PAPER, FAINT, radius=8)
    svg.text(frame.x + MARGIN, frame.y + MARGIN + 9, frame.panel.title, 13, bold=True)
    layout = frame.layout
    for name, y in zip(layout.scales, layout.rows, strict=True):
        svg.text(frame.x + MARGIN, y + 4, name, TEXT, fill=MUTED)
    _paint(svg, layout, colours)
    notes = frame.panel.notes
    y = frame.y + frame.height - MARGIN - 16 * (len(notes) - 1)
    for note in notes:
        svg.text(frame.x + MARGIN, y, note.text, TEXT, fill=MUTED)
        y += 16


def _paint(svg: Svg, layout: Layout, colours: Mapping[str, str]) -> None:
    for course in layout.courses:
        _course(svg, course, colours)
    for box in layout.boxes:
        _box(svg, box, colours)


def _course(svg: Svg, course: Course, colours: Mapping[str, str]) -> None:
    wire, points = course.wire, course.points
    bend = {"down": curve_down, "right": curve, "beside": corners}[course.bend]
    dash = "5 3" if wire.optional and not wire.labels else ""
    svg.note("; ".join(s.text for s in wire.shown) or wire.note)
    for k, label in enumerate(wire.labels):
        shift = (k - (len(wire.labels) - 1) / 2) * STRAND
        strand = [(x + shift, y) if course.bend == "down" else (x, y + shift) for x, y in points]
        svg.path(bend(strand), stroke=colours.get(label, MUTED), line=1.4)
    if not wire.labels:
        *before, (x, y) = points
        short = {"down": (x, y - 4), "right": (x - 4, y), "beside": (x + 4, y)}[course.bend]
        stroke = "#8a9099" if not wire.note else _UP if wire.rows[0] > wire.rows[1] else _DOWN
        svg.path(bend([*before, short]), stroke=stroke, line=1.3, dash=dash)
        svg.arrow_head(x, y, stroke=stroke, turn={"down": 90, "right": 0, "beside": 180}[course.bend])
    svg.end_note()


def _box(svg: Svg, box: Box, colours: Mapping[str, str]) -> None:
    shape, (x, y) = box.shape, (box.x, box.y)
    svg.note("; ".join(dict.fromkeys(s.text for s in shape.shown)))
    round_ = min(box.width, box.height) / 2
    match shape.role:
        case "state" | "join":
            svg.rect(x, y, box.width, box.height, PAPER, INK, radius=min(round_, 13.0), line=1.3)
        case "input" | "output":
            svg.rect(x, y, box.width, box.height, PAPER, FAINT, radius=min(round_, 12.0))
        case "fixed":
            _stack(svg, box, WASH, FAINT)
        case "call":
            _stack(svg, box, tint(PALETTE[0], 0.10), PALETTE[0])
        case "choice":
            _stack(svg, box, tint("#e69f00", 0.10), "#b8860b")
        case _:
            _stack(svg, box, "#fbfbfc", "#b4bac2")
    _lines(svg, box, colours)
    inner = inside(box)
    if inner is not None:
        _paint(svg, inner, colours)
    svg.end_note()


def _stack(svg: Svg, box: Box, fill: str, stroke: str) -> None:
    """A rectangle, and the part that says how often."""
    svg.rect(box.x, box.y, box.width, box.height, fill, stroke, radius=5, line=1.2)
    badge = badge_width(box.shape)
    if badge:
        left = box.x + box.width - badge
        svg.line((left, box.y + 4), (left, box.y + box.height - 4), stroke, 0.8)
        svg.text(left + badge / 2, box.centre[1] + 4, f"{TIMES} {box.shape.times}", TEXT, "middle", bold=True)


def _lines(svg: Svg, box: Box, colours: Mapping[str, str]) -> None:
    """The text of a shape: in the middle, candidates in a column with their colours."""
    lines = lines_of(box.shape)
    room = box.width - badge_width(box.shape)
    framed = box.inner is not None
    y = box.y + 8 + TEXT if framed else box.centre[1] + 4 - LEAD * (len(lines) - 1) / 2
    listed = any(line.style == "candidate" or line.indent for line in lines)
    left = box.x + (room - max((line_width(line) for line in lines), default=0.0)) / 2
    for line in lines:
        _line(svg, line, (left, y) if listed or framed else (box.x + room / 2, y), listed or framed, colours)
        y += LEAD


def _line(svg: Svg, line: Line, at: Point, listed: bool, colours: Mapping[str, str]) -> None:
    x, y = at[0] + (INDENT * line.indent if listed else 0), at[1]
    if line.style == "candidate":
        svg.rect(x, y - 8, 8, 8, colours.get(line.text, MUTED), radius=2)
        x += SWATCH
    ink = MUTED if line.style == "muted" else INK
    svg.text(x, y, line.text, TEXT, "start" if listed else "middle", ink, bold=line.style == "title")


# ------------------------------------------------------------------ the legend


def _legend(svg: Svg, page: Page, colours: Mapping[str, str]) -> None:
    rows = legend_rows(page.legend, page.width - 2 * MARGIN)
    y = page.height - MARGIN - 18 * (len(rows) - 1) - 2
    for row in rows:
        x = MARGIN
        for sign, meaning in row:
            _sign(svg, sign, x, y, colours)
            svg.text(x + 26, y, meaning, TEXT)
            x += ceil(text_width(meaning, TEXT)) + 46
        y += 18


def _sign(svg: Svg, sign: str, x: float, y: float, colours: Mapping[str, str]) -> None:
    match sign:
        case "/dash":
            svg.line((x, y - 4), (x + 20, y - 4), MUTED, 1.4, "5 3")
        case "/up" | "/down":
            svg.line((x, y - 4), (x + 20, y - 4), _UP if sign == "/up" else _DOWN, 1.6)
        case "/of":
            svg.rect(x + 3, y - 11, 14, 14, PAPER, INK, radius=7, line=1.3)
        case "/choice":
            svg.rect(x, y - 10, 20, 12, tint("#e69f00", 0.10), "#b8860b", radius=3)
        case "/call":
            svg.rect(x, y - 10, 20, 12, tint(PALETTE[0], 0.10), PALETTE[0], radius=3)
        case "/times":
            svg.text(x + 10, y, f"{TIMES} n", TEXT, "middle", bold=True)
        case _:
            svg.line((x, y - 4), (x + 20, y - 4), colours.get(sign, MUTED), 3)
