"""A space of nine networks that train in milliseconds, its task, and a few of its parts by name."""

from __future__ import annotations

from itertools import product
from typing import Any

import spacec
from spacec.space.architecture import Architecture, architecture_of
from spacec.testing.synthetic import Synthetic

TEXT = """
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
"""
SPACE = spacec.loads(TEXT)
TASK = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
A, B = SLOTS = ("net.block[0]", "net.block[1]")
COSTS = (0, 25, 35)
"""Weights of the candidates skip, lin and norm."""


def make(a: int, b: int) -> Architecture:
    """The architecture of two candidate indices."""
    return architecture_of(SPACE.table, {A: a, B: b})


EVERY = [make(a, b) for a, b in product(range(3), repeat=2)]


class Broken:
    """The space, where networks whose first block is ``fails`` cannot be built."""

    def __init__(self, fails: tuple[int, ...]) -> None:
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        return getattr(SPACE, name)

    def network(self, arch: Architecture, seed: int | None = None) -> Any:
        if arch[A] in self._fails:
            raise RuntimeError("out of memory")
        return SPACE.network(arch, seed)
