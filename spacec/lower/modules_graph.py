"""Graphs and their layers. Imports torch only: exported networks carry copies of what they use.

A batch of graphs is one graph that falls into parts. Node features are ``[N, C]``; an edge ``(i, j)`` carries from
node i to node j.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Graph(NamedTuple):
    """``x``: features ``[N, C]``; ``edges``: sources and targets ``[2, E]``; ``batch``: each node's graph ``[N]``.

    ``batch`` counts graphs from 0 without gaps; ``None`` is one graph. Any tuple of these stands for it.
    """

    x: Tensor
    edges: Tensor
    batch: Tensor | None = None


def check_graph(name: str, value: Any, channels: int) -> Graph:
    """The input as a :class:`Graph`. Raises :class:`ValueError` that says what does not fit, and of which input."""
    if not isinstance(value, tuple) or len(value) not in (2, 3):
        raise ValueError(f"input '{name}' must be (features [N, C], edges [2, E]) or these and a batch [N]")
    graph = Graph(*value)
    if graph.x.dim() != 2 or graph.x.shape[1] != channels:
        raise ValueError(f"input '{name}' must have features [N, {channels}], found {list(graph.x.shape)}")
    nodes = graph.x.shape[0]
    if graph.edges.dim() != 2 or graph.edges.shape[0] != 2 or graph.edges.is_floating_point():
        raise ValueError(f"input '{name}' must have edges [2, E] of whole numbers, found {list(graph.edges.shape)}")
    if graph.edges.numel() and (int(graph.edges.min()) < 0 or int(graph.edges.max()) >= nodes):
        found = f"{int(graph.edges.min())} to {int(graph.edges.max())}"
        raise ValueError(f"input '{name}' has edges between nodes {found}, but its nodes are 0 to {nodes - 1}")
    if graph.batch is not None and graph.batch.shape != (nodes,):
        raise ValueError(f"input '{name}' must have a batch [{nodes}], found {list(graph.batch.shape)}")
    return graph


def members(graph: Graph) -> tuple[Tensor, int]:
    """Each node's graph, and the number of graphs."""
    if graph.batch is None:
        return torch.zeros(graph.x.shape[0], dtype=torch.long, device=graph.x.device), 1
    return graph.batch, int(graph.batch.max()) + 1 if graph.batch.numel() else 0


def total_by(x: Tensor, index: Tensor, count: int) -> Tensor:
    """Rows of ``x`` summed by ``index``: ``[count, …]``."""
    return x.new_zeros((count, *x.shape[1:])).index_add(0, index, x)


def mean_by(x: Tensor, index: Tensor, count: int) -> Tensor:
    """Rows of ``x`` averaged by ``index``; zero where there is none."""
    sizes = total_by(x.new_ones(x.shape[0]), index, count).clamp_min(1.0)
    return total_by(x, index, count) / sizes.reshape(-1, *(1,) * (x.dim() - 1))


def graph_pool(x: Tensor, graph: Graph) -> Tensor:
    """The mean of each graph's nodes: ``[B, C]``."""
    return mean_by(x, *members(graph))


def with_loops(graph: Graph, loops: bool) -> Tensor:
    """The edges, and where ``loops`` one from every node to itself."""
    if not loops:
        return graph.edges
    own = torch.arange(graph.x.shape[0], device=graph.edges.device)
    return torch.cat([graph.edges, torch.stack([own, own])], 1)


def propagate(x: Tensor, graph: Graph, norm: str, loops: bool) -> Tensor:
    """Each node's sum over incoming edges; ``norm`` as in :mod:`spacec.std.graphs`."""
    source, target = with_loops(graph, loops)
    if norm == "mean":
        return mean_by(x[source], target, x.shape[0])
    if norm == "sum":
        return total_by(x[source], target, x.shape[0])
    degrees = total_by(x.new_ones(target.shape[0]), target, x.shape[0])
    root = torch.where(degrees > 0, degrees.clamp_min(1.0).rsqrt(), 0.0)
    return total_by(x[source] * (root[source] * root[target])[:, None], target, x.shape[0])


class GraphAttention(nn.Module):
    """Graph attention with self-loops: scores LeakyReLU(a·Wx_source + b·Wx_target), softmax over incoming edges."""

    def __init__(self, channels: int, out: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.weight = nn.Parameter(torch.empty(out, channels))
        self.source = nn.Parameter(torch.randn(out) * (heads / out) ** 0.5)
        self.target = nn.Parameter(torch.randn(out) * (heads / out) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(out))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        y = F.linear(x, self.weight)
        parts = (y * self.source, y * self.target)
        sent, received = (p.reshape(x.shape[0], self.heads, -1).sum(2) for p in parts)
        source, target = with_loops(graph, True)
        scores = F.leaky_relu(sent[source] + received[target], 0.2)
        top = scores.new_full((x.shape[0], self.heads), -torch.inf)
        top = top.scatter_reduce(0, target[:, None].expand_as(scores), scores.detach(), "amax")
        shares = (scores - top[target]).exp()
        shares = shares / total_by(shares, target, x.shape[0])[target]
        values = y.reshape(x.shape[0], self.heads, -1)[source] * shares[:, :, None]
        return total_by(values, target, x.shape[0]).flatten(1) + self.bias

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, heads={self.heads}"


class GraphNorm(nn.Module):
    """Normalisation over each graph's nodes; ``share`` of the mean is taken off (Cai et al. 2021, equation 6)."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.share = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        index, count = members(graph)
        y = x - mean_by(x, index, count)[index] * self.share
        variance = mean_by(y.square(), index, count)[index]
        return self.weight * y * torch.rsqrt(variance + self.eps) + self.bias

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"


def pair_norm(x: Tensor, graph: Graph, eps: float) -> Tensor:
    """Centred nodes, scaled so that the mean of their squared lengths is one in each graph."""
    index, count = members(graph)
    y = x - mean_by(x, index, count)[index]
    lengths = mean_by(y.square().sum(1, keepdim=True), index, count)[index]
    return y * torch.rsqrt(lengths + eps)
