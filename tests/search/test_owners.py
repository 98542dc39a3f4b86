"""To which cell, edge and operation a weight belongs."""

from __future__ import annotations

from typing import Any

import pytest

import spacec
from spacec.search.owners import FIXED, NET, SHARED, Owner, owners

CELLS = """
space cells(width = 4)
input  x: [width]
output y: [2]
default pick(absent = 1)
def inner = linear(width) | tanh
def edge = conv: linear(width) >> bn | deep: relu >> inner | skip: identity
let cell(_) = dag(a) {
  first = a >> linear(width)
  return sum(pick 2 from [a, first, a >> relu]: edge)
}
net = linear(width) >> cell(0) >> cell(1) >> linear(2)
"""


def found(text: str) -> dict[str, Owner]:
    space: Any = spacec.loads(text)
    return owners(space.flat, space.slots, [name for name, _ in space.supernet(seed=0).named_parameters()])


def test_cells_edges_and_candidates() -> None:
    places = found(CELLS)
    assert places["linear_0.weight"] == Owner(NET, FIXED, FIXED)
    for cell in ("cell_0", "cell_1"):
        assert places[f"{cell}.linear_0.weight"] == Owner(cell, FIXED, FIXED)
        inside = {(p.edge, p.op) for name, p in places.items() if p.cell.startswith(cell) and p.op != FIXED}
        assert {edge for edge, op in inside if op == "conv"} == {f"pick_0_edge_{i}" for i in range(3)}
        assert Owner(f"{cell}.pick_0.edge_1.deep_0", "inner_0", "linear(width)") in places.values()
    assert all(p.op == "conv" for name, p in places.items() if ".bn_0." in name)


def test_what_several_candidates_run_names_them_all() -> None:
    text = """
space deep(width = 4)
input  x: [width]
output y: [width]
def block = linear(width) >> relu
net = block * {1, 2, 3}
"""
    ops = {name: place.op for name, place in found(text).items() if name.endswith("weight")}
    assert sorted(ops.values()) == ["2 | 3", "3", FIXED]


def test_what_several_places_run_is_shared() -> None:
    text = """
space twice(width = 4)
input  x: [width]
output y: [width]
tied wide = linear(width) >> relu
def block = wide | tanh
net = block * 2
"""
    places = found(text)
    assert {p.edge for p in places.values()} == {SHARED}
    assert {p.op for p in places.values()} == {"wide"}


@pytest.mark.parametrize(("name", "cells"), [("nas_bench_201", 3), ("robust_darts", 3), ("darts", 3)])
def test_every_weight_of_a_shipped_space_has_a_place(name: str, cells: int) -> None:
    space: Any = spacec.load(f"grammars/{name}.space", preset="tiny")
    names = [n for n, _ in space.supernet(seed=0).named_parameters()]
    places = owners(space.flat, space.slots, names)
    assert list(places) == names
    assert len({p.cell for p in places.values()} - {NET}) == cells
    labels = {label for slot in space.slots for label in slot.labels}
    assert {p.op for p in places.values()} <= labels | {FIXED}
