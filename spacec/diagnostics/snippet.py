"""Source lines with carets under spans.

A line is shown cell by cell as a terminal will: tabs widened, wide characters two cells, lines that have more cells
than there is room for trimmed around the span.
"""

from __future__ import annotations

import textwrap
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from spacec.source import SourceFile, Span

WIDTH = 110
"""Cells of a source line at most."""
NARROWEST = 20
"""Cells of a source line that even a narrower terminal shows."""
TAB = 4
_REACH = 2_000
"""Characters of a line, to each side of a span, that are looked at."""

Mark = tuple[Span, str, bool]
"""A span, its text, and whether it is the primary one."""

_STYLES = {"error": "1;31", "warning": "1;33", "strong": "1", "frame": "1;34", "second": "1;34"}


@dataclass(frozen=True)
class Painter:
    """What the terminal can do: colour, and how many columns it has (``None``: as many as it takes)."""

    color: bool
    width: int | None = None

    def __call__(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color and text else text

    def fold(self, text: str, used: int) -> list[str]:
        """The text in lines that leave ``used`` columns free before them."""
        if self.width is None or used + len(text) <= self.width:
            return [text]
        return textwrap.wrap(text, max(NARROWEST, self.width - used), break_on_hyphens=False) or [""]


def shown(text: str) -> str:
    """The text with every unprintable character spelled out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def snippets(marks: Sequence[Mark], paint: Painter, severity: str) -> tuple[str, list[str]]:
    """The gutter's blanks, and the lines that show the marks, the first mark's file first."""
    if not marks:
        return " ", []
    rows = [(mark, *_lines(mark[0])) for mark in marks]
    gutter = " " * len(str(max(last for _, _, last in rows)))
    bar = f"{gutter} {paint('|', 'frame')}"
    out: list[str] = []
    sources = list(dict.fromkeys(mark[0].source for mark in marks))
    for nth, source in enumerate(sources):
        own = sorted((row for row in rows if row[0][0].source == source), key=lambda row: (row[1], not row[0][2]))
        lead = next(row[0][0] for row in rows if row[0][0].source == source)
        out += [f"{gutter}{paint('-->' if nth == 0 else ':::', 'frame')} {shown(str(lead))}", bar]
        previous = 0
        for mark, first, last in own:
            style = severity if mark[2] else "second"
            if first > previous + 1 and previous:
                out.append(paint("...", "frame"))
            previous = _show(mark, first, last, previous, gutter, paint, style, out)
    return gutter, out


def _lines(span: Span) -> tuple[int, int]:
    first = span.source.position(span.start)[0]
    return first, span.source.position(max(span.start, span.end - 1))[0]


def _show(
    mark: Mark, first: int, last: int, previous: int, gutter: str, paint: Painter, style: str, out: list[str]
) -> int:
    """Appends the lines of one mark; returns the last line number shown."""
    span, text, primary = mark
    sign = "^" if primary else "-"
    bar = f"{gutter} {paint('|', 'frame')}"
    room = WIDTH if paint.width is None else max(NARROWEST, min(WIDTH, paint.width - len(gutter) - 3))
    for number in sorted({first, last}):
        line, start, end = _window(span, number, room)
        if number != previous:
            if number == last > first + 1:
                out.append(paint("...", "frame"))
            out.append(f"{paint(str(number).rjust(len(gutter)), 'frame')} {paint('|', 'frame')} {line}".rstrip())
        signs = sign * max(1, end - start)
        label = shown(text) if number == last else ""
        if paint.width is None or len(gutter) + 3 + start + len(signs) + 1 + len(label) <= paint.width:
            out.append(f"{bar} {' ' * start}{paint(f'{signs} {label}'.rstrip(), style)}")
        else:
            out.append(f"{bar} {' ' * start}{paint(signs, style)}")
            margin = max(0, min(start, room - NARROWEST))
            out += [f"{bar} {' ' * margin}{paint(part, style)}" for part in paint.fold(label, len(gutter) + 3 + margin)]
        previous = number
    return previous


def _window(span: Span, number: int, room: int) -> tuple[str, int, int]:
    """A line as shown, in at most ``room`` cells, and the cells where the span's part of it begins and ends."""
    start, end = _columns(span, number)
    whole = span.source.line(number)
    origin = max(0, start - _REACH)
    line = whole[origin : start + _REACH]
    more = origin + len(line) < len(whole)
    at = [0]
    for c in line:
        at.append(at[-1] + (TAB - at[-1] % TAB if c == "\t" else _width(c)))
    start, end = min(start - origin, len(line)), min(end - origin, len(line))
    left, right = 0, len(line)
    if at[-1] > room:
        kept = room - 6
        wanted = max(0, min(at[start] - (kept - min(at[end] - at[start], kept)) // 2, at[-1] - kept))
        left = bisect_left(at, wanted)
        right = bisect_right(at, at[left] + kept) - 1
    dots = "..." if left or origin else ""
    text = "".join(_cells(line[i], at[i + 1] - at[i]) for i in range(left, right))
    before = at[start] - at[left] + len(dots)
    return dots + text + ("..." if right < len(line) or more else ""), before, before + at[min(end, right)] - at[start]


def _columns(span: Span, number: int) -> tuple[int, int]:
    """The zero-based columns of the span's part of a line, blank margins left out where it has several lines."""
    source: SourceFile = span.source
    line = source.line(number)
    (first, start), (last, end) = source.position(span.start), source.position(span.end)
    begin = start - 1 if number == first else len(line) - len(line.lstrip())
    stop = end - 1 if number == last else len(line)
    return begin, max(begin, stop)


def _cells(c: str, width: int) -> str:
    """A character as printed."""
    return " " * width if c == "\t" else c if c.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _width(c: str) -> int:
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1
