"""Ops that end badly, for ``--ops``: each is one way in which a network can fail."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ABSURD = 1 << 42
"""Bytes that no machine has."""


class Unruly(nn.Module):
    """Raises from deep inside."""

    def forward(self, x: Tensor) -> Tensor:
        return self._inner(x)

    def _inner(self, x: Tensor) -> Tensor:
        raise ValueError(f"no way through for {tuple(x.shape)}")


class Poison(nn.Module):
    """Gives no number."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan")


class Tensors(nn.Module):
    """Asks torch for more memory than there is."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros(ABSURD // 4).sum()


class Objects(nn.Module):
    """Asks Python for more memory than there is."""

    def forward(self, x: Tensor) -> Tensor:
        return x + len(bytearray(ABSURD))


class Hoard(nn.Module):
    """Takes memory bit by bit, until a limit of the process is reached."""

    def forward(self, x: Tensor) -> Tensor:
        kept = [torch.zeros(1 << 23)]
        while True:
            kept.append(kept[0] + len(kept))
