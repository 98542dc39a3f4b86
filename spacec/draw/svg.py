"""A small writer of SVG 1.1, and the one visual style of all pictures.

Colours are Okabe and Ito's (told apart under every common colour blindness). Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

INK = "#1f2328"
MUTED = "#6b7280"
FAINT = "#d6d9de"
PAPER = "#ffffff"
WASH = "#f4f5f7"
FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f3c8d", "#555555")

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

_CLASSES = (("mMW@%\u2026", 1.0), ("w+=<>\u00d7\u2192\u2264\u2265~#&", 0.84), ("iljtfrI.,:;'|()[]! /-", 0.42))
_WIDTHS = {c: width for letters, width in _CLASSES for c in letters}


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of ``text`` that no font of the style exceeds (DejaVu Sans is the widest), in the units of ``size``."""
    units = sum(_WIDTHS.get(c, 0.79 if c.isupper() else 0.64) for c in text)
    return units * size * (1.1 if bold else 1.0)


def tint(colour: str, share: float = 0.14) -> str:
    """``colour`` mixed with white: ``share`` of it."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - p) * share):02x}" for p in parts)


@dataclass
class Svg:
    """Collects elements in the order in which they are painted; sizes are in pixels."""

    width: float
    height: float
    title: str = ""
    _parts: list[str] = field(default_factory=list)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "none",
        stroke: str = "none",
        radius: float = 0,
        line: float = 1,
    ) -> None:
        self._add("rect", x=x, y=y, width=width, height=height, rx=radius, fill=fill, stroke=stroke, stroke_width=line)

    def circle(self, x: float, y: float, r: float, fill: str = PAPER, stroke: str = INK, line: float = 1.2) -> None:
        self._add("circle", cx=x, cy=y, r=r, fill=fill, stroke=stroke, stroke_width=line)

    def line(self, a: Point, b: Point, stroke: str = INK, line: float = 1, dash: str = "") -> None:
        extra = {"stroke_dasharray": dash} if dash else {}
        self._add("line", x1=a[0], y1=a[1], x2=b[0], y2=b[1], stroke=stroke, stroke_width=line, **extra)

    def polyline(self, points: Sequence[Point], stroke: str, line: float = 1.5) -> None:
        text = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._add("polyline", points=text, fill="none", stroke=stroke, stroke_width=line, stroke_linejoin="round")

    def area(self, points: Sequence[Point], fill: str, opacity: float) -> None:
        """A filled polygon without an outline, through which what was painted before shows."""
        text = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._add("polygon", points=text, fill=fill, fill_opacity=opacity)

    def path(self, d: str, stroke: str = INK, line: float = 1.2, fill: str = "none", dash: str = "") -> None:
        extra = {"stroke_dasharray": dash} if dash else {}
        self._add("path", d=d, fill=fill, stroke=stroke, stroke_width=line, stroke_linecap="round", **extra)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 12,
        anchor: Anchor = "start",
        fill: str = INK,
        bold: bool = False,
        turn: float = 0,
    ) -> None:
        """``y`` is the base line; ``turn`` rotates about the anchor, in degrees."""
        extra: dict[str, object] = {"font_weight": "bold"} if bold else {}
        if turn:
            extra["transform"] = f"rotate({_number(turn)} {_number(x)} {_number(y)})"
        attributes = _attributes({"x": x, "y": y, "font_size": size, "text_anchor": anchor, "fill": fill, **extra})
        self._parts.append(f"<text{attributes}>{escape(text)}</text>")

    def arrow_head(self, x: float, y: float, stroke: str = INK, size: float = 5, turn: float = 0) -> None:
        """A head at ``(x, y)`` that points to the right, or turned clockwise by ``turn`` degrees."""
        extra = {"transform": f"rotate({_number(turn)} {_number(x)} {_number(y)})"} if turn else {}
        d = (f"M{_number(x - size)},{_number(y - size * 0.55)} L{_number(x)},{_number(y)} "
             f"L{_number(x - size)},{_number(y + size * 0.55)} Z")  # fmt: skip
        self._add("path", d=d, fill=stroke, stroke="none", stroke_width=1.2, stroke_linecap="round", **extra)

    def note(self, text: str) -> None:
        """What is painted until :meth:`end_note` is one group; a reader that points at it is told ``text``."""
        self._parts.append(f"<g><title>{escape(text)}</title>" if text else "<g>")

    def end_note(self) -> None:
        self._parts.append("</g>")

    def place(self, other: Svg, x: float, y: float) -> None:
        """The elements of another picture, moved."""
        self._parts.append(f'<g transform="translate({_number(x)} {_number(y)})">')
        self._parts.extend(other._parts)
        self._parts.append("</g>")

    def render(self) -> str:
        """The document, without an XML declaration, so that it can stand inside HTML."""
        w, h = _number(self.width), _number(self.height)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" '
            f'role="img" font-family="{escape(FONT)}">'
        )
        title = f"<title>{escape(self.title)}</title>" if self.title else ""
        return "\n".join((head + title, *self._parts, "</svg>")) + "\n"

    def _add(self, name: str, **attributes: object) -> None:
        self._parts.append(f"<{name}{_attributes(attributes)}/>")


def curve(points: Sequence[Point]) -> str:
    """Path data through ``points`` from left to right, level at each of them."""
    return _smooth(points, lambda a, b: ((_middle(a, b)[0], a[1]), (_middle(a, b)[0], b[1])))


def curve_down(points: Sequence[Point]) -> str:
    """Path data through ``points`` from top to bottom, upright at each of them."""
    return _smooth(points, lambda a, b: ((a[0], _middle(a, b)[1]), (b[0], _middle(a, b)[1])))


def _smooth(points: Sequence[Point], handles: Callable[[Point, Point], tuple[Point, Point]]) -> str:
    """Cubic pieces; ``handles`` gives the two control points between one point and the next."""
    parts = [f"M{_pair(points[0])}"]
    parts.extend("C" + " ".join(map(_pair, (*handles(a, b), b))) for a, b in pairwise(points))
    return " ".join(parts)


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _pair(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def corners(points: Sequence[Point], radius: float = 7) -> str:
    """Path data along straight lines through ``points``, with round corners."""
    parts = [f"M{_pair(points[0])}"]
    for a, b, c in zip(points, points[1:], points[2:], strict=False):
        parts.append(f"L{_pair(_towards(b, a, radius))} Q{_pair(b)} {_pair(_towards(b, c, radius))}")
    parts.append(f"L{_pair(points[-1])}")
    return " ".join(parts)


def _towards(a: Point, b: Point, step: float) -> Point:
    """The point ``step`` from a towards b, at most half way."""
    length = max(1e-9, ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5)
    share = min(step / length, 0.5)
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _attributes(values: dict[str, object]) -> str:
    shown = {k.replace("_", "-"): _number(v) if isinstance(v, int | float) else str(v) for k, v in values.items()}
    return "".join(f" {name}={quoteattr(value)}" for name, value in shown.items())


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
