"""Small multiples: a grid of panels over one pair of axes, with one legend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from spacec.draw.svg import FAINT, INK, MUTED, PALETTE, Anchor, Point, Svg, text_width
from spacec.search.report.charts import Axis, linear_axis, shortened, tick_texts

V = TypeVar("V")
Panel = Mapping[str, Sequence[Point]]
"""Points by the line's name."""

MOST_PANELS = 36
MOST_LINES = len(PALETTE)
"""Lines of one panel; a colour each."""
_WHOLE = 884.0
_TICKS = 36.0
"""Room for the numbers left of a panel."""


def panels(grid: Mapping[str, Panel], title: str, x_label: str, y_label: str, limit: int = MOST_PANELS) -> Svg:
    """One panel per entry of ``grid``, all with the same axes; lines of one name have one colour.

    Of more than ``limit`` panels, and of more than :data:`MOST_LINES` lines of a panel, those with the largest values
    are drawn, and a remark counts the rest.
    """
    shown = {name: _largest(grid[name], MOST_LINES, _size) for name in _largest(grid, limit, _reach)}
    lines = list(dict.fromkeys(line for panel in shown.values() for line in panel))
    columns, wide, high = _layout(len(shown))
    left = 52.0
    width = left + columns * wide + 4
    rows = -(-len(shown) // columns)
    entries, top = _legend(lines, width)
    remark = _remark(grid, shown)
    svg = Svg(width, top + rows * high + (34 if remark else 20), title)
    svg.text(4, 16, title, 12.5, bold=True)
    colours = {line: PALETTE[k % len(PALETTE)] for k, line in enumerate(lines)}
    for x, y, line in entries:
        svg.line((x, y - 4), (x + 14, y - 4), colours[line], 2.2)
        svg.text(x + 18, y, line, 11)
    points = [p for panel in shown.values() for line in panel.values() for p in line]
    for k, (name, panel) in enumerate(shown.items()):
        drawn = _panel(name, panel, points, colours, (wide, high), first=k % columns == 0)
        svg.place(drawn, left - _TICKS + (k % columns) * wide, top + (k // columns) * high)
    svg.text(left + columns * wide / 2, top + rows * high + 12, x_label, 11, "middle", MUTED)
    svg.text(12, top + rows * high / 2, _beside(y_label, rows * high), 11, "middle", MUTED, turn=-90)
    if remark:
        svg.text(4, svg.height - 4, remark, 10.5, fill=MUTED)
    return svg


def _beside(label: str, height: float) -> str:
    """The label of the upright axis: without what it has in brackets where that would reach into the title."""
    return label if text_width(label, 11) <= height else label.partition(" (")[0]


def _layout(count: int) -> tuple[int, float, float]:
    """Columns, and width and height of a panel."""
    columns = 6 if count > 8 else 4 if count > 3 else 2 if count > 1 else 1
    wide = 384.0 if count == 1 else (_WHOLE - 52) / columns
    return columns, wide, max(104.0, min(0.55 * wide, 200.0))


def _largest(parts: Mapping[str, V], most: int, size: Callable[[V], float]) -> dict[str, V]:
    """The ``most`` largest parts, in their order."""
    kept = set(sorted(parts, key=lambda name: -size(parts[name]))[:most])
    return {name: part for name, part in parts.items() if name in kept}


def _size(points: Sequence[Point]) -> float:
    return max((abs(y) for _, y in points), default=0.0)


def _reach(panel: Panel) -> float:
    return max(map(_size, panel.values()), default=0.0)


def _remark(grid: Mapping[str, Panel], shown: Mapping[str, Panel]) -> str:
    """What is not drawn."""
    lines = sum(len(grid[name]) - len(panel) for name, panel in shown.items())
    parts = [(len(grid) - len(shown), "panels"), (lines, "lines")]
    told = [f"{count} further {what}" for count, what in parts if count]
    return f"{' and '.join(told)} with smaller values are in the run record" if told else ""


def _legend(lines: Sequence[str], width: float) -> tuple[list[tuple[float, float, str]], float]:
    """Where each name stands, and where the panels begin."""
    found: list[tuple[float, float, str]] = []
    x, y = 4.0, 35.0
    for line in lines:
        step = text_width(line, 11) + 34
        if x > 4 and x + step > width:
            x, y = 4.0, y + 16
        found.append((x, y, line))
        x += step
    return found, y + 10


def _panel(
    name: str, lines: Panel, points: Sequence[Point], colours: Mapping[str, str], extent: Point, first: bool
) -> Svg:
    wide, high = extent
    svg = Svg(wide, high)
    left, right, top, bottom = _TICKS, wide + _TICKS - 12, 20.0 if name else 8.0, high - 20
    x = linear_axis([p[0] for p in points], left, right, whole=True)
    y = linear_axis([p[1] for p in points], bottom, top)
    size = 10.5 if text_width(name, 10.5) <= wide - 14 else 9.0
    svg.text(left, 13, shortened(name, wide - 14, size), size)
    _grid(svg, x, y, first)
    for line, own in lines.items():
        if len(own) > 1:
            svg.polyline([(x.at(a), y.at(b)) for a, b in own], colours[line], 1.5)
        else:
            svg.circle(x.at(own[0][0]), y.at(own[0][1]), 2, colours[line], colours[line])
    return svg


def _every_other(ticks: Sequence[float]) -> Sequence[float]:
    """Half of the ticks, zero among them where it is one."""
    smallest = min(range(len(ticks)), key=lambda k: abs(ticks[k]))
    return ticks[smallest % 2 :: 2]


def _grid(svg: Svg, x: Axis, y: Axis, first: bool) -> None:
    ticks = y.ticks if len(y.ticks) <= 4 or y.start - y.end > 110 else _every_other(y.ticks)
    for tick, shown in zip(ticks, tick_texts(ticks), strict=True):
        svg.line((x.start, y.at(tick)), (x.end, y.at(tick)), MUTED if tick == 0 else FAINT, 0.8)
        if first:
            svg.text(x.start - 4, y.at(tick) + 3, shown, 9, "end", MUTED)
    svg.line((x.start, y.start), (x.end, y.start), INK, 0.8)
    ends: tuple[tuple[float, Anchor], ...] = ((x.low, "start"), (x.high, "end"))
    for value, anchor in ends:
        svg.text(x.at(value), y.start + 11, f"{value:g}", 8.5, anchor, MUTED)
