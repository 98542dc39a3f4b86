"""Batch normalisation of images whose channels lie next to each other in memory, as exact as in the default layout.

PyTorch adds up such a channel number by number (on a CPU); in single precision the statistics of 16,000 numbers are
then some 30 times less exact than in the default layout, and so is what is normalised by them. Here the mean is taken
first and then the mean of the squares about it (Chan, Golub & LeVeque, 1983, the two-pass algorithm), each by a sum in
blocks, in about the time of PyTorch's. The gradient's two sums are taken likewise: with y = (x - m) r,

    dx = w r (dy - sum(dy) / n - y sum(dy y) / n),   dw = sum(dy y),   db = sum(dy)

(Ioffe & Szegedy, ICML 2015, section 3). What is to be differentiated again is PyTorch's own gradient. Where there is a
C compiler, generated code does the same in half as many passes over the image.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels.native import affine, compiler
from spacec.lower.kernels.native.separable import moments
from spacec.lower.kernels.table import Implementation, Norm, OpSite

NAME = "steady"
NATIVE = "native"


def applies(site: OpSite) -> bool:
    """In training, on a CPU; the batch must have more than one number in a channel."""
    numbers = site.batch
    for size in site.space:
        numbers *= size
    lies = site.layout == "channels_last" and site.detail == "train" and site.device == "cpu"
    return lies and numbers > 1 and site.dtype in ("float32", "float64")


def generated(site: OpSite) -> bool:
    """Where generated code does it."""
    return applies(site) and site.channels[0] > 1 and site.space[-1] > 1 and compiler.compiler() is not None


def needed(site: OpSite) -> bool:
    """It is not chosen for its speed but for what it keeps of the numbers in single precision."""
    return site.dtype == "float32"


def steady_norm(
    norm: Norm, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, native: bool = False
) -> Tensor:
    """``F.batch_norm`` in training, by generated code where ``native``: see :mod:`spacec.lower.kernels.table`."""
    native = native and affine.ready([x], x.shape[1])
    count = x.numel() // x.shape[1]
    with torch.no_grad():
        centre, spread = moments(x.detach()) if native else _moments(x.detach())
        mean.lerp_(centre.to(mean.dtype), norm.momentum)
        var.lerp_((spread * (count / (count - 1))).to(var.dtype), norm.momentum)
    y: Tensor = _Normalise.apply(x, weight, bias, centre, spread, norm.eps, native)  # type: ignore[no-untyped-call]  # torch
    return y


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    rows = x.movedim(1, -1).flatten(0, -2)
    centre = rows.mean(0)
    centred = rows - centre
    return centre, centred.mul_(centred).mean(0)


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float, native: bool
    ) -> Tensor:
        if native:
            slope = _slope(weight, var, eps)
            shift = mean * -slope if bias is None else torch.addcmul(bias, mean, slope, value=-1)
            return affine.affine_sum([x], slope.unsqueeze(0), shift)
        return torch.native_batch_norm(x, weight, bias, mean, var, False, 0.0, eps)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, mean, var, ctx.eps, ctx.native = inputs
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
            made = _native_gradients if ctx.native and affine.ready([x, gradient], x.shape[1]) else _gradients
            found = made(gradient, x, weight, mean, var, ctx.eps)
        return *(value if need else None for value, need in zip(found, wanted, strict=True)), None, None, None, None


def _slope(weight: Tensor | None, var: Tensor, eps: float) -> Tensor:
    rstd = (var + eps).rsqrt()
    return rstd if weight is None else weight * rstd


def _native_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor | None, Tensor, Tensor]:
    rstd = (var + eps).rsqrt()
    slope = rstd if weight is None else weight * rstd
    product, db = affine.products([x], mean.unsqueeze(0), gradient)
    dw = product * rstd
    share = slope * (-x.shape[1] / x.numel())
    slant = share * rstd * dw
    constant = torch.addcmul(share * db, slant, mean, value=-1)
    rows = (slope.unsqueeze(0), slant.unsqueeze(0), constant.unsqueeze(0))
    (dx,) = affine.gradients([x], gradient, *rows, [True])
    return dx, dw, db


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
GENERATED = (Implementation(NATIVE, "bn", partial(steady_norm, native=True), generated, pays=needed, needed=needed),)
"""The same by generated code."""
