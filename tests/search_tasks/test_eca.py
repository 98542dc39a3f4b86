"""Cellular automata: the generator against a cell-by-cell simulation, and what a sample holds."""

from __future__ import annotations

import pytest
import torch

from spacec.search.tasks.eca import PAD, SEP, Eca, orbit


def simulated(rule: int, start: list[int], states: int) -> list[list[int]]:
    """Rule numbers of radius 1 as Wolfram defines them, one cell at a time."""
    rows, n = [start], len(start)
    while len(rows) < states:
        old = rows[-1]
        rows.append([rule >> (4 * old[i - 1] + 2 * old[i] + old[(i + 1) % n]) & 1 for i in range(n)])
    return rows


@pytest.mark.parametrize("rule", [30, 90, 110, 184])
def test_orbit_is_the_automaton(rule: int) -> None:
    start = [0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 0]
    table = torch.tensor([[rule >> k & 1 for k in range(8)]])
    found = orbit(table, torch.tensor([start]), 9, 1)
    assert found[0].tolist() == simulated(rule, start, 9)


def test_a_sample_holds_the_orbit_then_blanks() -> None:
    task = Eca({"cells": "6", "states": "3", "ahead": "2", "samples": "8", "held_out": "4"})
    batch = task.splits(0).test.fetch([0, 3], torch.Generator(), train=False)
    x, y = batch.inputs["symbols"], batch.target
    assert x.shape == (2, task.length) == (2, 28)
    assert y.shape == (2, 7)
    assert (x[:, 6:21:7] == SEP).all()
    assert (y[:, -1] == SEP).all()
    assert (x[:, 21:] == PAD).all()
    assert set(x[:, :6].unique().tolist()) <= {0, 1}


def test_splits_are_of_the_seed_and_differ() -> None:
    task = Eca({"cells": "5", "states": "2", "samples": "16", "held_out": "8"})
    one, again, other = task.splits(1), task.splits(1), task.splits(2)
    assert torch.equal(one.test.x, again.test.x)
    assert not torch.equal(one.test.x, other.test.x)
    assert not torch.equal(one.test.x, one.valid.x)
