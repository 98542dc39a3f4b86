"""The tables of FEASIBLE.md: all 125 networks of three layers by five sizes, trained in full on real data.

All networks of a seed are trained side by side, as one batch of networks: each layer is as wide as its widest, and the
units that a network does not have are zero, in the middle as at the end. A unit that is zero gives its weights no
gradient and Adam moves them nowhere, so each network is trained exactly as it would be alone, from the weights that
``space.network`` gives it, on the same batches. tests/benchmarks/test_feasible.py trains some alone to compare.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import spacec
from benchmarks.strategy_run import Record, load_space, make_task, ran
from spacec.search.seeds import generator, stable_seed

Layers = list[tuple[Tensor, Tensor]]
"""Weights ``[networks, out, in]`` and biases ``[networks, out]``, layer by layer."""


def make_table(settings: Mapping[str, Any]) -> Record:
    """Train every network of the space for every seed; accuracies by network and seed."""
    torch.set_num_threads(1)
    space, data = load_space(settings["space"]), load_data(settings["task"], settings["pool"])
    archs = list(space.enumerate())
    began = time.process_time()
    runs = [train_all(space, archs, data, settings["training"], seed) for seed in range(settings["seeds"])]
    seconds = time.process_time() - began
    rows = {
        sizes_of(arch): {"params": space.params(arch), **{n: [run[n][i] for run in runs] for n in ("valid", "test")}}
        for i, arch in enumerate(archs)
    }
    samples = {name: len(y) for name, (_, y) in data.items()}
    return {"settings": dict(settings), "ran": ran(), "seconds": round(seconds, 1), "samples": samples, "rows": rows}


def sizes_of(arch: spacec.Architecture) -> str:
    """As TabNAS writes a network: ``32-4-16``."""
    return "-".join(arch.text().split("=")[1].split(","))


Data = Mapping[str, tuple[Tensor, Tensor]]
"""By split: rows of features ``[N, features]`` and classes ``[N]``."""


def load_data(task: Mapping[str, Any], pool: int) -> Data:
    """Images as rows; ``pool``: the side of the squares of pixels that are averaged."""
    splits = make_task(task).splits(0)
    return {
        name: (F.avg_pool2d(split.pool.x, pool).flatten(1), split.pool.y)
        for name, split in (("train", splits.train), ("valid", splits.valid), ("test", splits.test))
    }


def train_all(
    space: spacec.Space, archs: Sequence[spacec.Architecture], data: Data, training: Mapping[str, Any], seed: int
) -> dict[str, list[float]]:
    """Accuracies on valid and test, by network."""
    layers = trained(space, archs, data["train"], training, seed)
    with torch.no_grad():
        return {name: accuracies(layers, *data[name]) for name in ("valid", "test")}


def trained(
    space: spacec.Space,
    archs: Sequence[spacec.Architecture],
    data: tuple[Tensor, Tensor],
    training: Mapping[str, Any],
    seed: int,
) -> Layers:
    """The weights of all networks after Adam with a rate that falls linearly to 0."""
    layers = stacked([space.network(arch, seed=stable_seed(seed, "weights", arch.text())) for arch in archs])
    leaves = [tensor.requires_grad_() for pair in layers for tensor in pair]
    x, y = data
    x, epochs, size = x.to(leaves[0].dtype), training["epochs"], training["batch_size"]
    steps = epochs * (len(x) // size)
    optimizer = torch.optim.Adam(leaves, lr=training["lr"])
    for step, chosen in enumerate(batches(len(x), size, epochs, seed)):
        optimizer.param_groups[0]["lr"] = training["lr"] * (1 - step / steps)
        optimizer.zero_grad()
        losses(layers, x[chosen], y[chosen]).sum().backward()
        optimizer.step()
    return layers


def batches(samples: int, size: int, epochs: int, seed: int) -> Iterator[Tensor]:
    """Indices of whole batches, each epoch in an order of its own."""
    order = generator(seed, "order")
    for _ in range(epochs):
        yield from torch.randperm(samples, generator=order)[: samples // size * size].split(size)


def stacked(networks: Sequence[torch.nn.Module]) -> Layers:
    """The linear layers of networks of one depth, each filled up with zeros to the widest."""
    linears = [[m for m in net.modules() if isinstance(m, torch.nn.Linear)] for net in networks]
    found: Layers = []
    for place in zip(*linears, strict=True):
        rows, columns = (max(m.weight.shape[axis] for m in place) for axis in (0, 1))
        weights = [F.pad(m.weight.detach(), (0, columns - m.in_features, 0, rows - m.out_features)) for m in place]
        biases = [F.pad(m.bias.detach(), (0, rows - m.out_features)) for m in place]
        found.append((torch.stack(weights), torch.stack(biases)))
    return found


def outputs(layers: Layers, x: Tensor) -> Tensor:
    """Logits ``[networks, N, classes]`` of rows ``[N, features]``."""
    h = x.expand(len(layers[0][0]), *x.shape)
    for place, (weight, bias) in enumerate(layers):
        h = torch.baddbmm(bias[:, None], h if place == 0 else h.relu(), weight.transpose(1, 2))
    return h


def losses(layers: Layers, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross entropy of each network: their sum has, in each network's weights, its own gradient."""
    logits = outputs(layers, x)
    return F.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)), reduction="none").view(len(logits), -1).mean(1)


def accuracies(layers: Layers, x: Tensor, y: Tensor) -> list[float]:
    """The share of rows whose class each network finds."""
    hits = sum(
        (outputs(layers, part.to(layers[0][0].dtype)).argmax(2) == labels).sum(1)
        for part, labels in zip(x.split(2000), y.split(2000), strict=True)
    )
    return [round(n / len(y), 6) for n in torch.as_tensor(hits).tolist()]
