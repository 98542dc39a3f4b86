"""Augmentations that the trainer applies to whole batches, whatever the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.task import Batch


def cutout(batch: Batch, length: int, rng: torch.Generator) -> Batch:
    """Zero one window of side ``length`` in each input ``[B, C, *space]`` (DeVries & Taylor, 2017).

    Its centre is uniform over the positions, so a window may leave the border; vectors are left alone.
    """
    if length <= 0:
        return batch
    return replace(batch, inputs={name: _cut(x, length, rng) for name, x in batch.inputs.items()})


def _cut(x: Tensor, length: int, rng: torch.Generator) -> Tensor:
    inside = torch.ones(x.shape[0], 1, *(1 for _ in x.shape[2:]), dtype=torch.bool)
    for axis, n in enumerate(x.shape[2:]):
        centre = torch.randint(n, (x.shape[0], 1), generator=rng)
        at = torch.arange(n)
        row = (at >= centre - length // 2) & (at < centre - length // 2 + length)
        inside = inside & row.reshape(x.shape[0], 1, *(n if a == axis else 1 for a in range(x.ndim - 2)))
    return x.masked_fill(inside.to(x.device), 0.0) if x.ndim > 2 else x


def set_drop_path(model: nn.Module, rate: float) -> None:
    """Set the rate of every drop-path stage of ``model``, if it is one of the compiler's models."""
    setter = getattr(model, "set_drop_path", None)
    if setter is not None:
        setter(rate)


class Average:
    """Exponential moving average of floating-point weights and buffers: ``s ← d·s + (1-d)·w`` after each step."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {name: t.detach().clone() for name, t in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.shadow[name].lerp_(value, 1 - self.decay)
            else:
                self.shadow[name].copy_(value)

    @contextmanager
    def in_force(self, model: nn.Module) -> Iterator[None]:
        """The averaged weights in ``model`` for the body of a ``with``."""
        own = {name: t.detach().clone() for name, t in model.state_dict().items()}
        model.load_state_dict(self.shadow)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self.shadow)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            self.shadow[name].copy_(value)
