"""A decision diagram as arrays, a layer for each step, for work on all its nodes or on many paths at once.

Assumes a diagram; guarantees layers in the order in which every path meets their steps. This module
imports numpy, so it is imported by the functions that need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from spacec.space.diagram import END, Diagram
from spacec.space.schedule import Step


@dataclass(frozen=True, eq=False)
class Layer:
    """The nodes of one step; ``children``: [nodes, outcomes], places of nodes, or :attr:`Layers.dead`."""

    step: Step
    nodes: NDArray[np.intp]
    children: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of a diagram of ``size`` nodes; place ``dead`` (the one after them) stands for no way on."""

    layers: tuple[Layer, ...]
    size: int
    layer_of: NDArray[np.intp]
    """Per place, its layer; behind the last one for the end."""
    row_of: NDArray[np.intp]
    """Per place, its row there."""

    @property
    def dead(self) -> int:
        return self.size


def layers(diagram: Diagram) -> Layers:
    """The layers of a diagram."""
    nodes_of: dict[int, list[int]] = {}
    """By identity of the step."""
    later: dict[int, set[int]] = {}
    for node, step in enumerate(diagram.steps):
        if step is not None:
            nodes_of.setdefault(id(step), []).append(node)
            follow = (diagram.steps[child] for child in diagram.children[node] if child > END)
            later.setdefault(id(step), set()).update(map(id, follow))
    order = list(TopologicalSorter(later).static_order())[::-1]
    size = len(diagram.steps)
    found: list[Layer] = []
    layer_of = np.full(size + 1, len(order), dtype=np.intp)
    row_of = np.zeros(size + 1, dtype=np.intp)
    for place, key in enumerate(order):
        nodes = nodes_of[key]
        step = diagram.steps[nodes[0]]
        assert step is not None
        rows = np.array([diagram.children[n] for n in nodes], dtype=np.intp)[:, list(step.classes)]
        found.append(Layer(step, np.array(nodes, dtype=np.intp), np.where(rows < END, size, rows)))
        layer_of[nodes] = place
        row_of[nodes] = np.arange(len(nodes))
    return Layers(tuple(found), size, layer_of, row_of)
