"""The picture of a landscape: coloured cells, contour lines, the search's path, a colour bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from spacec.draw.svg import FAINT, INK, MUTED, PAPER, Point, Svg, text_width
from spacec.search.report.charts import Axis, linear_axis, log_axis, tick_texts
from spacec_zarts.landscape import log_scale
from spacec_zarts.survey import Survey

COLOURS = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725")
"""Stops of viridis (van der Walt & Smith, 2015): even steps of lightness, told apart under colour blindness."""
LEVELS = 8
LEFT, TOP, SIDE, BAR = 70.0, 62.0, 420.0, 16.0


@dataclass(frozen=True)
class Titles:
    """What is written on a picture."""

    title: str
    remark: str
    x: str
    y: str


def draw_landscape(found: Survey, titles: Titles) -> Svg:
    """The picture; cells whose loss is no finite number are grey, and the colours' scale leaves them out."""
    svg = Svg(LEFT + SIDE + 120, TOP + SIDE + 60, titles.title)
    svg.text(LEFT, 24, titles.title, 14, bold=True)
    svg.text(LEFT, 44, titles.remark, 11, fill=MUTED)
    x = _axis(found.grid.xs, LEFT, LEFT + SIDE)
    y = _axis(found.grid.ys, TOP + SIDE, TOP)
    finite = [v for v in found.losses if isfinite(v)]
    if not finite:
        svg.text(LEFT + SIDE / 2, TOP + SIDE / 2, "no loss of this plane is a finite number", 12, "middle", MUTED)
        return svg
    log = log_scale(finite)
    bar = (log_axis if log else _tight)(finite, TOP + SIDE, TOP)
    _cells(svg, found, x, y, bar)
    _contours(svg, found, x, y, bar)
    _path(svg, found, x, y)
    _frame(svg, x, y, titles)
    _colour_bar(svg, bar, log)
    return svg


def colour(share: float) -> str:
    """The colour of a share in 0..1 of the scale."""
    place = min(max(share, 0.0), 1.0) * (len(COLOURS) - 1)
    k = min(int(place), len(COLOURS) - 2)
    parts = (
        round(int(COLOURS[k][i : i + 2], 16) * (1 - place + k) + int(COLOURS[k + 1][i : i + 2], 16) * (place - k))
        for i in (1, 3, 5)
    )
    return "#" + "".join(f"{p:02x}" for p in parts)


def contour(values: Callable[[int, int], float], nx: int, ny: int, level: float) -> list[tuple[Point, Point]]:
    """Pieces of the line on which ``values(i, j)`` is ``level``, in grid units (marching squares)."""
    pieces: list[tuple[Point, Point]] = []
    for j in range(ny - 1):
        for i in range(nx - 1):
            corners = ((i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1))
            heights = [values(a, b) for a, b in corners]
            if not all(map(isfinite, heights)):
                continue
            crossed = []
            ends = [*zip(corners, heights, strict=True)]
            for (a, high), (b, low) in pairwise([*ends, ends[0]]):
                if (high >= level) != (low >= level):
                    t = (level - high) / (low - high)
                    crossed.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
            if len(crossed) == 4 and (heights[0] >= level) == (sum(heights) / 4 >= level):
                crossed = [*crossed[1:], crossed[0]]
            pieces += [(crossed[k], crossed[k + 1]) for k in range(0, len(crossed) - 1, 2)]
    return pieces


def _axis(values: Sequence[float], start: float, end: float) -> Axis:
    """From the outer edge of the first cell to that of the last, with ticks inside."""
    half = (values[1] - values[0]) / 2
    low, high = values[0] - half, values[-1] + half
    ticks = tuple(t for t in linear_axis(values, start, end).ticks if low <= t <= high)
    return Axis(low, high, ticks, False, start, end)


def _tight(values: Sequence[float], start: float, end: float) -> Axis:
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    ticks = tuple(t for t in linear_axis((low, high), start, end).ticks if low <= t <= high)
    return Axis(low, high, ticks, False, start, end)


def _share(axis: Axis, value: float) -> float:
    return (axis.at(value) - axis.start) / (axis.end - axis.start)


def _cells(svg: Svg, found: Survey, x: Axis, y: Axis, bar: Axis) -> None:
    wide, high = SIDE / len(found.grid.xs), SIDE / len(found.grid.ys)
    for (a, b), value in zip(found.grid.cells, found.losses, strict=True):
        fill = colour(_share(bar, value)) if isfinite(value) else FAINT
        svg.rect(x.at(a) - wide / 2, y.at(b) - high / 2, wide + 0.4, high + 0.4, fill)  # no seams


def _contours(svg: Svg, found: Survey, x: Axis, y: Axis, bar: Axis) -> None:
    xs, ys = found.grid.xs, found.grid.ys

    def place(point: Point) -> Point:
        return (x.at(xs[0] + point[0] * (xs[1] - xs[0])), y.at(ys[0] + point[1] * (ys[1] - ys[0])))

    for k in range(1, LEVELS):
        level = _at_share(bar, k / LEVELS)
        for a, b in contour(lambda i, j: found.losses[j * len(xs) + i], len(xs), len(ys), level):
            svg.line(place(a), place(b), PAPER, 0.6)


def _at_share(axis: Axis, share: float) -> float:
    if axis.log:
        return float(axis.low * (axis.high / axis.low) ** share)
    return axis.low + share * (axis.high - axis.low)


def _path(svg: Svg, found: Survey, x: Axis, y: Axis) -> None:
    points = [(x.at(a), y.at(b)) for a, b in found.shadow.tolist()]
    if len(points) > 1:
        svg.polyline(points, INK, 4)
        svg.polyline(points, PAPER, 2)
    for epoch, value, point in zip(found.epochs, found.path_losses, points, strict=True):
        svg.note(f"epoch {epoch + 1}: loss {value:.4g}")
        svg.circle(*point, 2.4, PAPER, INK)
        svg.end_note()
    for point, name, fill in ((points[0], "start", "#d55e00"), (points[-1], "end", "#56b4e9")):
        if name == "start" and len(points) == 1:
            continue
        svg.circle(*point, 6, fill, INK, 1.5)
        right = point[0] < LEFT + SIDE - 50
        _label(svg, point[0] + (10 if right else -10), point[1] + 4, name, right)


def _label(svg: Svg, x: float, y: float, text: str, right: bool) -> None:
    """A word on a patch of paper, so that it is read on any colour."""
    wide = text_width(text, 11.5, bold=True)
    svg.rect(x - (3 if right else wide + 3), y - 12, wide + 6, 16, PAPER, radius=3)
    svg.text(x, y, text, 11.5, "start" if right else "end", bold=True)


def _frame(svg: Svg, x: Axis, y: Axis, titles: Titles) -> None:
    svg.rect(LEFT, TOP, SIDE, SIDE, stroke=INK)
    for tick, shown in zip(x.ticks, tick_texts(x.ticks), strict=True):
        svg.line((x.at(tick), TOP + SIDE), (x.at(tick), TOP + SIDE + 4), INK)
        svg.text(x.at(tick), TOP + SIDE + 17, shown, 10.5, "middle", MUTED)
    for tick, shown in zip(y.ticks, tick_texts(y.ticks), strict=True):
        svg.line((LEFT - 4, y.at(tick)), (LEFT, y.at(tick)), INK)
        svg.text(LEFT - 7, y.at(tick) + 3.5, shown, 10.5, "end", MUTED)
    svg.text(LEFT + SIDE / 2, TOP + SIDE + 38, titles.x, 11.5, "middle")
    svg.text(18, TOP + SIDE / 2, titles.y, 11.5, "middle", turn=-90)


def _colour_bar(svg: Svg, bar: Axis, log: bool) -> None:
    left, pieces = LEFT + SIDE + 22, 84
    for k in range(pieces):
        top = bar.start + (bar.end - bar.start) * (k + 1) / pieces
        svg.rect(left, top, BAR, SIDE / pieces + 0.4, colour((k + 0.5) / pieces))
    svg.rect(left, TOP, BAR, SIDE, stroke=INK)
    for tick, shown in zip(bar.ticks, tick_texts(bar.ticks), strict=True):
        svg.line((left + BAR, bar.at(tick)), (left + BAR + 4, bar.at(tick)), INK)
        svg.text(left + BAR + 7, bar.at(tick) + 3.5, shown, 10.5, fill=MUTED)
    svg.text(left + BAR + 62, TOP + SIDE / 2, "loss (logarithmic)" if log else "loss", 11.5, "middle", turn=-90)
