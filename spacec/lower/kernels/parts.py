"""Convolution whose three parts are computed by kernels chosen apart.

With y = w * x, the parts are y, dL/dx (the gradient correlated with w) and dL/dw (x correlated with the gradient). A
bias is added by the forward part; its gradient is a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels.table import Window, layout_of

PartKernel = Callable[..., Tensor]


@dataclass(frozen=True)
class Trio:
    """What computes each part; ``None`` is the library."""

    forward: PartKernel | None = None
    input: PartKernel | None = None
    weight: PartKernel | None = None


def convolve(window: Window, trio: Trio, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of ``x``; under autocast in autocast's dtype, as the library's."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if not torch.is_grad_enabled():
        return _forward(window, trio, x, weight, bias)
    y: Tensor = _ByParts.apply(x, weight, bias, window, trio)  # type: ignore[no-untyped-call]  # torch leaves it so
    return y


def library_forward(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The library's forward part."""
    return torch.convolution(
        x, weight, bias, window.stride, window.padding, window.dilation, False, (0,) * len(window.kernel), window.groups
    )


def library_gradients(
    window: Window, gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The library's gradients of input and weight, those that are ``wanted``; differentiable."""
    into, weigh, _ = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        window.stride,
        window.padding,
        window.dilation,
        False,
        (0,) * len(window.kernel),
        window.groups,
        (*wanted, False),
    )
    return into, weigh


def _forward(window: Window, trio: Trio, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return (trio.forward or library_forward)(window, x, weight, bias)


class _ByParts(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, window: Window, trio: Trio) -> Tensor:
        return _forward(window, trio, x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.window, ctx.trio = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        window: Window = ctx.window
        wanted = ctx.needs_input_grad
        bias = gradient.sum((0, *range(2, gradient.dim()))) if wanted[2] else None
        if torch.is_grad_enabled():  # create_graph: only the library's parts can be differentiated again
            return *library_gradients(window, gradient, x, weight, wanted[:2]), bias, None, None
        trio: Trio = ctx.trio
        if layout_of(x) == "channels_last":
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        else:
            gradient = gradient.contiguous()
        shared = wanted[0] and trio.input is None, wanted[1] and trio.weight is None
        into, weigh = library_gradients(window, gradient, x, weight, shared) if any(shared) else (None, None)
        if wanted[0] and trio.input is not None:
            into = trio.input(window, gradient, weight, tuple(x.shape))
        if wanted[1] and trio.weight is not None:
            weigh = trio.weight(window, gradient, x, tuple(weight.shape))
        return into, weigh, bias, None, None
