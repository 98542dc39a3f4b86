"""Measuring a network on a split, and the small acts around it (mode, statistics kept)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from spacec.search.loader import ordered
from spacec.search.task import Forward, Split, Task

LOSS = "loss"


@torch.no_grad()
def measure(
    forward: Forward,
    task: Task,
    split: Split,
    batch_size: int,
    device: torch.device,
    limit: int | None = None,
    final: bool = False,
) -> dict[str, float]:
    """Metrics of the task on a split and its mean ``loss``, samples weighted equally.

    ``forward`` runs the network (the caller sets its mode); ``limit`` reads so many batches, spread over the split;
    ``final`` asks the task for its reporting form (self-ensemble).
    """
    meter = task.meter()
    total, count = 0.0, 0
    for batch in ordered(split, batch_size, limit):
        batch = batch.to(device)
        out = task.predict(forward, batch, final)
        meter.update(out, batch)
        total += float(task.loss(out, batch)) * batch.size
        count += batch.size
    return {**meter.result(), LOSS: total / count if count else float("nan")}


@contextmanager
def mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Run the body with ``model`` in train or eval mode, then put every module back as it was."""
    before = [(m, m.training) for m in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Run the body and put the buffers of ``model`` (running statistics) back after it."""
    before = [(b, b.detach().clone()) for b in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
