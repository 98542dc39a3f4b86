"""The three parts of a convolution by calls of the library that are faster than its own call for the part.

A convolution y = w * x is linear in each of its arguments, so all there is to compute are three bilinear maps::

    forward   y[o]  = Σ_i w[i] x[s·o + d·i - p]
    input     dx[j] = Σ_{o,i : s·o + d·i - p = j} w[i] g[o]
    weight    dw[i] = Σ_o g[o] x[s·o + d·i - p]

with stride s, dilation d, padding p, batch and channels left out. The library's kernels differ widely in how near they
come to the machine's floor; what is here reaches a slow one through a fast one:

* ``matmul``: a kernel of one position is a product of matrices.
* ``taps``: one multiplication and addition of shifted tensors for each place of the kernel.
* ``flipped``: the input's gradient is a forward convolution of g, with s - 1 zeros between its positions, by the
  mirrored kernel.
* ``strips``: a kernel's gradient 3 columns at a time, each that of a narrower kernel on a shifted input.
* ``phases``: with stride 1, the positions of one remainder by d see only each other, so dilation d is none on smaller
  tensors, one for each remainder (space to batch).
* ``polyphase``: where f divides stride, dilation and padding, only every f-th position of x is read: the convolution is
  that of the subsampled input with all three divided.

Results have the layout of the tensor they are made of. :mod:`spacec.lower.kernels.conv_sites` says where each can be
used, and where it is expected to pay.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.lower.kernels.library import library_forward, library_gradients
from spacec.lower.kernels.subsample import empty_like, spread, subsampled
from spacec.lower.kernels.table import Window, layout_of

STRIP = 3
"""Columns for which the library has a fast kernel of the weight gradient."""

# Forward: (window, x, weight, bias) to y


def forward_matmul(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A kernel of one position as a product of matrices."""
    y = torch.matmul(weight.flatten(1), x.flatten(2)).view(x.shape[0], weight.shape[0], *x.shape[2:])
    return y if bias is None else y.add_(_per_channel(bias, y))


def forward_taps(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The sum of shifted inputs, each scaled by one place of the kernel; for one kernel a channel."""
    padded = _padded(x, [(p, p) for p in window.padding])
    size = [(n - span - 1) // s + 1 for n, span, s in zip(padded.shape[2:], _spans(window), window.stride, strict=True)]
    places = _taps(padded, size, window)
    first, tap = next(places)
    y = tap * _per_channel(_place(weight, first), x)
    for place, tap in places:
        y.addcmul_(tap, _per_channel(_place(weight, place), x))
    return y if bias is None else y.add_(_per_channel(bias, y))


# Gradient of the input: (window, g, weight, shape) to dx


def input_matmul(window: Window, g: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The transposed product."""
    return torch.matmul(weight.flatten(1).t(), g.flatten(2)).view(shape)


def input_taps(window: Window, g: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Every place of the kernel adds its scaled gradients where it read."""
    size = [n + 2 * p for n, p in zip(shape[2:], window.padding, strict=True)]
    dx = empty_like(g, (*shape[:2], *size)).zero_()
    for place, tap in _taps(dx, g.shape[2:], window):
        tap.addcmul_(g, _per_channel(_place(weight, place), g))
    return _padded(dx, [(-p, -p) for p in window.padding])


def input_flipped(window: Window, g: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A forward convolution of the gradients by the mirrored kernel."""
    spans, groups = _spans(window), window.groups
    if max(window.stride) > 1:
        size = [n + 2 * p - span for n, p, span in zip(shape[2:], window.padding, spans, strict=True)]
        g = spread(g, window.stride, size)
    mirrored = weight.flip([*range(2, weight.dim())])
    if groups < weight.shape[0] or weight.shape[1] > 1:
        across = mirrored.view(groups, -1, *mirrored.shape[1:]).transpose(1, 2)
        mirrored = across.reshape(shape[1], -1, *mirrored.shape[2:])
    padding = tuple(span - p for span, p in zip(spans, window.padding, strict=True))
    return library_forward(replace(window, stride=(1,) * len(spans), padding=padding), g, mirrored, None)


def input_polyphase(window: Window, g: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of the positions that are read, and zeros elsewhere."""
    factors, inner = reduced(window)
    read = tuple(-(-n // f) for n, f in zip(shape[2:], factors, strict=True))
    part = input_flipped if max(inner.stride) == 1 and flips(inner) else _input_library
    return spread(part(inner, g, weight, (*shape[:2], *read)), factors, shape[2:])


def _input_library(window: Window, g: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    found, _ = library_gradients(window, g, empty_like(g, shape), weight, (True, False))
    assert found is not None, "it is wanted"
    return found


# Gradient of the weight: (window, g, x, shape) to dw


def weight_matmul(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The product of gradients and inputs, summed over the batch."""
    return torch.matmul(g.flatten(2), x.flatten(2).transpose(1, 2)).sum(0).view(shape)


def weight_taps(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """For every place of the kernel, the sum of the gradients times what it read."""
    padded = _padded(x, [(p, p) for p in window.padding])
    axes = [0, *range(2, x.dim())]
    return torch.stack([(tap * g).sum(axes) for _, tap in _taps(padded, g.shape[2:], window)], 1).view(shape)


def weight_strips(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Three columns at a time; rows too, where the input has fewer of them than the kernel."""
    low = x.dim() == 4 and window.kernel[0] > x.shape[2]
    return _strips(window, g, x, shape, 1, _row_strips if low else _weight_library)


def _row_strips(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return _strips(window, g, x, shape, 2, _weight_library)


WeightPart = Callable[[Window, Tensor, Tensor, tuple[int, ...]], Tensor]


def _strips(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...], axis: int, part: WeightPart) -> Tensor:
    """Strips of a kernel along an axis, counted from the last, each by ``part`` on the input that it reads."""
    stride, padding, dilation = window.stride[-axis], window.padding[-axis], window.dilation[-axis]
    found = []
    for first in range(0, window.kernel[-axis], STRIP):
        width = min(STRIP, window.kernel[-axis] - first)
        before = padding - dilation * first
        after = stride * (g.shape[-axis] - 1) + dilation * (width - 1) + 1 - x.shape[-axis] - before
        read = F.pad(x, (*(0, 0) * (axis - 1), before, after))
        inner = replace(window, kernel=_set(window.kernel, axis, width), padding=_set(window.padding, axis, 0))
        found.append(part(inner, g, read, _set(shape, axis, width)))
    return torch.cat(found, -axis)


def weight_phases(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The sum over the remainders of what each contributes, undilated."""
    apart = window.dilation
    fits = [p % d == 0 for p, d in zip(window.padding, apart, strict=True)]
    x = _padded(x, [(0, 0) if fit else (p, p) for p, fit in zip(window.padding, fits, strict=True)])
    x, g = (_padded(t, [(0, -n % d) for n, d in zip(t.shape[2:], apart, strict=True)]) for t in (x, g))
    last = layout_of(x) == "channels_last"
    across = apart[-1] if last else 1
    padding = tuple(p // d if fit else 0 for p, d, fit in zip(window.padding, apart, fits, strict=True))
    inner = Window(window.kernel, window.stride, padding, (1,) * len(apart), window.groups * across)
    found = _undilated(inner, _phases(g, apart, last), _phases(x, apart, last), (across * shape[0], *shape[1:]))
    return found if across == 1 else found.view(across, *shape).sum(0)


def weight_polyphase(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """From the positions that are read alone."""
    factors, inner = reduced(window)
    return _undilated(inner, g, subsampled(x, factors), shape)


def _undilated(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    part = weight_strips if shape[1] == 1 and window.kernel[-1] > STRIP else _weight_library
    return part(window, g, x, shape)


def _weight_library(window: Window, g: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    _, found = library_gradients(window, g, x, x.new_empty(shape), (False, True))
    assert found is not None, "it is wanted"
    return found


# What they share


def reduced(window: Window) -> tuple[tuple[int, ...], Window]:
    """The factors by which the input may be subsampled (1 where none fits), and the window on what is left.

    The output keeps its size: with s = f s', d = f d', p = f p', and n' = ceil(n / f) positions left,
    floor((n + 2p - d (k - 1) - 1) / s) = floor((n' + 2p' - d' (k - 1) - 1) / s').
    """
    axes = zip(window.kernel, window.stride, window.padding, window.dilation, strict=True)
    factors = tuple(common_factor(*axis) for axis in axes)
    stride, padding, dilation = (
        tuple(n // f for n, f in zip(values, factors, strict=True))
        for values in (window.stride, window.padding, window.dilation)
    )
    return factors, Window(window.kernel, stride, padding, dilation, window.groups)


def common_factor(kernel: int, stride: int, padding: int, dilation: int) -> int:
    """What divides stride, dilation and padding of one axis; a kernel of one place has no dilation."""
    factor = math.gcd(stride, dilation)
    return factor if kernel > 1 and padding % factor == 0 else 1


def _phases(x: Tensor, factors: Sequence[int], last: bool) -> Tensor:
    """The positions of every remainder by ``factors`` as samples of their own: ``[N f1 f2, C, *space / f]``.

    With ``last``, for channels_last, the remainders along the last axis stand side by side in the channels, which needs
    no copying: ``[N f1, f2 C, ...]``.
    """
    if last:
        n, channels, height, width = x.shape
        f1, f2 = factors
        rows = x.permute(0, 2, 3, 1).reshape(n, height // f1, f1, width // f2, f2 * channels)
        return rows.transpose(1, 2).reshape(n * f1, height // f1, width // f2, f2 * channels).permute(0, 3, 1, 2)
    shape = list(x.shape[:2])
    for n, f in zip(x.shape[2:], factors, strict=True):
        shape += [n // f, f]
    apart = x.reshape(shape).permute(0, *range(3, len(shape), 2), 1, *range(2, len(shape), 2))
    return apart.reshape(-1, x.shape[1], *shape[2::2])


def _taps(padded: Tensor, size: Sequence[int], window: Window) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Each place of a kernel, and the part of its padded input that it reads for outputs of ``size``."""
    for place in itertools.product(*map(range, window.kernel)):
        axes = zip(place, window.dilation, window.stride, size, strict=True)
        read: tuple[Any, ...] = tuple(slice(i * d, i * d + s * (n - 1) + 1, s) for i, d, s, n in axes)
        yield place, padded[(..., *read)]


def _place(weight: Tensor, place: tuple[int, ...]) -> Tensor:
    """One place of every channel's kernel."""
    found = weight[:, 0]
    for index in place:
        found = found[:, index]
    return found


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *(1,) * (like.dim() - 2))


def _padded(x: Tensor, sides: Sequence[tuple[int, int]]) -> Tensor:
    """Zeros added (positions cut off, where negative) before and after along each spatial axis."""
    return F.pad(x, [n for side in reversed(sides) for n in side]) if any(map(any, sides)) else x


def _spans(window: Window) -> tuple[int, ...]:
    """Distance from the first place that a kernel reads to its last."""
    return tuple(d * (k - 1) for d, k in zip(window.dilation, window.kernel, strict=True))


def _set(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    """``values`` with another number at ``axis``, counted from the last."""
    place = len(values) - axis
    return (*values[:place], value, *values[place + 1 :])


def flips(window: Window) -> bool:
    """Whether the mirrored convolution needs no negative padding."""
    return all(p <= span for p, span in zip(window.padding, _spans(window), strict=True))
