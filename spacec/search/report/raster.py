"""Our own SVG pictures as PNG files, for places that show pixels only.

Draws what :class:`spacec.draw.svg.Svg` writes and nothing else: rectangles, circles, lines, polygons, paths of straight
and curved pieces, texts, and groups that are moved. Needs Pillow.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import ceil, cos, radians, sin

from spacec.draw.svg import Point
from spacec.search.tasks.extras import require

SCALE = 2
"""Pixels per unit."""
MOST_SIDE = 8_000
"""Pixels of a side, at most; of a larger picture nothing is made."""
PIECES = 16
"""Straight pieces of a curve."""

_NUMBER = re.compile(r"-?\d+\.?\d*")
_PART = re.compile(r"([MLCQZ])([^MLCQZ]*)")
_LACKING = str.maketrans({"\u00d7": "x", "\u2026": "...", "\u2009": " ", "\u2192": "->"})
"""Characters that Pillow's own font lacks."""
_SHAPES = ("rect", "circle", "line", "polyline", "polygon", "path", "text")


def png_of(svg: str) -> bytes:
    """``svg`` as a PNG file on white; empty for a picture without an extent, or one that is too large."""
    image_module = require("PIL.Image", "Pillow", "a picture in pixels", "tensorboard")
    draw_module = require("PIL.ImageDraw", "Pillow", "a picture in pixels", "tensorboard")
    root = ET.fromstring(svg)
    width, height = (ceil(float(root.get(name, 0)) * SCALE) for name in ("width", "height"))
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
        return b""
    image = image_module.new("RGB", (width, height), "white")
    draw = draw_module.Draw(image, "RGBA")
    for name, attributes, text, moved in _shapes(root, (0.0, 0.0)):
        _paint(draw, name, attributes, text, moved)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _shapes(parent: ET.Element, moved: Point) -> Iterator[tuple[str, Mapping[str, str], str, Point]]:
    for child in parent:
        name = child.tag.rpartition("}")[2]
        if name == "g":
            x, y = moved
            shift = child.get("transform", "")
            if shift.startswith("translate"):
                dx, dy = map(float, _NUMBER.findall(shift)[:2])
                x, y = x + dx, y + dy
            yield from _shapes(child, (x, y))
        elif name in _SHAPES:
            yield name, child.attrib, child.text or "", moved


def _paint(draw, name: str, a: Mapping[str, str], text: str, moved: Point) -> None:  # type: ignore[no-untyped-def]  # Pillow is an extra
    fill, stroke = _colour(a.get("fill"), a.get("fill-opacity")), _colour(a.get("stroke"))
    line = max(1, round(float(a.get("stroke-width", 1)) * SCALE))

    def at(x: float, y: float) -> Point:
        return (x + moved[0]) * SCALE, (y + moved[1]) * SCALE

    def number(key: str) -> float:
        return float(a.get(key, 0))

    match name:
        case "rect":
            x, y, r = number("x"), number("y"), number("rx") * SCALE
            box = (*at(x, y), *at(x + number("width"), y + number("height")))
            draw.rounded_rectangle(box, r, fill, stroke, line)
        case "circle":
            x, y, r = number("cx"), number("cy"), number("r")
            draw.ellipse((*at(x - r, y - r), *at(x + r, y + r)), fill, stroke, line)
        case "line":
            draw.line((*at(number("x1"), number("y1")), *at(number("x2"), number("y2"))), stroke, line)
        case "polyline" | "polygon" | "path":
            turned = _NUMBER.findall(a.get("transform", ""))
            for points in _lines(name, a):
                placed = [at(*_turned(p, turned)) for p in points]
                if fill is not None and len(placed) > 2:
                    draw.polygon(placed, fill)
                if stroke is not None and len(placed) > 1:
                    draw.line(placed, stroke, line, joint="curve")
        case "text":
            _write(draw, a, text, at(number("x"), number("y")), fill)


def _write(draw, a: Mapping[str, str], text: str, where: Point, fill) -> None:  # type: ignore[no-untyped-def]  # as above
    font_module = require("PIL.ImageFont", "Pillow", "a picture in pixels", "tensorboard")
    font = font_module.load_default(float(a.get("font-size", 12)) * SCALE)
    anchor = {"middle": "ms", "end": "rs"}.get(a.get("text-anchor", ""), "ls")
    bold = 0.4 if a.get("font-weight") == "bold" else 0
    draw.text(where, text.translate(_LACKING), fill or "#000000", font, anchor, stroke_width=bold)


def _lines(name: str, a: Mapping[str, str]) -> Iterator[list[Point]]:
    if name != "path":
        yield _points(a.get("points", ""))
        return
    line: list[Point] = []
    for kind, rest in _PART.findall(a.get("d", "")):
        points = _points(rest)
        if kind == "M":
            if line:
                yield line
            line = points
        elif kind == "L":
            line += points
        elif kind == "Z":
            line += line[:1]
        else:
            line += _curve([line[-1], *points])
    if line:
        yield line


def _points(text: str) -> list[Point]:
    numbers = list(map(float, _NUMBER.findall(text)))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _curve(handles: list[Point]) -> list[Point]:
    """A Bézier curve by de Casteljau's construction, without its first point."""
    found = []
    for k in range(1, PIECES + 1):
        t, level = k / PIECES, handles
        while len(level) > 1:
            level = [(p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])) for p, q in pairwise(level)]
        found.append(level[0])
    return found


def _turned(p: Point, rotation: list[str]) -> Point:
    """``rotate(degrees x y)``, as heads of arrows have."""
    if len(rotation) != 3:
        return p
    degrees, x, y = map(float, rotation)
    a, dx, dy = radians(degrees), p[0] - x, p[1] - y
    return x + dx * cos(a) - dy * sin(a), y + dx * sin(a) + dy * cos(a)


def _colour(text: str | None, opacity: str | None = None) -> tuple[int, int, int, int] | None:
    if text is None or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        return None
    red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue, round(255 * float(opacity or 1))
