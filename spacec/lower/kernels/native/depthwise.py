"""Depthwise convolution by generated C, with an optional ReLU before it that is never stored.

    out[n, c, o] = sum_k w[c, k] a(x)[n, c, o S - P + k D],    a(x) = max(x, 0) or x

Its input gradient is linear in ``(dout, w)`` and its weight gradient in ``(dout, a(x))``; the derivative of each of
the three is again one of the three, so that gradients of any order are kernels.

The three are operators of torch (``torch.ops.spacec``), opaque to ``torch.compile`` and free of graph breaks. They run
on float32 and float64 tensors of a CPU; :func:`depthwise` calls the library for all else, and the operators do where a
kernel cannot be built. A result has the memory format of ``x``.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from spacec.lower.kernels.native import compiler

Operator = Callable[..., Tensor]
Pair = tuple[int, int]
Window = tuple[int, int, int, int, int, int]
"""Stride, padding and dilation, rows before columns: what an operator of torch takes as ``int[]``."""

_REALS = {torch.float32: ("float", 4), torch.float64: ("double", 8)}
_BYTES = 64
"""Of the widest vector: a compiler for narrower ones splits it."""
_LONGEST = 9
"""Of a kernel's sides: longer ones would be unrolled into too much code."""


def supports(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> bool:
    """Whether kernels of this shape are generated."""
    return max(kernel) <= _LONGEST and max(stride) <= 2 and max(dilation) <= 4


def depthwise(
    x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, relu: bool = False, last: bool | None = None
) -> Tensor:
    """``F.conv2d(relu(x), weight, None, stride, padding, dilation, groups=C)``, the ReLU where ``relu`` says so.

    ``x``: ``(N, C, H, W)``; ``weight``: ``(C, 1, h, w)``. ``last``: the memory format to compute in; that of ``x``
    where it is ``None``. Differentiable any number of times.
    """
    kernel = (weight.shape[2], weight.shape[3])
    if not runs(x, weight) or not supports(kernel, stride, dilation):
        return F.conv2d(F.relu(x) if relu else x, weight, None, stride, padding, dilation, x.shape[1])
    if last is None:
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return _depthwise(x, weight, (*stride, *padding, *dilation), relu, last)


def runs(x: Tensor, weight: Tensor) -> bool:
    """Whether tensors are such as kernels are generated for."""
    return (
        x.device.type == "cpu"
        and x.dtype in _REALS
        and weight.dtype == x.dtype
        and x.dim() == 4
        and x.numel() > 0
        and weight.shape[0] == x.shape[1]
        and not torch.is_autocast_enabled("cpu")
    )


class _Depthwise(Function):
    @staticmethod
    def forward(x: Tensor, w: Tensor, window: Window, relu: bool, last: bool) -> Tensor:
        return forward(x, w, window, relu, last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, w, *ctx.rest = inputs
        ctx.size = (x.shape[2], x.shape[3])
        _, relu, _ = ctx.rest
        ctx.save_for_backward(x if ctx.needs_input_grad[1] or relu else None, w)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        window, relu, last = ctx.rest
        dx = _input_of(g, w, x if relu else None, ctx.size, window, last) if ctx.needs_input_grad[0] else None
        dw = _weight_of(g, x, w.shape[2:], window, relu, last) if ctx.needs_input_grad[1] else None
        return dx, dw, None, None, None


class _Input(Function):
    """``(g, w) -> dx``, masked by ``x > 0`` where ``x`` is given."""

    @staticmethod
    def forward(g: Tensor, w: Tensor, x: Tensor | None, size: Pair, window: Window, last: bool) -> Tensor:
        return input_gradient(g, w, x, size, window, last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        g, w, x, ctx.size, ctx.window, ctx.last = inputs
        ctx.save_for_backward(g, w, x)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        g, w, x = ctx.saved_tensors
        u = u if x is None else torch.where(x <= 0, 0, u)
        dg = _depthwise(u, w, ctx.window, False, ctx.last) if ctx.needs_input_grad[0] else None
        dw = _weight_of(g, u, w.shape[2:], ctx.window, False, ctx.last) if ctx.needs_input_grad[1] else None
        return dg, dw, None, None, None, None


class _Weight(Function):
    """``(g, x) -> dw``, of ``max(x, 0)`` where ``relu``."""

    @staticmethod
    def forward(g: Tensor, x: Tensor, kernel: Pair, window: Window, relu: bool, last: bool) -> Tensor:
        return weight_gradient(g, x, kernel, window, relu, last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        g, x, ctx.kernel, *ctx.rest = inputs
        ctx.save_for_backward(g, x)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        g, x = ctx.saved_tensors
        window, relu, last = ctx.rest
        dg = _depthwise(x, u, window, relu, last) if ctx.needs_input_grad[0] else None
        size = (x.shape[2], x.shape[3])
        dx = _input_of(g, u, x if relu else None, size, window, last) if ctx.needs_input_grad[1] else None
        return dg, dx, None, None, None, None


_depthwise: Operator = _Depthwise.apply
_input_of: Operator = _Input.apply
_weight_of: Operator = _Weight.apply

_library: Any = torch.library.Library("spacec", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch leaves it so
_library.define("depthwise(Tensor x, Tensor w, int[6] window, bool relu, bool last) -> Tensor")
_library.define("depthwise_input(Tensor g, Tensor w, Tensor? x, SymInt[2] size, int[6] window, bool last) -> Tensor")
_library.define("depthwise_weight(Tensor g, Tensor x, int[2] kernel, int[6] window, bool relu, bool last) -> Tensor")
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


def _forward_fake(x: Tensor, w: Tensor, window: Sequence[int], relu: bool, last: bool) -> Tensor:
    return torch.empty(output_size(x, w, window), dtype=x.dtype, device=x.device, memory_format=_format(last))


def _input_fake(
    g: Tensor, w: Tensor, x: Tensor | None, size: Sequence[int], window: Sequence[int], last: bool
) -> Tensor:
    return torch.empty((*g.shape[:2], *size), dtype=g.dtype, device=g.device, memory_format=_format(last))


def _weight_fake(g: Tensor, x: Tensor, kernel: Sequence[int], window: Sequence[int], relu: bool, last: bool) -> Tensor:
    return torch.empty((x.shape[1], 1, *kernel), dtype=x.dtype, device=x.device)


def _forward_cpu(x: Tensor, w: Tensor, window: Window, relu: bool, last: bool) -> Tensor:
    shape = output_size(x, w, window)
    built = _kernels(x, (w.shape[2], w.shape[3]), shape[2:], window, relu, last) if min(shape) > 0 else None
    if built is None:
        return _library_forward(x, w, window, relu)
    x, w = x.contiguous(memory_format=_format(last)), w.contiguous()
    out = torch.empty(shape, dtype=x.dtype, memory_format=_format(last))
    return _call(built.forward, (*x.shape, *shape[2:], *window[2:4]), out, x, w, out)


def _input_cpu(g: Tensor, w: Tensor, x: Tensor | None, size: Pair, window: Window, last: bool) -> Tensor:
    built = _kernels(g, (w.shape[2], w.shape[3]), size, window, x is not None, last)
    if built is None:
        dx: Tensor = _library_gradients(g, g.new_zeros(*g.shape[:2], *size), w, window, (True, False, False))[0]
        return dx if x is None else torch.where(x <= 0, 0, dx)
    g, w = g.contiguous(memory_format=_format(last)), w.contiguous()
    x = x if x is None else x.contiguous(memory_format=_format(last))
    dx = torch.empty((*g.shape[:2], *size), dtype=g.dtype, memory_format=_format(last))
    return _call(built.input_gradient, (*dx.shape, *g.shape[2:], *window[2:4]), dx, g, w, x, dx)


def _weight_cpu(g: Tensor, x: Tensor, kernel: Pair, window: Window, relu: bool, last: bool) -> Tensor:
    built = _kernels(x, kernel, (g.shape[2], g.shape[3]), window, relu, last)
    if built is None:
        w = x.new_empty(x.shape[1], 1, *kernel)
        dw: Tensor = _library_gradients(g, F.relu(x) if relu else x, w, window, (False, True, False))[1]
        return dw
    g, x = g.contiguous(memory_format=_format(last)), x.contiguous(memory_format=_format(last))
    dw = torch.empty((x.shape[1], 1, *kernel), dtype=x.dtype)
    return _call(built.weight_gradient, (*x.shape, *g.shape[2:], *window[2:4]), dw, g, x, dw)


torch.library.register_fake("spacec::depthwise", _forward_fake, lib=_library)
torch.library.register_fake("spacec::depthwise_input", _input_fake, lib=_library)
torch.library.register_fake("spacec::depthwise_weight", _weight_fake, lib=_library)
_library.impl("depthwise", _forward_cpu, "CPU")
_library.impl("depthwise_input", _input_cpu, "CPU")
_library.impl("depthwise_weight", _weight_cpu, "CPU")


def _library_forward(x: Tensor, w: Tensor, window: Window, relu: bool) -> Tensor:
    return F.conv2d(F.relu(x) if relu else x, w, None, window[:2], window[2:4], window[4:], x.shape[1])


def _library_gradients(g: Tensor, x: Tensor, w: Tensor, window: Window, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
    stride, padding, dilation = window[:2], window[2:4], window[4:]
    found: tuple[Any, ...] = torch.ops.aten.convolution_backward(
        g, x, w, None, stride, padding, dilation, False, (0, 0), x.shape[1], wanted
    )
    return found


def _kernels(x: Tensor, kernel: Pair, across: Sequence[int], window: Window, relu: bool, last: bool) -> Any:
    """The library for tensors like ``x``; ``across``: the columns that a vector of a planar kernel runs along."""
    if not x.numel():
        return None
    lanes = lanes_within(x.element_size(), x.shape[1] if last else 2 * across[1] - 1)
    return _build(x.dtype, lanes, (kernel[0], kernel[1]), tuple(window[:2]), tuple(window[4:]), relu, last)


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
    real, size = _REALS[dtype]
    found: dict[str, str | int] = {"REAL": real, "REAL_BYTES": size, "V": lanes, "RELU": int(relu), "NORM": 0}
    for letter, pair in (("K", kernel), ("S", stride), ("D", dilation)):
        found |= {f"{letter}H": pair[0], f"{letter}W": pair[1]}
    return found


def described(dtype: torch.dtype, lanes: int, kernel: Pair, stride: Pair, dilation: Pair) -> str:
    """The same for people: ``3x3 stride 1x1 dilation 1x1, float x 16``."""
    sides = zip(("", "stride ", "dilation "), (kernel, stride, dilation), strict=True)
    return f"{' '.join(f'{name}{a}x{b}' for name, (a, b) in sides)}, {_REALS[dtype][0]} x {lanes}"


@functools.cache
def _build(
    dtype: torch.dtype, lanes: int, kernel: Pair, stride: Pair, dilation: Pair, relu: bool, last: bool
) -> ctypes.CDLL | None:
    layout = "last" if last else "planar"
    parts = ("depthwise_rows.h", "depthwise_last.c") if last else ("depthwise_planar.c",)
    known = constants(dtype, lanes, kernel, stride, dilation, relu)
    text = compiler.source(("prelude.h", "depthwise.h", *parts), known)
    kind = f"{'relu-' if relu else ''}depthwise {described(dtype, lanes, kernel, stride, dilation)}, {layout}"
    tensors = {"forward": 3, "input_gradient": 4, "weight_gradient": 3}
    return compiler.declared(compiler.load(kind, text), tensors)


def _call(function: Any, sizes: tuple[int, ...], result: Tensor, *tensors: Tensor | None) -> Tensor:
    compiler.call(function, sizes, *tensors)
    return result
