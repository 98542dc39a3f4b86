"""Made-up inputs of the types that a space asks for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from spacec.ir.sizes import evaluate
from spacec.ir.types import TensorType
from spacec.lower.modules_graph import Graph

RING = 4
"""Nodes of each graph."""


def example_tensor(
    kind: TensorType, batch: int, sizes: Mapping[str, int], generator: torch.Generator
) -> Tensor | Graph:
    """Standard normal ``[batch, C, *space]`` of the default dtype; ``sizes`` gives the free sizes by name.

    Tokens are integers ``[batch, *space]``, a graph is ``batch`` rings of :data:`RING` nodes.
    """
    shape = [int(evaluate(d, lambda s: sizes[s.name])) for d in kind.dims]
    if kind.kind == "tokens":
        return torch.randint(shape[0], (batch, *shape[1:]), generator=generator)
    if kind.kind == "graph":
        return rings(torch.randn(RING * batch, *shape, generator=generator), RING)
    return torch.randn(batch, *shape, generator=generator)


def rings(x: Tensor, size: int) -> Graph:
    """A batch of graphs of ``size`` nodes each, every node with an edge to the next one and back from it."""
    nodes = torch.arange(x.shape[0])
    follower = nodes - nodes % size + (nodes + 1) % size
    edges = torch.cat([torch.stack([nodes, follower]), torch.stack([follower, nodes])], 1)
    return Graph(x, edges, nodes // size)
