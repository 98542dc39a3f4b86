"""Where the panels of a picture stand on its page, and what its legend says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spacec.draw.layout import lay_out
from spacec.draw.model import Diagram, Panel, Picture
from spacec.draw.placed import TEXT, Layout, moved
from spacec.draw.svg import text_width

MARGIN = 14.0
_GAP, _HEAD = 18.0, 24.0
_WIDE, _TALL = 1040.0, 620.0


@dataclass(frozen=True)
class Frame:
    """A panel at its place on the page."""

    panel: Panel
    x: float
    y: float
    width: float
    height: float
    layout: Layout


@dataclass(frozen=True)
class Page:
    """A picture with positions for everything."""

    picture: Picture
    frames: tuple[Frame, ...]
    width: float
    height: float
    legend: tuple[tuple[str, str], ...]
    """Signs and their meaning: a label has its colour, ``/dash``, ``/times``, ``/of`` and others have a sign."""


def arrange(picture: Picture) -> Page:
    """Panels on a page: the network first, definitions beside it, or below one that is wide."""
    legend = _signs(picture)
    first, *others = (_framed(panel, k == 0) for k, panel in enumerate(picture.panels))
    wide = bool(first.layout.scales) or first.width > 520
    frames = [first, *(_below(first, others) if wide else _beside(first, others))]
    width = max(f.x + f.width for f in frames)
    width = max(width, text_width(picture.title, 17, bold=True), 360.0)
    top = MARGIN + 14 + 16 * len(facts(picture, width + 2 * MARGIN)) + 16
    frames = [Frame(f.panel, f.x + MARGIN, f.y + top, f.width, f.height, moved(f.layout, MARGIN, top))
              for f in frames]  # fmt: skip
    rows = len(legend_rows(legend, width))
    height = max(f.y + f.height for f in frames) + (14 + 18 * rows if rows else 0) + MARGIN
    return Page(picture, tuple(frames), width + 2 * MARGIN, height, legend)


def facts(picture: Picture, width: float) -> list[str]:
    """Facts in lines that fit the page."""
    lines: list[str] = []
    for fact in picture.facts:
        words = fact.split(" ")
        line = words[0]
        for word in words[1:]:
            if text_width(f"{line} {word}", TEXT) > width - 2 * MARGIN:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}"
        while text_width(line, TEXT) > width - 2 * MARGIN:
            cut = max(8, int(len(line) * (width - 2 * MARGIN) / text_width(line, TEXT)) - 1)
            lines.append(line[:cut])
            line = line[cut:]
        lines.append(line)
    return lines


def _framed(panel: Panel, first: bool) -> Frame:
    """A panel at the origin, its diagram inside; the network runs downward, and so does what would be too wide."""
    layout = lay_out(panel.diagram, down=first)
    if not first and layout.width > _WIDE and not layout.scales:
        other = lay_out(panel.diagram, down=True)
        layout = other if other.width < layout.width else layout
    notes = 16.0 * len(panel.notes) + (8 if panel.notes else 0)
    text = max([text_width(panel.title, 13, bold=True), *(text_width(n.text, TEXT) for n in panel.notes)])
    width = max(layout.width, text) + 2 * MARGIN
    at = moved(layout, MARGIN + (width - 2 * MARGIN - layout.width) / 2, MARGIN + _HEAD)
    return Frame(panel, 0, 0, width, layout.height + _HEAD + notes + 2 * MARGIN, at)


def _at(frame: Frame, x: float, y: float) -> Frame:
    return Frame(frame.panel, x, y, frame.width, frame.height, moved(frame.layout, x, y))


def _beside(first: Frame, others: Sequence[Frame]) -> list[Frame]:
    """In columns right of the network, about as high as it."""
    placed, x, y, width = [], first.width + _GAP, 0.0, 0.0
    limit = max(first.height, _TALL, (0.7 * sum(f.width * f.height for f in others)) ** 0.5)
    for frame in others:
        if y and y + frame.height > limit:
            x, y, width = x + width + _GAP, 0.0, 0.0
        placed.append(_at(frame, x, y))
        y += frame.height + _GAP
        width = max(width, frame.width)
    return placed


def _below(first: Frame, others: Sequence[Frame]) -> list[Frame]:
    """In rows below the network."""
    placed, x, y, height = [], 0.0, first.height + _GAP, 0.0
    limit = max(first.width, _WIDE, (1.6 * sum(f.width * f.height for f in others)) ** 0.5)
    for frame in others:
        if x and x + frame.width > limit:
            x, y, height = 0.0, y + height + _GAP, 0.0
        placed.append(_at(frame, x, y))
        x += frame.width + _GAP
        height = max(height, frame.height)
    return placed


def _diagrams(picture: Picture) -> list[Diagram]:
    found: list[Diagram] = []
    stack = [panel.diagram for panel in picture.panels]
    while stack:
        diagram = stack.pop()
        found.append(diagram)
        stack.extend(s.inner for s in diagram.shapes if s.inner is not None)
    return found


def _signs(picture: Picture) -> tuple[tuple[str, str], ...]:
    diagrams = _diagrams(picture)
    wires = [wire for d in diagrams for wire in d.wires]
    shapes = [shape for d in diagrams for shape in d.shapes]
    used = {label for wire in wires for label in wire.labels}
    signs = [(label, label) for label in picture.labels if label in used]
    if any(wire.optional and not wire.labels for wire in wires):
        signs.append(("/dash", "an edge that may be absent"))
    if any(shape.role in ("state", "join") and len(shape.lines) > 1 for shape in shapes):
        signs.append(("/of", "k of n: how many edges are kept"))
    if any(shape.role == "choice" for shape in shapes):
        signs.append(("/choice", "chosen"))
    if any(shape.role == "call" for shape in shapes):
        signs.append(("/call", "see its own panel"))
    if any(wire.note for wire in wires):
        signs += [("/up", "to a finer scale"), ("/down", "to a coarser scale")]
    if any(shape.times for shape in shapes):
        signs.append(("/times", "repeated"))
    return tuple(signs)


def legend_rows(signs: Sequence[tuple[str, str]], width: float) -> list[list[tuple[str, str]]]:
    rows: list[list[tuple[str, str]]] = []
    x = width
    for sign in signs:
        step = text_width(sign[1], TEXT) + 46
        if x + step > width:
            rows.append([])
            x = 0.0
        rows[-1].append(sign)
        x += step
    return rows
