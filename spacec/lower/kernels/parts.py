"""Convolution whose three parts are computed by kernels chosen apart.

With y = w * x, the parts are y, dL/dx (the gradient correlated with w) and dL/dw (x correlated with the gradient). A
bias is added by the forward part; its gradient is a sum. Each part is linear in both of its arguments, and the other
two parts are its gradients::

    y  = conv(x, w):      dx = input(g, w)    dw = weight(g, x)
    dx = input(g, w):     dg = conv(v, w)     dw = weight(g, v)
    dw = weight(g, x):    dg = conv(x, v)     dx = input(g, v)

so derivatives of every order are made of the same three, by the kernels that were chosen for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels.library import library_forward, library_gradients
from spacec.lower.kernels.table import Window, format_of

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
    if torch.is_autocast_enabled(device) and x.dtype is not torch.float64:
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if not torch.is_grad_enabled():
        return _forward(window, trio, x, weight, bias)
    y: Tensor = _ByParts.apply(x, weight, bias, window, trio)  # type: ignore[no-untyped-call]  # torch leaves it so
    return y


def _forward(window: Window, trio: Trio, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return (trio.forward or library_forward)(window, x, weight, bias)


class _ByParts(torch.autograd.Function):
    """``(x, weight, bias)`` to y."""

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
        wanted = ctx.needs_input_grad
        gradient = gradient.contiguous(memory_format=format_of(x))
        into, weigh = _gradients(ctx.window, ctx.trio, gradient, x, weight, wanted[:2])
        bias = gradient.sum((0, *range(2, gradient.dim()))) if wanted[2] else None
        return into, weigh, bias, None, None


def _gradients(
    window: Window, trio: Trio, gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The wanted parts; the library makes both at once. With ``create_graph``, each is a node of its own."""
    if torch.is_grad_enabled():
        into = _Input.apply(gradient, weight, x, window, trio) if wanted[0] else None  # type: ignore[no-untyped-call]  # torch
        weigh = _Weight.apply(gradient, x, weight, window, trio) if wanted[1] else None  # type: ignore[no-untyped-call]  # torch
        return into, weigh
    shared = wanted[0] and trio.input is None, wanted[1] and trio.weight is None
    into, weigh = library_gradients(window, gradient, x, weight, shared) if any(shared) else (None, None)
    if wanted[0] and trio.input is not None:
        into = trio.input(window, gradient, weight, tuple(x.shape)).contiguous(memory_format=format_of(x))
    if wanted[1] and trio.weight is not None:
        weigh = trio.weight(window, gradient, x, tuple(weight.shape))
    return into, weigh


class _Input(torch.autograd.Function):
    """``(gradient, weight)`` to the gradient of ``x``, of which shape and layout matter."""

    @staticmethod
    def forward(gradient: Tensor, weight: Tensor, x: Tensor, window: Window, trio: Trio) -> Tensor:
        into, _ = _gradients(window, trio, gradient, x, weight, (True, False))
        assert into is not None, "it is wanted"
        return into

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        gradient, weight, _, ctx.window, ctx.trio = inputs
        ctx.save_for_backward(gradient, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        (v,) = gradients
        gradient, weight = ctx.saved_tensors
        v = v.contiguous(memory_format=format_of(gradient))
        _, weigh = _gradients(ctx.window, ctx.trio, gradient, v, weight, (False, ctx.needs_input_grad[1]))
        return _again(ctx, v, weight), weigh, None, None, None


class _Weight(torch.autograd.Function):
    """``(gradient, x)`` to the gradient of ``weight``, of which the shape matters."""

    @staticmethod
    def forward(gradient: Tensor, x: Tensor, weight: Tensor, window: Window, trio: Trio) -> Tensor:
        _, weigh = _gradients(window, trio, gradient, x, weight, (False, True))
        assert weigh is not None, "it is wanted"
        return weigh

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        gradient, x, _, ctx.window, ctx.trio = inputs
        ctx.save_for_backward(gradient, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        (v,) = gradients
        gradient, x = ctx.saved_tensors
        into, _ = _gradients(ctx.window, ctx.trio, gradient, x, v, (ctx.needs_input_grad[1], False))
        return _again(ctx, x, v), into, None, None, None


def _again(ctx: Any, x: Tensor, weight: Tensor) -> Tensor | None:
    """The gradient of a part's ``gradient``: the convolution itself."""
    if not ctx.needs_input_grad[0]:
        return None
    y: Tensor = _ByParts.apply(x, weight, None, ctx.window, ctx.trio)  # type: ignore[no-untyped-call]  # torch's
    return y
