"""The kernel of a superkernel: the weighted sum of those of its parts (:mod:`spacec.passes.superkernels`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spacec.ir.flat import FlatOp
from spacec.lower.joined import Places, embedded


def superkernel(
    op: FlatOp, modules: Sequence[Any], factors: Sequence[Tensor | None], into: Places
) -> tuple[Tensor, Tensor | None]:
    """Kernel ``(out, in, *window)`` and bias ``(out,)`` of ``op``.

    ``modules`` are the layers of its parts; ``factors`` weigh its kernels, where ``None`` is one.
    """
    layers = iter(modules)
    like: Tensor = modules[0].weight
    kernels: list[Tensor] = []
    places: list[Places] = []
    biases: list[tuple[int, Tensor]] = []
    for k, (what, size, dilation) in enumerate(_told(op)):
        places.append(Places(size, dilation))
        if what == "weights":
            layer = next(layers)
            kernels.append(layer.weight)
            if layer.bias is not None:
                biases.append((k, layer.bias))
        else:
            kernels.append(_own(like, size))
    numbers = [like.new_ones(()) if f is None else f.to(like) for f in factors]
    stacked = embedded(kernels, places, into)
    stacked = stacked.reshape(len(kernels), -1, *stacked.shape[1:])
    weight = (torch.stack(numbers).reshape(-1, *(1,) * like.dim()) * stacked).sum(0)
    if not biases:
        return weight, None
    scales = torch.stack([numbers[k] for k, _ in biases])
    return weight, (scales.unsqueeze(1) * torch.stack([b for _, b in biases])).sum(0)


def _told(op: FlatOp) -> list[tuple[str, int, int]]:
    told: Any = op.attrs["kernels"]
    return list(told)


def _own(like: Tensor, size: int) -> Tensor:
    """What gives every channel itself: the mean over ``size`` places an axis, which of one place is the identity."""
    out, into = like.shape[:2]
    kernel = like.new_zeros(out, into, *(size,) * (like.dim() - 2))
    channels = torch.arange(out, device=like.device)
    kernel[channels, channels % into] = 1.0 / size ** (like.dim() - 2)
    return kernel
