"""Draws the documents' pictures: ``python docs/pictures/draw.py``. A test holds that the files are what this draws."""

from __future__ import annotations

import re
from pathlib import Path

import spacec
from spacec.cli.graph import drawn
from spacec.draw.svg import Svg
from spacec.search.report.dag import colours_of, draw_sketch
from spacec.search.report.grid import draw_grid
from spacec.search.report.selected import Selected
from spacec.search.report.sketch import cells_of, grid_of

HERE = Path(__file__).resolve().parent
TUTORIAL = HERE.parent / "tutorial.md"
GRAMMARS = HERE.parents[1] / "grammars"
DARTS_V2 = (
    "normal=sep_conv-3,sep_conv-3,0+1,sep_conv-3,sep_conv-3,0+1,skip,sep_conv-3,0+2,skip,dil_conv-3"
    ":reduce=max3,max3,1+2,max3,skip,0+2,max3,skip,1+2,max3,skip"
)
CLEARER = "net=fusion,fusion,parallel,parallel,parallel,fusion,parallel,fusion,parallel,parallel,fusion,fusion"
GAP = 24.0
GRAPHS = ("clearer", "darts", "nas_bench_201", "tabular")
"""Shipped spaces that are drawn as ``spacec graph`` does, each into its own file."""


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


def graphs() -> dict[str, str]:
    """The pictures of whole spaces by file, the tutorial's among them."""
    spaces = {name: spacec.load(GRAMMARS / f"{name}.space") for name in GRAPHS}
    blocks = re.findall(
        r"<!-- file: digits.space -->\n```space\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL
    )
    spaces["tutorial"] = spacec.loads(blocks[-1])
    return {f"{name}.svg": drawn(space, None, ".svg") for name, space in spaces.items()}


if __name__ == "__main__":
    for name, text in {"architecture.svg": picture(), **graphs()}.items():
        (HERE / name).write_text(text, encoding="utf-8")
