"""Every f-th position of a tensor, and its adjoint, which puts zeros between positions; each is the other's gradient.

Tensors are ``[N, C, *space]``; results have the layout of what they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels.table import format_of


def subsample(x: Tensor, factors: Sequence[int]) -> Tensor:
    """Positions 0, f, 2f, ... along each spatial axis, differentiable any number of times."""
    y: Tensor = _Subsample.apply(x, tuple(factors))  # type: ignore[no-untyped-call]  # torch leaves it so
    return y


def subsampled(x: Tensor, factors: Sequence[int]) -> Tensor:
    """:func:`subsample`, without a graph."""
    return _every(x, factors).contiguous(memory_format=format_of(x))


def spread(x: Tensor, factors: Sequence[int], size: Sequence[int]) -> Tensor:
    """Zeros of ``size`` but for positions 0, f, 2f, ..., which are those of ``x``; without a graph."""
    out = empty_like(x, (*x.shape[:2], *size)).zero_()
    _every(out, factors).copy_(x)
    return out


def empty_like(x: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor of that shape in the layout of ``x``."""
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=format_of(x))


def _every(x: Tensor, factors: Sequence[int]) -> Tensor:
    steps: tuple[Any, ...] = tuple(slice(None, None, f) for f in factors)
    return x[(..., *steps)]


class _Subsample(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, factors: tuple[int, ...]) -> Tensor:
        return subsampled(x, factors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.factors = inputs
        ctx.size, ctx.format = tuple(x.shape[2:]), format_of(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous(memory_format=ctx.format)
        return _Spread.apply(gradient, ctx.factors, ctx.size), None  # type: ignore[no-untyped-call]  # torch's


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, factors: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
        return spread(x, factors, size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.factors = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        return _Subsample.apply(gradient, ctx.factors), None, None  # type: ignore[no-untyped-call]  # torch's
