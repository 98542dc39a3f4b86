"""How long ops take on a device: what a latency table is made of.

Assumes a graph written out, and sizes for all symbols of an op. An op runs alone, in evaluation and without gradients,
on random numbers; on a GPU each repeat is waited for.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.ir.flat import FlatGraph, FlatOp
from spacec.lower import sizes
from spacec.lower.layers import Call, Shape, lower
from spacec.lower.modules_graph import Graph

VERSION = str(torch.__version__)

LEAST = 1e-3
"""Seconds of one repeat: an op that takes less runs several times in it."""
MOST_RUNS = 1_000

NODES = 1_000
"""Of the graph on which ops of graphs are measured; each has an edge to the next one and one back."""


@dataclass(frozen=True)
class Timing:
    """``batch`` samples at a time; the median of ``repeats`` after ``warmup`` runs, which are not counted."""

    device: torch.device
    batch: int = 1
    repeats: int = 20
    warmup: int = 3


def milliseconds(flat: FlatGraph, node: int, values: Mapping[str, sizes.Size], timing: Timing) -> float:
    """Milliseconds that an op takes at given sizes (``values``, by the symbols' keys).

    Raises :class:`SpacecError` (E0901) where it cannot be lowered.
    """
    op = flat.nodes[node]
    assert isinstance(op, FlatOp), "only ops are measured"
    site = sizes.site(flat, node, values)
    lowered = lower(op, site)
    if isinstance(lowered, Call) and lowered.style == "identity":
        return 0.0
    inputs: list[object] = [example(shape, timing.batch, timing.device) for shape in site.inputs]
    if lowered.graph:
        inputs.append(_graph(site.inputs[0].channels, timing.device))
    built = lowered.bind() if isinstance(lowered, Call) else lowered.build().to(timing.device).eval()
    run: Callable[..., object] = built
    with torch.no_grad():
        return _median(lambda: run(*inputs), timing) * 1e3


def use_threads(count: int) -> None:
    """Threads of the CPU that ops may use from now on."""
    torch.set_num_threads(count)


def example(shape: Shape, batch: int, device: torch.device) -> Tensor:
    """Random numbers of a shape, or tokens."""
    space = tuple(n or 1 for n in shape.space)
    if shape.kind == "tokens":
        return torch.randint(shape.channels, (batch, *space), device=device)
    if shape.kind == "graph":
        return torch.randn(NODES, shape.channels, device=device)
    return torch.randn(batch, shape.channels, *space, device=device)


def device_name(device: torch.device) -> str:
    """What a table says of where it was measured."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type} {platform.machine()}, {threads} thread{'s' * (threads > 1)}"


def _graph(channels: int, device: torch.device) -> Graph:
    nodes = torch.arange(NODES, device=device)
    after = (nodes + 1) % NODES
    edges = torch.cat([torch.stack([nodes, after]), torch.stack([after, nodes])], 1)
    return Graph(torch.randn(NODES, channels, device=device), edges)


def _median(run: Callable[[], object], timing: Timing) -> float:
    """Seconds of one run."""
    for _ in range(timing.warmup):
        run()
    once = _timed(run, 1, timing.device)
    runs = min(MOST_RUNS, max(1, round(LEAST / max(once, 1e-9))))
    return statistics.median(_timed(run, runs, timing.device) for _ in range(timing.repeats))


def _timed(run: Callable[[], object], runs: int, device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    for _ in range(runs):
        run()
    _wait(device)
    return (time.perf_counter() - start) / runs


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
