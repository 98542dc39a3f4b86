"""Affine maps by channel of images in channels_last, their sums and gradients, by generated C.

A batch norm, and a weighted sum of batch norms, is out = sum_t a_t z_t + c with numbers by channel; its gradients need
the sums of g and of g (z_t - m_t) and are affine again. Each of the three is one pass over the images here. Nothing in
this module has derivatives: it is what differentiable kernels are made of.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spacec.lower.kernels.native import compiler, depthwise

LAST = torch.channels_last
_PLAIN = (Tensor, nn.Parameter)


def lies(x: Tensor, channels: int) -> bool:
    """Whether the kernels read ``x``: positions at equal distances, their channels side by side, on a CPU."""
    if type(x) not in _PLAIN or x.device.type != "cpu" or x.dtype not in depthwise.REALS or x.dim() != 4:
        return False
    n, _, height, width = x.shape
    image, across, row, step = x.stride()
    regular = across == 1 and row == width * step and (image == height * row or n == 1)
    return regular and channels > 1 and width > 1 and x.numel() > 0


def ready(zs: Sequence[Tensor], channels: int) -> bool:
    """Whether kernels are there for such tensors. False while ``torch.compile`` traces, which cannot see into them."""
    if torch.compiler.is_compiling() or not zs:
        return False
    dtype = zs[0].dtype
    return (
        all(z.dtype == dtype and lies(z, channels) for z in zs) and _built(dtype, _lanes(zs[0], channels)) is not None
    )


def affine_sum(zs: Sequence[Tensor], slopes: Tensor, constant: Tensor) -> Tensor:
    """The sum of ``slopes[t] * z_t``, and ``constant [C]``; ``slopes [T, C]``."""
    first = zs[0]
    out = _empty(first, slopes.shape[1])
    _call("affine_sum", first, zs, slopes.shape[1], _addresses(zs), *_numbers(first, slopes, constant), out)
    return out


def products(zs: Sequence[Tensor], mean: Tensor, gradient: Tensor) -> Tensor:
    """``[T + 1, C]``: by channel the sums of ``gradient * (z_t - mean[t])``, and in the last row of ``gradient``."""
    channels = gradient.shape[1]
    sums = gradient.new_empty(len(zs) + 1, channels)
    _call("affine_products", gradient, zs, channels, _addresses(zs), *_numbers(gradient, mean), gradient, sums)
    return sums


def gradients(
    zs: Sequence[Tensor | None], gradient: Tensor, a: Tensor, b: Tensor, c: Tensor, need: Sequence[bool]
) -> list[Tensor | None]:
    """``a[t] * gradient + b[t] * z_t + c[t]`` where needed; ``a[t] * gradient`` where no ``z_t`` is given."""
    channels = gradient.shape[1]
    found = [_empty(gradient, channels) if needed else None for needed in need]
    numbers = _numbers(gradient, a, b, c)
    _call("affine_gradients", gradient, zs, channels, _addresses(zs), gradient, *numbers, _addresses(found))
    return found


def _numbers(like: Tensor, *matrices: Tensor) -> list[Tensor]:
    return [matrix.to(like.dtype).contiguous() for matrix in matrices]


def _empty(like: Tensor, channels: int) -> Tensor:
    n, _, height, width = like.shape
    return torch.empty((n, channels, height, width), dtype=like.dtype, memory_format=LAST)


def _call(name: str, like: Tensor, zs: Sequence[Tensor | None], channels: int, *given: Any) -> None:
    n, _, height, width = like.shape
    steps = (0 if z is None else z.stride(3) for z in zs)
    built = _built(like.dtype, _lanes(like, channels))
    compiler.call(getattr(built, name), (n * height * width, channels, len(zs), *steps), *given)


def _lanes(x: Tensor, channels: int) -> int:
    return depthwise.lanes_within(x.element_size(), channels)


def _addresses(tensors: Sequence[Tensor | None]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(None if t is None else t.data_ptr() for t in tensors))


@functools.cache
def _built(dtype: torch.dtype, lanes: int) -> Any:
    known = depthwise.constants(dtype, lanes, (1, 1), (1, 1), (1, 1), relu=False)
    text = compiler.source(("prelude.h", "affine.c"), known)
    declared = {"affine_sum": 4, "affine_products": 4, "affine_gradients": 6}
    return compiler.declared(compiler.load(f"affine sums, {known['REAL']} x {lanes}", text), declared)
