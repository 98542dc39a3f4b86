"""Draws a multi-scale network: scales from top (fine) to bottom (coarse), stages from left to right.

A chosen stage is a coloured band under its operation's name; a fixed stage is grey. A box on a line is a block
with weights that keeps its scale, a sloped line a change of scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spacec.draw.svg import FAINT, INK, MUTED, PAPER, WASH, Svg, curve, text_width, tint
from spacec.search.report.dag import colours_of

_LEFT, _TOP, _ROW, _DOT = 10.0, 86.0, 44.0, 4.5


@dataclass(frozen=True)
class Link:
    """From row ``start`` to row ``end`` of a stage; ``block``: weights are on the way."""

    start: int
    end: int
    block: bool


@dataclass(frozen=True)
class Stage:
    """What lies between two columns of tensors; a fixed one's ``label`` may have lines. ``note``: a probability."""

    label: str
    chosen: bool
    links: tuple[Link, ...]
    note: str = ""


@dataclass(frozen=True)
class Skip:
    """A connection past whole stages, from border ``start`` (0 is the input) to border ``end``, from and to a row."""

    start: int
    end: int
    rows: tuple[int, int]


@dataclass(frozen=True)
class Grid:
    """``rows`` name the scales, finest first; the first stage starts at the input, the last ends at the output."""

    rows: tuple[str, ...]
    stages: tuple[Stage, ...]
    skips: tuple[Skip, ...] = ()


def draw_grid(grid: Grid, title: str = "", colours: Mapping[str, str] | None = None) -> Svg:
    """The picture; ``colours`` by the label of a chosen stage."""
    colours = colours or colours_of([s.label for s in grid.stages if s.chosen])
    widths = [_width(stage) for stage in grid.stages]
    left = _LEFT + max(text_width(r, 11.5) for r in grid.rows) + 16
    xs = [left]
    for width in widths:
        xs.append(xs[-1] + width)
    bottom = _TOP + _ROW * (len(grid.rows) - 1) + 34
    svg = Svg(xs[-1] + 46, bottom + 34, title)
    if title:
        svg.text(_LEFT, 22, title, 13, bold=True)
    for row, name in enumerate(grid.rows):
        svg.text(_LEFT, _y(row) + 4, name, 11.5, fill=MUTED)
    for stage, a, b in zip(grid.stages, xs[:-1], xs[1:], strict=True):
        _band(svg, stage, a, b, bottom, colours)
    for stage, a, b in zip(grid.stages, xs[:-1], xs[1:], strict=True):
        for link in stage.links:
            _link(svg, stage, link, a, b, colours)
    for k, skip in enumerate(grid.skips):
        _skip(svg, skip, xs, _y(0) - 18 - 7 * k)
    for row, x in _dots(grid, xs):
        svg.circle(x, _y(row), _DOT, PAPER, INK, 1.3)
    svg.text(xs[0], _y(0) + 19, "in", 11, "middle", MUTED)
    svg.text(xs[-1], _y(0) + 19, "out", 11, "middle", MUTED)
    _legend(svg, colours, xs[0], bottom + 20)
    return svg


def _width(stage: Stage) -> float:
    least = 62.0 if any(link.block or link.start != link.end for link in stage.links) else 34.0
    texts = [text_width(stage.note, 10)]
    if not stage.chosen:
        texts += [text_width(line, 11) for line in stage.label.split("\n")]
    return max(least, *(width + 12 for width in texts))


def _y(row: int) -> float:
    return _TOP + _ROW * row


def _band(svg: Svg, stage: Stage, a: float, b: float, bottom: float, colours: Mapping[str, str]) -> None:
    top = _TOP - 34
    colour = colours[stage.label] if stage.chosen else MUTED
    fill = tint(colour, 0.10) if stage.chosen else WASH
    svg.rect(a + 2, top, b - a - 4, bottom - top, fill, radius=5)
    if stage.chosen:
        svg.rect(a + 2, top, b - a - 4, 3, colour, radius=1.5)
    else:
        lines = stage.label.split("\n")
        for k, line in enumerate(lines):
            svg.text((a + b) / 2, top - 6 - 13 * (len(lines) - 1 - k), line, 11, "middle", MUTED)
    if stage.note:
        svg.text((a + b) / 2, bottom - 7, stage.note, 10, "middle", MUTED)


def _link(svg: Svg, stage: Stage, link: Link, a: float, b: float, colours: Mapping[str, str]) -> None:
    colour = colours[stage.label] if stage.chosen else MUTED
    start, end = (a + _DOT, _y(link.start)), (b - _DOT, _y(link.end))
    svg.path(curve([start, end]), stroke=colour, line=1.3)
    if link.block and link.start == link.end:
        middle = (a + b) / 2
        fill = tint(colour, 0.35 if stage.chosen else 0.2)
        svg.rect(middle - 13, _y(link.start) - 8, 26, 16, fill, colour, radius=3, line=1.2)


def _skip(svg: Svg, skip: Skip, xs: list[float], y: float) -> None:
    """Up from its start, level above the first row, down to its end."""
    a, b = (xs[skip.start], _y(skip.rows[0])), (xs[skip.end], _y(skip.rows[1]))
    turn = min(28.0, (b[0] - a[0]) / 3)
    svg.path(curve([a, (a[0] + turn, y), (b[0] - turn, y), b]), stroke=MUTED, line=1.3)


def _dots(grid: Grid, xs: list[float]) -> list[tuple[int, float]]:
    found: dict[tuple[int, float], None] = {}
    for stage, a, b in zip(grid.stages, xs[:-1], xs[1:], strict=True):
        for link in stage.links:
            found[link.start, a] = None
            found[link.end, b] = None
    return list(found)


def _legend(svg: Svg, colours: Mapping[str, str], x: float, y: float) -> None:
    for label, colour in colours.items():
        svg.rect(x, y - 9, 16, 11, tint(colour, 0.35), colour, radius=2)
        svg.text(x + 22, y, label, 11)
        x += text_width(label, 11) + 44
    svg.rect(x, y - 9, 16, 11, WASH, FAINT, radius=2)
    svg.text(x + 22, y, "fixed", 11)
