"""Source lines with carets under spans.

A line is shown cell by cell as a terminal will: tabs widened, wide characters two cells, lines longer than
``WIDTH`` trimmed around the span.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from spacec.source import SourceFile, Span

WIDTH = 110
TAB = 4

Mark = tuple[Span, str, bool]
"""A span, its text, and whether it is the primary one."""

_STYLES = {"error": "1;31", "warning": "1;33", "strong": "1", "frame": "1;34", "second": "1;34"}


@dataclass(frozen=True)
class Painter:
    """Wraps text in the terminal's colour codes, or not."""

    color: bool

    def __call__(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color and text else text


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
    for number in sorted({first, last}):
        label = text if number == last else ""
        line, start, end = _window(span, number)
        if number != previous:
            if number == last > first + 1:
                out.append(paint("...", "frame"))
            out.append(f"{paint(str(number).rjust(len(gutter)), 'frame')} {paint('|', 'frame')} {line}".rstrip())
        under = " " * start + paint((sign * max(1, end - start) + " " + shown(label)).rstrip(), style)
        out.append(f"{gutter} {paint('|', 'frame')} {under}")
        previous = number
    return previous


def _window(span: Span, number: int) -> tuple[str, int, int]:
    """A line as shown, trimmed, and the cells where the span's part of it begins and ends."""
    start, end = _columns(span, number)
    line = span.source.line(number)
    if len(line) <= WIDTH:
        cells, before, width = _cells(line, start, end)
        return cells, before, before + width
    room = WIDTH - 6
    left = max(0, min(start - (room - min(end - start, room)) // 2, len(line) - room))
    right = left + room
    cells, before, width = _cells(line[left:right], start - left, min(end, right) - left)
    dots = "..." if left else ""
    return dots + cells + ("..." if right < len(line) else ""), before + len(dots), before + width + len(dots)


def _columns(span: Span, number: int) -> tuple[int, int]:
    """The zero-based columns of the span's part of a line, blank margins left out where it has several lines."""
    source: SourceFile = span.source
    line = source.line(number)
    (first, start), (last, end) = source.position(span.start), source.position(span.end)
    begin = start - 1 if number == first else len(line) - len(line.lstrip())
    stop = end - 1 if number == last else len(line)
    return begin, max(begin, stop)


def _cells(line: str, start: int, end: int) -> tuple[str, int, int]:
    """The line as printed; the cells before the span, and those it takes."""
    out: list[str] = []
    cell = before = after = 0
    for i, c in enumerate(line):
        if i == start:
            before = cell
        if i == end:
            after = cell
        if c == "\t":
            width = TAB - cell % TAB
            out.append(" " * width)
        else:
            out.append(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}")
            width = _width(c)
        cell += width
    before = cell if start >= len(line) else before
    after = cell if end >= len(line) else after
    return "".join(out), before, after - before


def _width(c: str) -> int:
    if unicodedata.combining(c):
        return 0
    return 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1
