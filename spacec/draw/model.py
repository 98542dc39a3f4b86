"""What a picture of a space holds, before it is laid out: panels of shapes joined by wires.

Made by :mod:`spacec.draw.read`. Every decision of the space is :class:`Shown` once in one panel: on a shape, on a
wire, or among a panel's notes. Copies that look alike are one shape, which then shows several decisions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spacec.ir.graph import CallNode, DecisionRef, Region

Role = Literal["input", "output", "fixed", "choice", "call", "state", "join", "frame"]
Style = Literal["title", "plain", "muted", "candidate"]


@dataclass(frozen=True)
class Shown:
    """A decision where it is drawn: seen from the panel's region, with the words for its candidates."""

    ref: DecisionRef
    text: str


@dataclass(frozen=True)
class Line:
    """A line of a shape; a candidate's has the colour of its label."""

    text: str
    style: Style = "plain"
    indent: int = 0


@dataclass(frozen=True)
class Shape:
    """A node of a panel. ``times`` says how often it stands in a row; ``rows`` are the scales it spans (grids).

    ``panel`` names the panel that shows its inside; a frame shows it in place (``inner``).
    """

    id: str
    role: Role
    lines: tuple[Line, ...] = ()
    type: str = ""
    """The type it gives, where that differs from what it takes."""
    shown: tuple[Shown, ...] = ()
    times: str = ""
    panel: str = ""
    inner: Diagram | None = None
    rows: tuple[int, ...] = ()

    @property
    def face(self) -> tuple[object, ...]:
        """What tells it apart from another; types aside, so that copies at other sizes look alike."""
        inner = None if self.inner is None else tuple(shape.face for shape in self.inner.shapes)
        return (self.role, self.lines, self.panel, inner)


@dataclass(frozen=True)
class Wire:
    """From a shape to a shape. ``labels``: the operations among which an edge chooses; none for a plain one.

    ``optional``: it may be absent. ``note`` names a plain one's ops. ``rows``: from and to which scale.
    """

    tail: str
    head: str
    labels: tuple[str, ...] = ()
    shown: tuple[Shown, ...] = ()
    optional: bool = False
    note: str = ""
    rows: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Diagram:
    """Shapes in topological order. ``scales`` names the rows of a grid, finest first; none for a plain graph."""

    shapes: tuple[Shape, ...]
    wires: tuple[Wire, ...]
    scales: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """One region that a panel stands for: what is shown, in the panel's order, and the calls that other panels show."""

    region: Region
    shown: tuple[Shown, ...]
    calls: tuple[tuple[CallNode, ...], ...] = ()


@dataclass(frozen=True)
class Panel:
    """A definition, or the whole network (the first panel). ``notes`` are lines below it."""

    name: str
    title: str
    diagram: Diagram
    notes: tuple[Line, ...] = ()
    variants: tuple[Variant, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A whole picture; ``facts`` are lines below the title, ``labels`` the operations that have a colour."""

    title: str
    facts: tuple[str, ...]
    panels: tuple[Panel, ...]
    labels: tuple[str, ...]


def every_shape(diagram: Diagram) -> Iterator[Shape]:
    """The shapes of a diagram, those in frames included."""
    for shape in diagram.shapes:
        yield shape
        if shape.inner is not None:
            yield from every_shape(shape.inner)


def shown_in(diagram: Diagram) -> Iterator[Shown]:
    """Every decision shown in a diagram, frames included."""
    for shape in diagram.shapes:
        yield from shape.shown
        if shape.inner is not None:
            yield from shown_in(shape.inner)
    for wire in diagram.wires:
        yield from wire.shown
