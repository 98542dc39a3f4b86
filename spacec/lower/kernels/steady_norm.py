"""Batch normalisation of images whose channels lie next to each other in memory, as exact as in the default layout.

PyTorch adds up such a channel number by number (on a CPU); in single precision the statistics of 16,000 numbers are
then some 30 times less exact than in the default layout, and so is what is normalised by them. Here the mean is taken
first and then the mean of the squares about it (Chan, Golub & LeVeque, 1983, the two-pass algorithm), each by a sum in
blocks, in about the time of PyTorch's. The gradient's two sums are taken likewise: with y = (x - m) r,

    dx = w r (dy - sum(dy) / n - y sum(dy y) / n),   dw = sum(dy y),   db = sum(dy)

(Ioffe & Szegedy, ICML 2015, section 3). What is to be differentiated again is PyTorch's own gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels.table import Implementation, Norm, OpSite

NAME = "steady"


def applies(site: OpSite) -> bool:
    """In training, on a CPU; the batch must have more than one number in a channel."""
    numbers = site.batch
    for size in site.space:
        numbers *= size
    lies = site.layout == "channels_last" and site.detail == "train" and site.device == "cpu"
    return lies and numbers > 1 and site.dtype in ("float32", "float64")


def needed(site: OpSite) -> bool:
    """It is not chosen for its speed but for what it keeps of the numbers in single precision."""
    return site.dtype == "float32"


def steady_norm(norm: Norm, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor) -> Tensor:
    """``F.batch_norm`` in training: see :mod:`spacec.lower.kernels.table`."""
    with torch.no_grad():
        rows = x.detach().movedim(1, -1).flatten(0, -2)
        count = rows.shape[0]
        centre = rows.mean(0)
        centred = rows - centre
        spread = centred.mul_(centred).mean(0)
        mean.lerp_(centre.to(mean.dtype), norm.momentum)
        var.lerp_((spread * (count / (count - 1))).to(var.dtype), norm.momentum)
    y: Tensor = _Normalise.apply(x, weight, bias, centre, spread, norm.eps)  # type: ignore[no-untyped-call]  # torch
    return y


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float) -> Tensor:
        return torch.native_batch_norm(x, weight, bias, mean, var, False, 0.0, eps)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, mean, var, ctx.eps = inputs
        ctx.save_for_backward(x, weight, mean, var)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        wanted = [bool(need) for need in ctx.needs_input_grad[:3]]
        if torch.is_grad_enabled():
            scale = (var + ctx.eps).rsqrt()
            found = torch.ops.aten.native_batch_norm_backward(
                gradient, x, weight, None, None, mean, scale, True, ctx.eps, wanted
            )
        else:
            found = _gradients(gradient, x, weight, mean, var, ctx.eps)
        return *(value if need else None for value, need in zip(found, wanted, strict=True)), None, None, None


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.native_batch_norm(x, None, None, mean, var, False, 0.0, eps)[0]
    dy, rows = gradient.movedim(1, -1), y.movedim(1, -1)
    count = x.numel() // x.shape[1]
    product = dy * rows
    dims = tuple(range(dy.dim() - 1))
    db, dw = dy.sum(dims), product.sum(dims)
    scale = (var + eps).rsqrt() * (1.0 if weight is None else weight)
    dx = torch.addcmul(dy, rows, dw / -count, out=product).sub_(db / count).mul_(scale)
    return dx.movedim(-1, 1), dw, db


STEADY = (Implementation(NAME, "bn", steady_norm, applies, pays=needed, needed=needed),)
