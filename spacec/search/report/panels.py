"""Small multiples: a grid of panels over one pair of axes, with one legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spacec.draw.svg import FAINT, INK, MUTED, PALETTE, Anchor, Point, Svg, text_width
from spacec.search.report.charts import Axis, linear_axis, shortened, tick_texts

Panel = Mapping[str, Sequence[Point]]
"""Points by the line's name."""

MOST_PANELS = 36
_WIDE = (884.0, 300.0)
"""Of the whole picture, and of a panel where there are few."""


def panels(grid: Mapping[str, Panel], title: str, x_label: str, y_label: str, limit: int = MOST_PANELS) -> Svg:
    """One panel per entry of ``grid``, all with the same axes; lines of one name have one colour.

    Of more than ``limit`` panels those with the largest values are drawn, and a remark counts the rest.
    """
    names = _strongest(grid, limit)
    lines = list(dict.fromkeys(line for name in names for line in grid[name]))
    colours = {line: PALETTE[k % len(PALETTE)] for k, line in enumerate(lines)}
    columns = min(len(names), 6 if len(names) > 8 else 4 if len(names) > 3 else 3)
    left = 52.0
    wide = min((_WIDE[0] - left) / columns, _WIDE[1])
    high = max(104.0, min(0.62 * wide, 190.0))
    legend, top = _legend_rows(lines, left + columns * wide)
    rows = -(-len(names) // columns)
    remark = f"{len(grid) - len(names)} further panels are in the run record" if len(grid) > len(names) else ""
    svg = Svg(left + columns * wide + 4, top + rows * high + (34 if remark else 20), title)
    svg.text(4, 16, title, 12.5, bold=True)
    for x, y, line in legend:
        svg.line((x, y - 4), (x + 14, y - 4), colours[line], 2.2)
        svg.text(x + 18, y, line, 11)
    points = [p for name in names for line in grid[name].values() for p in line]
    for k, name in enumerate(names):
        panel = _panel(name, grid[name], points, colours, (wide, high), first=k % columns == 0)
        svg.place(panel, left - _TICKS + (k % columns) * wide, top + (k // columns) * high)
    svg.text(left + columns * wide / 2, top + rows * high + 12, x_label, 11, "middle", MUTED)
    svg.text(12, top + rows * high / 2, y_label, 11, "middle", MUTED, turn=-90)
    if remark:
        svg.text(4, svg.height - 4, remark, 10.5, fill=MUTED)
    return svg


_TICKS = 36.0
"""Room for the numbers left of a panel."""


def _strongest(grid: Mapping[str, Panel], limit: int) -> list[str]:
    if len(grid) <= limit:
        return list(grid)
    ranked = sorted(grid, key=lambda n: -max((abs(y) for line in grid[n].values() for _, y in line), default=0.0))
    kept = set(ranked[:limit])
    return [name for name in grid if name in kept]


def _legend_rows(lines: Sequence[str], width: float) -> tuple[list[tuple[float, float, str]], float]:
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
    name: str, lines: Panel, points: Sequence[Point], colours: Mapping[str, str], size: Point, first: bool
) -> Svg:
    wide, high = size
    svg = Svg(wide, high)
    left, right, top, bottom = _TICKS, wide + _TICKS - 12, 20.0, high - 20
    x = linear_axis([p[0] for p in points], left, right, whole=True)
    y = linear_axis([p[1] for p in points], bottom, top)
    svg.text(left, 13, shortened(name, wide - 14, 10.5), 10.5)
    _grid(svg, x, y, first)
    for line, own in lines.items():
        if len(own) > 1:
            svg.polyline([(x.at(a), y.at(b)) for a, b in own], colours[line], 1.5)
        else:
            svg.circle(x.at(own[0][0]), y.at(own[0][1]), 2, colours[line], colours[line])
    return svg


def _grid(svg: Svg, x: Axis, y: Axis, first: bool) -> None:
    ticks = y.ticks if len(y.ticks) <= 4 or y.start - y.end > 110 else y.ticks[::2]
    for tick, shown in zip(ticks, tick_texts(ticks), strict=True):
        svg.line((x.start, y.at(tick)), (x.end, y.at(tick)), MUTED if tick == 0 else FAINT, 0.8)
        if first:
            svg.text(x.start - 4, y.at(tick) + 3, shown, 9, "end", MUTED)
    svg.line((x.start, y.start), (x.end, y.start), INK, 0.8)
    ends: tuple[tuple[float, Anchor], ...] = ((x.low, "start"), (x.high, "end"))
    for value, anchor in ends:
        svg.text(x.at(value), y.start + 11, f"{value:g}", 8.5, anchor, MUTED)
