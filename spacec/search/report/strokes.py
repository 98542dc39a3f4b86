"""What comes and goes: a stroke for each place of a table in the epochs that have it, coloured by a second number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from spacec.draw.svg import INK, MUTED, PALETTE, Point, Svg, tint
from spacec.search.report.charts import Axis, axes, linear_axis, tick_texts

WIDE, HIGH = 640.0, 320.0
_LEFT, _TOP, _BOTTOM = 54.0, 46.0, 38.0
_RIGHT = 76.0
"""Room for the scale of the colours."""
THICK = 3.2
"""Of a stroke."""
_PALE = 0.22
"""Share of the colour in the strokes of the smallest number: it must be seen on white."""


def strokes(
    lines: Mapping[str, Sequence[Point]],
    shades: Mapping[str, Mapping[float, float]],
    title: str,
    labels: tuple[str, str, str],
) -> Svg:
    """``lines``: by place, (epoch, value) in the order of epochs; ``shades``: by place, the number by epoch.

    A stroke of an epoch reaches half an epoch to both sides; of one value they are stacked. ``labels``: of the axis of
    epochs, of values, of colours.
    """
    svg = Svg(WIDE, HIGH, title)
    svg.text(_LEFT, 16, title, 12.5, bold=True)
    points = [p for line in lines.values() for p in line]
    epochs = [e for e, _ in points]
    x = Axis(min(epochs) - 0.5, max(epochs) + 0.5, _whole(epochs), False, _LEFT, WIDE - _RIGHT)
    y = linear_axis([v for _, v in points], HIGH - _BOTTOM, _TOP)
    numbers = [shades[name][e] for name, line in lines.items() for e, _ in line if e in shades.get(name, {})]
    bar = linear_axis(numbers or [0.0], HIGH - _BOTTOM, _TOP)
    levels = _levels(lines)
    axes(svg, x, y, labels[0], labels[1])
    for name, line in lines.items():
        for run in _runs(line, shades.get(name, {}), levels[name]):
            colour = MUTED if run.shade is None else _colour((run.shade - bar.low) / (bar.high - bar.low))
            svg.note(f"{name}: {run.value:.4g}" + ("" if run.shade is None else f", {labels[2]} {run.shade:.4g}"))
            height = y.at(run.value) - run.level * (THICK + 0.4)
            svg.line((x.at(run.first - 0.5), height), (x.at(run.last + 0.5), height), colour, THICK)
            svg.end_note()
    _largest(svg, x, y, points)
    if any(level for of_place in levels.values() for level in of_place.values()):
        svg.text(WIDE - _RIGHT, 34, "equal values are stacked on the lowest stroke", 10.5, "end", MUTED)
    if numbers:
        _scale(svg, bar, labels[2])
    return svg


@dataclass(frozen=True)
class _Run:
    """Epochs in a row in which a place has one value and one shade, and so many others below it at that value."""

    first: float
    last: float
    value: float
    shade: float | None
    level: int


def _runs(line: Sequence[Point], shades: Mapping[float, float], levels: Mapping[float, int]) -> list[_Run]:
    rows = [(e, (v, shades.get(e), levels[e], e - k)) for k, (e, v) in enumerate(line)]
    found = []
    for (value, shade, level, _), group in groupby(rows, key=lambda row: row[1]):
        epochs = [epoch for epoch, _ in group]
        found.append(_Run(epochs[0], epochs[-1], value, shade, level))
    return found


def _levels(lines: Mapping[str, Sequence[Point]]) -> dict[str, dict[float, int]]:
    """By place and epoch, how many of the places before it have the same value then: they are stacked."""
    seen: Counter[Point] = Counter()
    found: dict[str, dict[float, int]] = {}
    for name, line in lines.items():
        found[name] = {epoch: seen[epoch, value] for epoch, value in line}
        seen.update(line)
    return found


def _largest(svg: Svg, x: Axis, y: Axis, points: Sequence[Point]) -> None:
    """The largest value of each epoch, as one line over the strokes."""
    top: dict[float, float] = {}
    for e, v in points:
        top[e] = max(v, top.get(e, v))
    corners = [(x.at(e + side), y.at(v)) for e, v in sorted(top.items()) for side in (-0.5, 0.5)]
    svg.polyline(corners, PALETTE[1], 1.4)
    svg.line((_LEFT, 30), (_LEFT + 14, 30), PALETTE[1], 1.4)
    svg.text(_LEFT + 18, 34, "the best", 11)


def _scale(svg: Svg, bar: Axis, label: str) -> None:
    left, pieces = WIDE - _RIGHT + 14, 40
    step = (bar.start - bar.end) / pieces
    for k in range(pieces):
        svg.rect(left, bar.start - (k + 1) * step, 12, step + 0.4, _colour((k + 0.5) / pieces))
    svg.rect(left, bar.end, 12, bar.start - bar.end, stroke=INK, line=0.8)
    for tick, shown in zip(bar.ticks, tick_texts(bar.ticks), strict=True):
        svg.text(left + 16, bar.at(tick) + 3.5, shown, 10, fill=MUTED)
    svg.text(left + 6, bar.end - 8, label, 11, "middle", MUTED)


def _colour(share: float) -> str:
    return tint(PALETTE[0], _PALE + (1 - _PALE) * min(max(share, 0.0), 1.0))


def _whole(epochs: Sequence[float]) -> tuple[float, ...]:
    return linear_axis([min(epochs), max(epochs)], 0.0, 1.0, whole=True).ticks if len(set(epochs)) > 1 else (epochs[0],)
