"""Depthwise convolution by generated C, in the three parts of :mod:`spacec.lower.kernels.parts`.

    out[n, c, o] = sum_k w[c, k] x[n, c, o S - P + k D]

The three are operators of torch (``torch.ops.spacec``), opaque to ``torch.compile`` and free of graph breaks, without
gradients of their own. They run on float32 and float64 tensors of a CPU, in the memory format that ``last`` says, and
call the library where a kernel cannot be built.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spacec.lower.kernels import table
from spacec.lower.kernels.library import library_forward, library_gradients
from spacec.lower.kernels.native import compiler

Operator = Callable[..., Tensor]
Pair = tuple[int, int]
Window = tuple[int, int, int, int, int, int]
"""Stride, padding and dilation, rows before columns: what an operator of torch takes as ``int[]``."""

REALS = {torch.float32: ("float", 4), torch.float64: ("double", 8)}
"""Dtypes that kernels are generated for: the type in C, and its bytes."""
_BYTES = 64
"""Of the widest vector: a compiler for narrower ones splits it."""
_LONGEST = 9
"""Of a kernel's sides: longer ones would be unrolled into too much code."""


def supports(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> bool:
    """Whether kernels of this shape are generated."""
    return max(kernel) <= _LONGEST and max(stride) <= 2 and max(dilation) <= 4


def runs(x: Tensor, weight: Tensor) -> bool:
    """Whether tensors are such as kernels are generated for."""
    return (
        x.device.type == "cpu"
        and x.dtype in REALS
        and weight.dtype == x.dtype
        and x.dim() == 4
        and x.numel() > 0
        and weight.shape[0] == x.shape[1]
        and not torch.is_autocast_enabled("cpu")
    )


_library: Any = torch.library.Library("spacec", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch leaves it so
_library.define("depthwise(Tensor x, Tensor w, int[6] window, bool last) -> Tensor")
_library.define("depthwise_input(Tensor g, Tensor w, SymInt[2] size, int[6] window, bool last) -> Tensor")
_library.define("depthwise_weight(Tensor g, Tensor x, int[2] kernel, int[6] window, bool last) -> Tensor")
forward: Operator = torch.ops.spacec.depthwise.default
input_gradient: Operator = torch.ops.spacec.depthwise_input.default
weight_gradient: Operator = torch.ops.spacec.depthwise_weight.default


def _format(last: bool) -> torch.memory_format:
    return torch.channels_last if last else torch.contiguous_format


def output_size(x: Tensor, w: Tensor, window: Sequence[int]) -> tuple[Any, ...]:
    """``(N, C, H', W')``."""
    n, c, height, width = x.shape
    (sh, sw, ph, pw, dh, dw), (kh, kw) = window, w.shape[2:]
    return n, c, (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1


def _forward_fake(x: Tensor, w: Tensor, window: Sequence[int], last: bool) -> Tensor:
    return torch.empty(output_size(x, w, window), dtype=x.dtype, device=x.device, memory_format=_format(last))


def _input_fake(g: Tensor, w: Tensor, size: Sequence[int], window: Sequence[int], last: bool) -> Tensor:
    return torch.empty((*g.shape[:2], *size), dtype=g.dtype, device=g.device, memory_format=_format(last))


def _weight_fake(g: Tensor, x: Tensor, kernel: Sequence[int], window: Sequence[int], last: bool) -> Tensor:
    return torch.empty((x.shape[1], 1, *kernel), dtype=x.dtype, device=x.device)


def _forward_cpu(x: Tensor, w: Tensor, window: Window, last: bool) -> Tensor:
    shape = output_size(x, w, window)
    built = _kernels(x, (w.shape[2], w.shape[3]), shape[2:], window, last) if min(shape) > 0 else None
    if built is None:
        return library_forward(_described(x, w.shape[2:], window), x, w, None)
    x, w = x.contiguous(memory_format=_format(last)), w.contiguous()
    out = torch.empty(shape, dtype=x.dtype, memory_format=_format(last))
    return _call(built.forward, (*x.shape, *shape[2:], *window[2:4]), out, x, w, out)


def _input_cpu(g: Tensor, w: Tensor, size: Pair, window: Window, last: bool) -> Tensor:
    built = _kernels(g, (w.shape[2], w.shape[3]), size, window, last)
    if built is None:
        x = g.new_empty(*g.shape[:2], *size)
        into, _ = library_gradients(_described(g, w.shape[2:], window), g, x, w, (True, False))
        assert into is not None, "it is wanted"
        return into
    g, w = g.contiguous(memory_format=_format(last)), w.contiguous()
    dx = torch.empty((*g.shape[:2], *size), dtype=g.dtype, memory_format=_format(last))
    return _call(built.input_gradient, (*dx.shape, *g.shape[2:], *window[2:4]), dx, g, w, dx)


def _weight_cpu(g: Tensor, x: Tensor, kernel: Pair, window: Window, last: bool) -> Tensor:
    built = _kernels(x, kernel, (g.shape[2], g.shape[3]), window, last)
    if built is None:
        w = x.new_empty(x.shape[1], 1, *kernel)
        _, weigh = library_gradients(_described(x, kernel, window), g, x, w, (False, True))
        assert weigh is not None, "it is wanted"
        return weigh
    g, x = g.contiguous(memory_format=_format(last)), x.contiguous(memory_format=_format(last))
    dw = torch.empty((x.shape[1], 1, *kernel), dtype=x.dtype)
    return _call(built.weight_gradient, (*x.shape, *g.shape[2:], *window[2:4]), dw, g, x, dw)


torch.library.register_fake("spacec::depthwise", _forward_fake, lib=_library)
torch.library.register_fake("spacec::depthwise_input", _input_fake, lib=_library)
torch.library.register_fake("spacec::depthwise_weight", _weight_fake, lib=_library)
_library.impl("depthwise", _forward_cpu, "CPU")
_library.impl("depthwise_input", _input_cpu, "CPU")
_library.impl("depthwise_weight", _weight_cpu, "CPU")


def _described(x: Tensor, kernel: Sequence[int], window: Window) -> table.Window:
    """The window as the table of kernels has it."""
    return table.Window(tuple(kernel), tuple(window[:2]), tuple(window[2:4]), tuple(window[4:]), x.shape[1])


def _kernels(x: Tensor, kernel: Pair, across: Sequence[int], window: Window, last: bool) -> Any:
    """The library for tensors like ``x``; ``across``: the columns that a vector of a planar kernel runs along."""
    if not x.numel():
        return None
    lanes = lanes_within(x.element_size(), x.shape[1] if last else 2 * across[1] - 1)
    return _build(x.dtype, lanes, (kernel[0], kernel[1]), tuple(window[:2]), tuple(window[4:]), last)


def lanes_within(size: int, most: int) -> int:
    """The largest power of two up to ``most`` of numbers of ``size`` bytes that a vector holds."""
    lanes = 1
    while 2 * lanes <= min(_BYTES // size, most):
        lanes *= 2
    return lanes


def constants(
    dtype: torch.dtype, lanes: int, kernel: Pair, stride: Pair, dilation: Pair, relu: bool
) -> dict[str, str | int]:
    """What the C source of a kernel is compiled for."""
    real, size = REALS[dtype]
    found: dict[str, str | int] = {"REAL": real, "REAL_BYTES": size, "V": lanes, "RELU": int(relu), "NORM": 0}
    for letter, pair in (("K", kernel), ("S", stride), ("D", dilation)):
        found |= {f"{letter}H": pair[0], f"{letter}W": pair[1]}
    return found


def described(dtype: torch.dtype, lanes: int, kernel: Pair, stride: Pair, dilation: Pair) -> str:
    """The same for people: ``3x3 stride 1x1 dilation 1x1, float x 16``."""
    sides = zip(("", "stride ", "dilation "), (kernel, stride, dilation), strict=True)
    return f"{' '.join(f'{name}{a}x{b}' for name, (a, b) in sides)}, {REALS[dtype][0]} x {lanes}"


@functools.cache
def _build(
    dtype: torch.dtype, lanes: int, kernel: Pair, stride: Pair, dilation: Pair, last: bool
) -> ctypes.CDLL | None:
    layout = "last" if last else "planar"
    parts = ("depthwise_rows.h", "depthwise_last.c") if last else ("depthwise_planar.c",)
    known = constants(dtype, lanes, kernel, stride, dilation, relu=False)
    text = compiler.source(("prelude.h", "depthwise.h", *parts), known)
    kind = f"depthwise {described(dtype, lanes, kernel, stride, dilation)}, {layout}"
    tensors = {"forward": 3, "input_gradient": 3, "weight_gradient": 3}
    return compiler.declared(compiler.load(kind, text), tensors)


def _call(function: Any, sizes: tuple[int, ...], result: Tensor, *tensors: Tensor | None) -> Tensor:
    compiler.call(function, sizes, *tensors)
    return result
