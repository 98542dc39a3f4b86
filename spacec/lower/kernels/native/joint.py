"""Layers that stand in one op, run by one kernel where that computes what they do, else one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from spacec.lower.kernels.dispatch import hooked
from spacec.lower.kernels.native.separable import Norm, applies, separable
from spacec.lower.kernels.statistics import read_norm, track


def run_separable(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    """``layers``: a batch norm or none, then the depthwise and the pointwise convolution; a ReLU before those two.

    The running statistics are updated as the norm itself would.
    """
    *norms, inner, last = layers
    norm: Any = norms[0] if norms else None
    if not _fits(norm, inner, last, x):
        return last(inner(F.relu(x if norm is None else norm(x))))  # type: ignore[no-any-return]  # a module's call
    w: Any = inner.weight
    m: Any = last.weight
    window = _window(inner)
    if norm is None:
        return separable(x, w, m, window)[0]
    kind = Norm(norm.eps, norm.training, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    z, mean, var = separable(x, w, m, window, kind)
    if mean is not None and var is not None:
        track([read_norm(norm)], [mean], [var], x.numel() // x.shape[1])
    return z


def _fits(norm: Any, inner: nn.Module, last: nn.Module, x: Tensor) -> bool:
    if type(inner) is not nn.Conv2d or type(last) is not nn.Conv2d or isinstance(inner.padding, str) or x.dim() != 4:
        return False
    if hooked(inner) or hooked(last):
        return False
    if norm is not None and (
        type(norm) is not nn.BatchNorm2d
        or hooked(norm)
        or norm.running_mean is None
        or norm.momentum is None
        or x.numel() <= x.shape[1]
    ):
        return False
    return applies(x, inner.weight, last.weight, _window(inner), norm is not None)


def _window(inner: Any) -> Any:
    return (*inner.stride, *inner.padding, *inner.dilation)
