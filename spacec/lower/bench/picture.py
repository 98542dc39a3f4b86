"""A record as a picture: a panel of bars each for time, memory and calls. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spacec.draw.svg import FAINT, INK, MUTED, PALETTE, PAPER, Svg, text_width, tint
from spacec.draw.words import TIMES
from spacec.lower.bench.rows import NOT, Row, duration, size

STEP, BAR, TOP, GAP = 22.0, 13.0, 44.0, 22.0
WIDTH = 250.0


@dataclass(frozen=True)
class Part:
    """A panel: a length for each row (``None``: not measured), in full and a share of it in a deeper colour."""

    title: str
    value: Callable[[Row], float | None]
    text: Callable[[Row], str]
    inner: Callable[[Row], float | None] = lambda _: None


PARTS = (
    Part(
        "time of a pass; line: the floor",
        lambda r: r.seconds,
        lambda r: f"{duration(r.seconds)}, {r.floors:.1f} {TIMES} floor",
    ),
    Part("live bytes at their most", lambda r: r.live, lambda r: size(r.live)),
    Part(
        "calls; dark: convolutions and products",
        lambda r: r.calls,
        lambda r: f"{r.products:,} of {r.calls:,}",
        lambda r: r.products,
    ),
)


def drawing(record: Mapping[str, Any], rows: Sequence[Row], title: str) -> Svg:
    """The rows of a record."""
    left = 16 + max(text_width(row.title, 11) for row in rows)
    svg = Svg(left + len(PARTS) * (WIDTH + GAP), TOP + STEP * len(rows) + 14, title)
    svg.rect(0, 0, svg.width, svg.height, PAPER)
    svg.text(8, 17, title, 12.5, bold=True)
    for k, row in enumerate(rows):
        svg.text(left - 8, TOP + STEP * k + 14, row.title, 11, "end")
    for k, part in enumerate(PARTS):
        x = left + k * (WIDTH + GAP)
        svg.text(x, 36, part.title, 10.5, fill=MUTED)
        _bars(svg, x, part, rows, record["floor"] if k == 0 else None)
    return svg


_COLOURS = ("plain", "plain-last", "fast", "launches", "compiled", "eager", "by-hand", "by-hand-last")
"""A form has the same colour in every picture."""


def _bars(svg: Svg, x: float, part: Part, rows: Sequence[Row], floor: float | None) -> None:
    told = max(text_width(part.text(row) if part.value(row) is not None else NOT, 10) for row in rows)
    most = max((part.value(row) or 0 for row in rows), default=0) or 1
    scale = (WIDTH - told - 10) / most
    svg.line((x, TOP), (x, TOP + STEP * len(rows)), FAINT)
    for k, row in enumerate(rows):
        y, value = TOP + STEP * k + 4, part.value(row)
        if value is None:
            svg.text(x + 5, y + BAR - 3, NOT, 10, fill=MUTED)
            continue
        colour = PALETTE[(_COLOURS.index(row.name) if row.name in _COLOURS else k) % len(PALETTE)]
        inner = part.inner(row)
        svg.rect(x, y, value * scale, BAR, colour if inner is None else tint(colour, 0.45))
        if inner is not None:
            svg.rect(x, y, inner * scale, BAR, colour)
        svg.text(x + value * scale + 5, y + BAR - 3, part.text(row), 10, fill=INK)
    if floor is not None:
        svg.line((x + floor * scale, TOP), (x + floor * scale, TOP + STEP * len(rows)), INK, 1, "3 2")
