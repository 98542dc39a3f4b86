"""Pooling of images in the default layout by the library's kernels for channels_last, which take channels as vectors.

Windows are read in the same order, so of equal maxima the same one has the gradient, and means are of the same
positions. What is put back into the default layout costs less than the difference.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.lower.kernels.table import Implementation, OpSite, Window

FEW = 8
"""Channels below which a vector of them is mostly empty."""


def max_pool_channels_last(window: Window, x: Tensor) -> Tensor:
    """Maximum over windows of ``x [N, C, H, W]``, in the default layout."""
    return _put(F.max_pool2d(_put(x, True), window.kernel, window.stride, window.padding), False)


def avg_pool_channels_last(window: Window, x: Tensor) -> Tensor:
    """Mean over windows of ``x [N, C, H, W]``, padding left out, in the default layout."""
    y = F.avg_pool2d(_put(x, True), window.kernel, window.stride, window.padding, count_include_pad=False)
    return _put(y, False)


def _put(x: Tensor, last: bool) -> Tensor:
    """``x`` in channels_last or in the default layout, and its gradient back in the other."""
    y: Tensor = _Put.apply(x, last)  # type: ignore[no-untyped-call]  # torch leaves it so
    return y


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, last: bool) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.last = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _put(gradients[0], not ctx.last), None


def _applies(site: OpSite) -> bool:
    return site.window is not None and len(site.window.kernel) == 2 and site.layout == "contiguous"


def _pays(site: OpSite) -> bool:
    return site.device == "cpu" and site.channels[0] >= FEW


POOLS: tuple[Implementation, ...] = (
    Implementation("channels_last", "max_pool", max_pool_channels_last, _applies, _pays),
    Implementation("channels_last", "avg_pool", avg_pool_channels_last, _applies, _pays),
)
"""In the order in which they are preferred unmeasured."""
