"""Line charts in the style of :mod:`spacec.draw.svg`: curves of a run, and probabilities of its slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Literal

from spacec.draw.svg import FAINT, INK, MUTED, PALETTE, Anchor, Point, Svg, text_width, tint

Across = Literal["whole", "linear", "log"]
Rows = Sequence[tuple[int, Sequence[float]]]
"""Epoch and probabilities."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 12.0, 30.0, 38.0


@dataclass(frozen=True)
class Series:
    """One line; ``raw`` are finer values drawn faintly behind it, ``band`` are x, low and high of an area around it."""

    name: str
    points: tuple[Point, ...]
    raw: tuple[Point, ...] = ()
    band: tuple[tuple[float, float, float], ...] = ()

    @property
    def edge(self) -> tuple[Point, ...]:
        """The outline of the band: forth along its high values, back along its low ones."""
        return (*((x, high) for x, _, high in self.band), *((x, low) for x, low, _ in reversed(self.band)))


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels; ``ticks`` are the values that are labelled."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool
    start: float
    end: float

    def at(self, value: float) -> float:
        a, b, v = (log10(x) for x in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return self.start + (v - a) / (b - a) * (self.end - self.start)


def line_chart(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    log: bool = False,
    size: Point = (440.0, 270.0),
    across: Across = "whole",
) -> Svg:
    """A chart; values that are not finite (nor positive, with ``log``) are left out.

    ``across`` is the axis that lies: its ticks are whole, or any numbers, or it is logarithmic.
    """
    width, height = size
    shown = [_clean(s, log) for s in series]
    svg = Svg(width, height, title)
    svg.text(_LEFT, 16, title, 12.5, bold=True)
    values = [p for s in shown for p in (*s.points, *s.raw, *s.edge)]
    if not values:
        svg.text(width / 2, height / 2, "nothing was recorded", 11.5, "middle", MUTED)
        return svg
    x = _lying(across, [v for v, _ in values], width)
    upright = [v for _, v in values]
    y = (log_axis if log else linear_axis)(upright, height - _BOTTOM, _TOP + (14 if len(shown) > 1 else 0))
    axes(svg, x, y, x_label, y_label)
    for k, one in enumerate(shown):
        if one.band:
            svg.area([(x.at(a), y.at(b)) for a, b in one.edge], PALETTE[k % len(PALETTE)], 0.18)
    for k, one in enumerate(shown):
        colour = PALETTE[k % len(PALETTE)]
        if len(one.raw) > 1:
            svg.polyline([(x.at(a), y.at(b)) for a, b in _thin(one.raw)], tint(colour, 0.35), 0.8)
        if len(one.points) > 1:
            svg.polyline([(x.at(a), y.at(b)) for a, b in one.points], colour, 1.8)
        elif one.points:
            svg.circle(x.at(one.points[0][0]), y.at(one.points[0][1]), 3, colour, colour)
    if len(shown) > 1:
        legend(svg, [s.name for s in shown], _LEFT, 33)
    return svg


def probability_panels(
    history: Mapping[str, Rows],
    labels: Mapping[str, Sequence[str]],
    columns: int = 6,
    limit: int = 60,
) -> Svg:
    """One small panel per slot: the probability of every candidate over the epochs.

    ``history``: per slot, (epoch, probabilities); ``labels``: per slot, its candidates' names. Slots beyond
    ``limit`` are counted in a remark.
    """
    names = list(history)[:limit]
    colours = {n: PALETTE[k % len(PALETTE)] for k, n in enumerate(_all_labels(names, history, labels))}
    wide, high = 142.0, 104.0
    places = _in_rows(list(colours), columns * wide)
    top = max((y for _, y in places.values()), default=33.0) + 9
    rows = -(-len(names) // columns)
    remark = f"{len(history) - limit} further slots are in the run record" if len(history) > limit else ""
    svg = Svg(columns * wide + 8, top + rows * high + (18 if remark else 2), "Architecture probabilities")
    svg.text(4, 16, "Architecture probabilities by epoch", 12.5, bold=True)
    for label, (x, y) in places.items():
        svg.rect(x, y - 9, 10, 10, colours[label], radius=2)
        svg.text(x + 14, y, label, 10.5)
    for k, name in enumerate(names):
        panel = _panel(name, history[name], [colours[n] for n in _labels_of(name, history, labels)], wide, high)
        svg.place(panel, 4 + (k % columns) * wide, top + (k // columns) * high)
    if remark:
        svg.text(4, svg.height - 4, remark, 10.5, fill=MUTED)
    return svg


def _in_rows(labels: Sequence[str], width: float) -> dict[str, Point]:
    """Where the entries of a legend stand that may take several rows."""
    found: dict[str, Point] = {}
    x, y = 4.0, 33.0
    for label in labels:
        step = text_width(label, 10.5) + 30
        if x > 4 and x + step > width:
            x, y = 4.0, y + 15
        found[label] = (x, y)
        x += step
    return found


def legend(svg: Svg, names: Sequence[str], x: float, y: float) -> None:
    """Names with their colours, from ``x`` on."""
    for k, name in enumerate(names):
        svg.line((x, y - 4), (x + 14, y - 4), PALETTE[k % len(PALETTE)], 2.2)
        svg.text(x + 18, y, name, 11)
        x += text_width(name, 11) + 30


def linear_axis(values: Sequence[float], start: float, end: float, whole: bool = False) -> Axis:
    """An axis over ``values`` with about five round ticks; they are whole numbers where all values are.

    A single value stands in the middle: half a unit from the ends if it is whole, else half of itself.

    ``whole`` makes them so in any case, and lets the axis end at the values, unless no whole number lies between them.
    """
    low, high = min(values), max(values)
    if whole and ceil(low) > floor(high):
        low, high = float(floor(low)), float(ceil(high))
    if low == high:
        around = 0.5 if float(low).is_integer() or abs(low) < 1e-9 else abs(low) / 2
        low, high = low - around, high + around
    step = 10 ** floor(log10((high - low) / 5))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 6)
    step = max(step, 1.0) if whole or all(float(v).is_integer() for v in values) else step
    if not whole:
        low, high = floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step
    first = ceil(low / step - 1e-9)
    ticks = tuple(k * step for k in range(first, floor(high / step + 1e-9) + 1))
    return Axis(low, high, ticks, False, start, end)


def log_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """A logarithmic axis over positive values; ticks at 1, 2, 5 of each decade, or at decades where those are many."""
    low, high = min(values), max(values)
    if high / low < 1.2:
        low, high = low / 1.1, high * 1.1
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1,)):
        ticks = tuple(m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high)
        if len(ticks) <= 7:
            break
    if len(ticks) < 2:
        ticks = tuple(t for t in linear_axis((low, high), start, end).ticks if low <= t <= high)
    return Axis(low, high, ticks, True, start, end)


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Short numbers, all different: as many digits as that takes (``0.02``, ``1500``, ``1.5M``, ``3e-05``)."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if max(map(abs, ticks)) >= size:
            return [shown + letter * (shown != "0") for shown in tick_texts([t / size for t in ticks])]
    for digits in range(1, 16):
        texts = [f"{0.0 if abs(t) < 1e-15 else t:.{digits}g}" for t in ticks]
        near = all(abs(float(s) - t) <= 1e-6 * abs(t) for s, t in zip(texts, ticks, strict=True))
        if near and len(set(texts)) == len(ticks):
            break
    return [f"{float(s):.0f}" if "e+" in s and abs(float(s)) < 1e6 else s for s in texts]


def _lying(across: Across, values: Sequence[float], width: float) -> Axis:
    if across == "log":
        return log_axis(values, _LEFT, width - _RIGHT)
    return linear_axis(values, _LEFT, width - _RIGHT, whole=across == "whole")


def _clean(series: Series, log: bool) -> Series:
    def keep(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple(p for p in points if isfinite(p[0]) and isfinite(p[1]) and (p[1] > 0 or not log))

    band = tuple(b for b in series.band if all(map(isfinite, b)) and (b[1] > 0 or not log))
    return Series(series.name, keep(series.points), keep(series.raw), band)


def _thin(points: Sequence[Point], most: int = 1000) -> Sequence[Point]:
    return points[:: -(-len(points) // most)]


def axes(svg: Svg, x: Axis, y: Axis, x_label: str, y_label: str) -> None:
    """Lines, ticks and labels of a chart."""
    for tick, shown in zip(y.ticks, tick_texts(y.ticks), strict=True):
        svg.line((x.start, y.at(tick)), (x.end, y.at(tick)), FAINT, 0.8)
        svg.text(x.start - 6, y.at(tick) + 3.5, shown, 10.5, "end", MUTED)
    svg.line((x.start, y.start), (x.end, y.start), INK, 1)
    for tick, shown in zip(x.ticks, tick_texts(x.ticks), strict=True):
        svg.line((x.at(tick), y.start), (x.at(tick), y.start + 4), INK, 1)
        svg.text(x.at(tick), y.start + 16, shown, 10.5, "middle", MUTED)
    svg.text((x.start + x.end) / 2, y.start + 32, x_label, 11, "middle", MUTED)
    svg.text(12, (y.start + y.end) / 2, y_label, 11, "middle", MUTED, turn=-90)


def _panel(name: str, rows: Rows, colours: Sequence[str], wide: float, high: float) -> Svg:
    svg = Svg(wide, high)
    left, right, top, bottom = 24.0, wide - 10, 20.0, high - 18
    svg.text(left, 13, shortened(name, wide - 30, 10.5), 10.5)
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        svg.line((left, y), (right, y), FAINT, 0.8)
        svg.text(left - 4, y + 3, f"{share:g}", 8.5, "end", MUTED)
    epochs = [float(e) for e, _ in rows]
    x = linear_axis(epochs, left, right, whole=True)
    ends: tuple[tuple[float, Anchor], ...] = ((epochs[0], "start"), (epochs[-1], "end"))
    for tick, anchor in ends:
        svg.text(x.at(tick), bottom + 11, f"{tick:.0f}", 8.5, anchor, MUTED)
    for k, colour in enumerate(colours):
        points = [(x.at(e), bottom - p[k] * (bottom - top)) for e, (_, p) in zip(epochs, rows, strict=True)]
        if len(points) > 1:
            svg.polyline(points, colour, 1.5)
        else:
            svg.circle(*points[0], 2, colour, colour)
    return svg


def shortened(name: str, width: float, size: float) -> str:
    """``name`` without its beginning, as far as it must go to fit into ``width``."""
    while text_width(name, size) > width and len(name) > 4:
        name = "…" + name[2:]
    return name


def _labels_of(slot: str, history: Mapping[str, Rows], labels: Mapping[str, Sequence[str]]) -> list[str]:
    n = len(history[slot][0][1])
    known = list(labels.get(slot, ()))
    return known if len(known) == n else [f"candidate {k}" for k in range(n)]


def _all_labels(
    names: Sequence[str],
    history: Mapping[str, Rows],
    labels: Mapping[str, Sequence[str]],
) -> list[str]:
    return list(dict.fromkeys(label for name in names for label in _labels_of(name, history, labels)))
