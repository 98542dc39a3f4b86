"""Counts of the spaces that are recursive by hand: a lattice of paths, and a grammar's derivations."""

from __future__ import annotations

from itertools import pairwise
from math import comb, log10

import pytest

import spacec
from tests.grammars.record import GRAMMARS


def paths(layers: int) -> int:
    """Sequences of one stride per layer: the first is 4 or 8, each next the same, twice or half, between 4 and 32."""
    ending = {4: 1, 8: 1, 16: 0, 32: 0}
    for _ in range(layers - 1):
        ending = {s: ending[s] + ending.get(s // 2, 0) + ending.get(2 * s, 0) for s in ending}
    return sum(ending.values())


def cells(steps: int, operations: int) -> int:
    """Each new node takes two of all earlier ones, each through an operation."""
    total = 1
    for node in range(steps):
        total *= comb(node + 2, 2) * operations**2
    return total


@pytest.mark.parametrize(("layers", "steps"), [(12, 5), (12, 1), (3, 2), (5, 3)])
def test_auto_deeplab_is_paths_times_cells(layers: int, steps: int) -> None:
    space = spacec.load(GRAMMARS / "auto_deeplab.space", layers=layers, steps=steps)
    assert space.count() == paths(layers) * cells(steps, 7)
    assert space.count("cell") == cells(steps, 7)


def test_every_path_is_a_walk_through_strides() -> None:
    space = spacec.load(GRAMMARS / "auto_deeplab.space", preset="tiny", layers=6)
    for arch in space.sample(20, seed=1):
        visited = [d for d in arch if d.startswith("walk")]
        assert [int(d[5]) for d in visited] == [1, 2, 3, 4, 5]
        scales = [int(d[7]) for d in visited]
        assert all(abs(a - b) <= 1 for a, b in pairwise(scales))


def derivations(levels: int) -> int:
    """Derivations of macro.cfg, cell_flexible.cfg and conv_block.cfg, production by production."""
    block = 3 * 3 * 3
    cell = (1 + 1 + block + block + 1) ** 6
    c = cell**2 + cell**3 + cell**3
    down = cell + cell**2 + cell
    d0 = c**2 * cell + c**3 * cell + c**2 * cell**2
    d1 = c**2 * down + c**3 * down + c**2 * down**2
    return {1: down, 2: d1, 3: 2 * d1**2 * d0 + d1**2 * d0**2}[levels]


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_hierarchical_counts_derivations(levels: int) -> None:
    space = spacec.load(GRAMMARS / "hierarchical.space", levels=levels)
    assert space.count() == derivations(levels)
    if levels == 3:
        assert 446 < log10(space.count()) < 447
