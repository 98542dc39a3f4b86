"""Separable convolution by generated C: norm, ReLU, depthwise and pointwise convolution in one pass.

    z = m * (w *_c max((x - mean) scale + bias, 0))          (`*_c` depthwise, `*` pointwise)

The norm before the ReLU is a batch norm, of the batch's statistics (``norm.training``) or of given ones, or none. Only
``x`` is kept for the backward pass; neither what the norm, nor the ReLU, nor the depthwise convolution gives is ever a
tensor. The backward pass computes them again, row by row, in the one pass that makes all gradients.

With s_1 = sum(dn) and s_2 = sum(dn (x - mean)) over the M positions of a channel, dn being the gradient of what the
norm gives, the gradient through the batch's statistics (Ioffe and Szegedy, 2015, section 3) is

    dx = scale (dn - s_1 / M - (x - mean) rstd^2 s_2 / M).

Second derivatives are those of the library's ops.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from spacec.lower.kernels.native import compiler, depthwise
from spacec.lower.kernels.native.depthwise import Pair, Window

LAST = torch.channels_last


@dataclass(frozen=True)
class Norm:
    """A batch norm: of the batch's own statistics where ``training``, else of ``mean`` and ``var``, ``[C]`` each."""

    eps: float
    training: bool
    mean: Tensor | None = None
    var: Tensor | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None


def applies(x: Tensor, w: Tensor, m: Tensor, window: Window, norm: bool) -> bool:
    """Whether the kernel computes these: channels_last on a CPU, and no more padding than taps reach."""
    return (
        depthwise.runs(x, w)
        and m.dtype == x.dtype
        and x.is_contiguous(memory_format=LAST)
        and depthwise.supports(w.shape[2:], window[:2], window[4:])
        and window[2] <= (w.shape[2] - 1) * window[4]
        and window[3] <= (w.shape[3] - 1) * window[5]
        and min(_shape(x, w, m, window)) > 0
        and _ready(
            _lanes(x, m), _lanes_of(x), x.dtype, (w.shape[2], w.shape[3]), tuple(window[:2]), tuple(window[4:]), norm
        )
    )


def separable(
    x: Tensor, w: Tensor, m: Tensor, window: Window, norm: Norm | None = None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """``z`` ``[N, O, H', W']``, and the mean and the (biased) variance of ``x`` where they are the batch's.

    ``x``: ``[N, C, H, W]``; ``w``: ``[C, 1, h, w]``; ``m``: ``[O, C, 1, 1]``; ``window``: stride, padding and dilation.
    Where the kernel does not apply, the library's ops compute the same.
    """
    if not applies(x, w, m, window, norm is not None):
        z = _plain(x, w, m, window, norm)
        if norm is None or not norm.training:
            return z, None, None
        axes = (0, 2, 3)
        return z, x.detach().mean(axes), x.detach().var(axes, unbiased=False)
    if norm is None:
        return _apply(x, w, m, None, None, None, None, window, 0.0, False)[0], None, None
    given = (None, None) if norm.training else (norm.mean, norm.var)
    z, mean, var = _apply(x, w, m, norm.weight, norm.bias, *given, window, norm.eps, norm.training)
    return (z, mean, var) if norm.training else (z, None, None)


def _plain(x: Tensor, w: Tensor, m: Tensor, window: Window, norm: Norm | None) -> Tensor:
    if norm is not None:
        known = (None, None) if norm.training else (norm.mean, norm.var)
        x = F.batch_norm(x, *known, norm.weight, norm.bias, norm.training, 0.0, norm.eps)
    return F.conv2d(F.conv2d(F.relu(x), w, None, window[:2], window[2:4], window[4:], x.shape[1]), m)


class _Separable(Function):
    """After the tensors: ``window``, ``eps`` and whether the statistics are those of ``x``."""

    @staticmethod
    def forward(
        x: Tensor,
        w: Tensor,
        m: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        window: Window,
        eps: float,
        training: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if training:
            mean, var = moments(x)
        z = forward(x, _normal(weight, bias, mean, var, eps), w, m, window)
        return (z, mean, var) if training else (z, None, None)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        x, w, m, weight, bias, mean, var, ctx.window, ctx.eps, ctx.training = inputs
        _, own_mean, own_var = output
        if ctx.training:
            mean, var = own_mean, own_var
            ctx.mark_non_differentiable(own_mean, own_var)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, w, m, weight, bias, mean, var)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *others: None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return (None,) * 10
        x, w, m, weight, bias, mean, var = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _again(ctx, gradient)
        norm = _normal(weight, bias, mean, var, ctx.eps)
        dx, dw, dm, sums = backward(gradient, x, norm, w, m, ctx.window, ctx.training)
        dweight = None if weight is None or norm is None else sums[1] * norm[3]
        return dx, dw, dm, dweight, None if bias is None else sums[0], None, None, None, None, None


def _again(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients as functions that can be differentiated: by the library."""
    *saved, mean, var = ctx.saved_tensors
    # Views: x may be made by these very weights, where a family is tied, and only what they do here counts.
    given = [t.view_as(t) if t is not None and t.requires_grad else t for t in saved]
    x, w, m, weight, bias = given
    norm = None if mean is None else Norm(ctx.eps, ctx.training, mean, var, weight, bias)
    wanted = [i for i, t in enumerate(given) if t is not None and ctx.needs_input_grad[i]]
    out = _plain(x, w, m, ctx.window, norm)
    found = torch.autograd.grad(out, [given[i] for i in wanted], gradient, create_graph=True)
    by_place = dict(zip(wanted, found, strict=True))
    return tuple(by_place.get(i) for i in range(10))


def _normal(
    weight: Tensor | None, bias: Tensor | None, mean: Tensor | None, var: Tensor | None, eps: float
) -> Tensor | None:
    """``[mean, scale, bias, rstd]`` by channel."""
    if mean is None or var is None:
        return None
    rstd = (var + eps).rsqrt()
    return torch.stack(
        [mean, rstd if weight is None else weight * rstd, torch.zeros_like(mean) if bias is None else bias, rstd]
    )


_apply: Callable[..., Any] = _Separable.apply
_library: Any = torch.library.Library("spacec", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch leaves it so
_library.define("moments(Tensor x) -> (Tensor, Tensor)")
_library.define("separable(Tensor x, Tensor? norm, Tensor w, Tensor m, int[6] window) -> Tensor")
_library.define(
    "separable_backward(Tensor g, Tensor x, Tensor? norm, Tensor w, Tensor m, int[6] window, bool training)"
    " -> (Tensor, Tensor, Tensor, Tensor)"
)
moments: Callable[..., tuple[Tensor, Tensor]] = torch.ops.spacec.moments.default
forward: Callable[..., Tensor] = torch.ops.spacec.separable.default
backward: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]] = torch.ops.spacec.separable_backward.default


def _shape(x: Tensor, w: Tensor, m: Tensor, window: Sequence[int]) -> tuple[Any, ...]:
    n, _, *space = depthwise.output_size(x, w, window)
    return n, m.shape[0], *space


def _moments_fake(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


def _forward_fake(x: Tensor, norm: Tensor | None, w: Tensor, m: Tensor, window: Sequence[int]) -> Tensor:
    return torch.empty(_shape(x, w, m, window), dtype=x.dtype, device=x.device, memory_format=LAST)


def _backward_fake(
    g: Tensor, x: Tensor, norm: Tensor | None, w: Tensor, m: Tensor, window: Sequence[int], training: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device, memory_format=LAST)
    return dx, w.new_empty(w.shape), m.new_empty(m.shape), x.new_empty(2, x.shape[1])


def _moments_cpu(x: Tensor) -> tuple[Tensor, Tensor]:
    mean, var = _moments_fake(x)
    x = x.contiguous(memory_format=LAST)
    n, c, height, width = x.shape
    compiler.call(_norms(x.dtype, _lanes_of(x)).moments, (n * height * width, c), x, mean, var)
    return mean, var


def _forward_cpu(x: Tensor, norm: Tensor | None, w: Tensor, m: Tensor, window: Window) -> Tensor:
    z = _forward_fake(x, norm, w, m, window)
    x, w = x.contiguous(memory_format=LAST), w.contiguous()
    by_channel = m.detach().reshape(m.shape[:2]).t().contiguous()
    compiler.call(
        _kernel(x, w, m, window, norm).separable_forward, _sizes(x, z, window), x, _rows(norm), w, by_channel, z
    )
    return z


def _backward_cpu(
    g: Tensor, x: Tensor, norm: Tensor | None, w: Tensor, m: Tensor, window: Window, training: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dx, dw, dm, sums = found = _backward_fake(g, x, norm, w, m, window, training)
    x, g, w, m = x.contiguous(memory_format=LAST), g.contiguous(memory_format=LAST), w.contiguous(), m.contiguous()
    built = _kernel(x, w, m, window, norm)
    compiler.call(built.separable_gradient, _sizes(x, g, window), x, _rows(norm), w, m, g, dx, dw, dm, sums)
    if norm is not None:
        positions = x.shape[0] * x.shape[2] * x.shape[3]
        mean, scale, _, rstd = norm
        of_mean, of_square = sums * (-1 / positions if training else 0)
        rates = torch.stack([mean, scale, scale * rstd * rstd * of_square, scale * of_mean])
        compiler.call(_norms(x.dtype, _lanes_of(x)).through, (positions, x.shape[1]), dx, x, _rows(rates))
    return found


torch.library.register_fake("spacec::moments", _moments_fake, lib=_library)
torch.library.register_fake("spacec::separable", _forward_fake, lib=_library)
torch.library.register_fake("spacec::separable_backward", _backward_fake, lib=_library)
_library.impl("moments", _moments_cpu, "CPU")
_library.impl("separable", _forward_cpu, "CPU")
_library.impl("separable_backward", _backward_cpu, "CPU")


def _lanes(x: Tensor, m: Tensor) -> int:
    return depthwise.lanes_within(x.element_size(), min(m.shape[0], m.shape[1]))


def _lanes_of(x: Tensor) -> int:
    return depthwise.lanes_within(x.element_size(), x.shape[1])


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch leaves it so
def _ready(
    lanes: int, channels: int, dtype: torch.dtype, kernel: Pair, stride: Pair, dilation: Pair, norm: bool
) -> bool:
    return _norms(dtype, channels) is not None and _build(lanes, dtype, kernel, stride, dilation, norm) is not None


def _kernel(x: Tensor, w: Tensor, m: Tensor, window: Window, norm: Tensor | None) -> Any:
    kernel = (w.shape[2], w.shape[3])
    return _build(_lanes(x, m), x.dtype, kernel, tuple(window[:2]), tuple(window[4:]), norm is not None)


@functools.cache
def _norms(dtype: torch.dtype, lanes: int) -> Any:
    known = depthwise.constants(dtype, lanes, (1, 1), (1, 1), (1, 1), relu=False)
    name = f"moments, {known['REAL']} x {lanes}"
    return compiler.declared(
        compiler.load(name, compiler.source(("prelude.h", "norm.c"), known)), {"moments": 3, "through": 3}
    )


@functools.cache
def _build(
    lanes: int, dtype: torch.dtype, kernel: Pair, stride: Pair, dilation: Pair, norm: bool
) -> ctypes.CDLL | None:
    known = depthwise.constants(dtype, lanes, kernel, stride, dilation, relu=True) | {"NORM": int(norm)}
    text = compiler.source(("prelude.h", "depthwise.h", "depthwise_rows.h", "separable.c"), known)
    kind = "norm-relu-separable" if norm else "relu-separable"
    built = compiler.load(f"{kind} {depthwise.described(dtype, lanes, kernel, stride, dilation)}", text)
    return compiler.declared(built, {"separable_forward": 5, "separable_gradient": 9})


def _sizes(x: Tensor, z: Tensor, window: Window) -> tuple[int, ...]:
    return *x.shape, *z.shape[2:], window[2], window[3], z.shape[1]


def _rows(matrix: Tensor | None) -> Any:
    """The addresses of the rows of a contiguous matrix."""
    if matrix is None:
        return None
    step = matrix.shape[1] * matrix.element_size()
    return (ctypes.c_void_p * len(matrix))(*(matrix.data_ptr() + i * step for i in range(len(matrix))))
