"""PyTorch's own implementations of the ops that have kernels, called as :mod:`spacec.lower.kernels.table` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.lower.kernels.table import Norm, Window


def library_conv(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution; differentiable, and under autocast in autocast's dtype."""
    run: Callable[..., Tensor] = (F.conv1d, F.conv2d)[len(window.kernel) - 1]
    return run(x, weight, bias, window.stride, window.padding, window.dilation, window.groups)


def library_forward(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The forward part of a convolution."""
    return torch.convolution(
        x, weight, bias, window.stride, window.padding, window.dilation, False, (0,) * len(window.kernel), window.groups
    )


def library_gradients(
    window: Window, gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of input and weight, those that are ``wanted``; differentiable."""
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


def _max_pool(window: Window, x: Tensor) -> Tensor:
    run: Callable[..., Tensor] = (F.max_pool1d, F.max_pool2d)[len(window.kernel) - 1]
    return run(x, window.kernel, window.stride, window.padding)


def _avg_pool(window: Window, x: Tensor) -> Tensor:
    run: Callable[..., Tensor] = (F.avg_pool1d, F.avg_pool2d)[len(window.kernel) - 1]
    return run(x, window.kernel, window.stride, window.padding, count_include_pad=False)


def _norm(norm: Norm, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    return F.batch_norm(x, mean, var, weight, bias, norm.training, norm.momentum, norm.eps)


OPS: Mapping[str, Callable[..., Tensor]] = {
    "conv": library_conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "bn": _norm,
}
"""The whole ops."""
