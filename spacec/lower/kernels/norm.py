"""Batch normalisation that keeps its result instead of its input, for results that are read several times.

With x = (z - m) r and r = 1 / sqrt(v + eps), over n numbers in a channel (Ioffe & Szegedy, ICML 2015, section 3),

    dz = r (dx - sum(dx) / n - x sum(dx x) / n),

which needs x and r only. Norms without weights that read one tensor all give this x in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels.statistics import column, over, statistics
from spacec.lower.kernels.table import format_of


@dataclass(frozen=True)
class Whitened:
    """``x [N, C, …]`` of mean zero and variance one, and the statistics ``[C]`` that it had."""

    x: Tensor
    mean: Tensor
    var: Tensor


def whitened(z: Tensor, eps: float) -> Whitened:
    """``z [N, C, …]`` normalised by its own statistics. Differentiable twice; layout and dtype stay.

    Raises :class:`ValueError` for a batch of one number in a channel.
    """
    mean, var = statistics(z)
    if torch.compiler.is_compiling():
        found = torch.var_mean(z.to(var.dtype), over(z), correction=0)
        spread, centre = (column(s, z) for s in found)
        return Whitened(((z - centre) * (spread + eps).rsqrt()).to(z.dtype), mean, var)
    x, _ = _Whiten.apply(z, mean, var, eps)  # type: ignore[no-untyped-call]  # torch leaves it so
    return Whitened(x, mean, var)


class _Whiten(torch.autograd.Function):
    """Gives x and r: both are functions of z, so that a gradient can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, mean: Tensor, var: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        rstd = (var + eps).rsqrt()
        x = torch.native_batch_norm(z, None, None, mean, var, False, 0.0, eps)[0]
        ctx.save_for_backward(x, rstd)
        ctx.set_materialize_grads(False)
        return x, rstd

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        gradient, of_rstd = gradients
        x, rstd = ctx.saved_tensors
        dims, values = over(x), x.numel() // x.shape[1]
        dz = None
        if gradient is not None:
            gradient = gradient.to(rstd.dtype).contiguous(memory_format=format_of(x))
            wide = x.to(rstd.dtype)
            slope = (gradient * wide).sum(dims).mul(rstd / -values)
            constant = gradient.sum(dims).mul(rstd / -values)
            dz = torch.addcmul(column(constant, x), gradient, column(rstd, x))
            dz = torch.addcmul(dz, wide, column(slope, x)).to(x.dtype)
        if of_rstd is not None:
            # dr/dz = -r² x / n
            bent = column(-of_rstd * rstd.square() / values, x) * x
            dz = bent.to(x.dtype) if dz is None else dz + bent
        return dz, None, None, None
