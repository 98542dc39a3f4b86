"""Draws architecture.svg: ``python docs/pictures/draw.py``. A test holds that the file is what this draws."""

from __future__ import annotations

from pathlib import Path

import spacec
from spacec.draw.svg import Svg
from spacec.search.report.dag import colours_of, draw_sketch
from spacec.search.report.grid import draw_grid
from spacec.search.report.selected import Selected
from spacec.search.report.sketch import cells_of, grid_of

HERE = Path(__file__).resolve().parent
GRAMMARS = HERE.parents[1] / "grammars"
DARTS_V2 = (
    "normal=sep_conv-3,sep_conv-3,0+1,sep_conv-3,sep_conv-3,0+1,skip,sep_conv-3,0+2,skip,dil_conv-3"
    ":reduce=max3,max3,1+2,max3,skip,0+2,max3,skip,1+2,max3,skip"
)
CLEARER = "net=fusion,fusion,parallel,parallel,parallel,fusion,parallel,fusion,parallel,parallel,fusion,fusion"
GAP = 24.0


def darts() -> list[Svg]:
    """The two cells of DARTS_V2 (the released code's cnn/genotypes.py)."""
    space = spacec.load(GRAMMARS / "darts.space")
    selected = Selected(space.flat, space.table, space.architecture(f"{space.digest}:{DARTS_V2}"))
    labels = [label for slot in space.slots for label in slot.labels[slot.absent :]]
    return [draw_sketch(s, f"DARTS_V2: {owner}", colours_of(labels)) for owner, s in cells_of(selected).items()]


def clearer() -> Svg:
    """An architecture of CLEARER's space as a grid of scales and columns."""
    space = spacec.load(GRAMMARS / "clearer.space")
    selected = Selected(space.flat, space.table, space.architecture(f"{space.digest}:{CLEARER}"))
    grid = grid_of(selected, None)
    assert grid is not None, "CLEARER's columns are drawn as a grid"
    return draw_grid(grid, "CLEARER", colours_of(["parallel", "fusion"]))


def picture() -> str:
    """The cells side by side, the grid below."""
    cells, grid = darts(), clearer()
    top = max(cell.height for cell in cells)
    width = max(sum(cell.width + GAP for cell in cells) - GAP, grid.width)
    whole = Svg(width, top + GAP + grid.height, "two cells of DARTS, and an architecture of CLEARER")
    whole.rect(0, 0, whole.width, whole.height, fill="#ffffff")
    x = 0.0
    for cell in cells:
        whole.place(cell, x, 0)
        x += cell.width + GAP
    whole.place(grid, 0, top + GAP)
    return whole.render()


if __name__ == "__main__":
    (HERE / "architecture.svg").write_text(picture(), encoding="utf-8")
