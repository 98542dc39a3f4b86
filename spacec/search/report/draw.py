"""Pictures of an architecture, as SVG text."""

from __future__ import annotations

from typing import Protocol

from spacec.draw.svg import Svg
from spacec.ir.flat import FlatGraph
from spacec.search.report.dag import colours_of, draw_sketch
from spacec.search.report.grid import draw_grid
from spacec.search.report.selected import Selected
from spacec.search.report.sketch import Probabilities, cells_of, grid_of, layers_of
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable


class Drawable(Protocol):
    """A compiled space, as far as a drawing reads it."""

    @property
    def flat(self) -> FlatGraph: ...
    @property
    def table(self) -> DecisionTable: ...


def draw_architecture(
    space: Drawable, arch: Architecture, probabilities: Probabilities | None = None, title: str = ""
) -> str:
    """An SVG document of ``arch`` in the form that ``space`` is loaded in.

    Where pyramids are chosen (CLEARER, HRNet): a grid of scales and stages. Where lets own the choices (DARTS,
    NAS-Bench-201): one picture per let. Else: the network, layer by layer. ``probabilities`` (slot to candidate
    probabilities) are shown beside the choices of a grid.
    """
    selected = Selected(space.flat, space.table, arch)
    labels = [label for slot in space.table.slots if not slot.edges for label in slot.labels[slot.absent :]]
    colours = colours_of(labels)
    grid = grid_of(selected, probabilities)
    if grid is not None:
        return draw_grid(grid, title, colours).render()
    cells = cells_of(selected)
    if cells:
        parts = [draw_sketch(sketch, _cell_title(title, owner), colours) for owner, sketch in cells.items()]
        return _stacked(parts, title).render()
    return draw_sketch(layers_of(selected), title, colours).render()


def _cell_title(title: str, owner: str) -> str:
    return f"{title}: {owner}" if title else owner


def _stacked(parts: list[Svg], title: str) -> Svg:
    whole = Svg(max(p.width for p in parts), sum(p.height for p in parts) + 12 * (len(parts) - 1), title)
    y = 0.0
    for part in parts:
        whole.place(part, 0, y)
        y += part.height + 12
    return whole
