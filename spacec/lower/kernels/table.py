"""What a kernel is: an implementation of one op at some sites, and how a site is named.

A *site* is an op at concrete sizes: what a kernel may depend on, and what its time depends on. Implementations of an
op all compute the same function; ``library``, PyTorch's own, applies everywhere. Where an implementation is of one
*part* (the forward pass, the gradient of the input, that of the weight), the three parts of a site are chosen each by
itself, and :mod:`spacec.lower.kernels.parts` joins them with autograd.

Signatures of ``run``, for tensors ``x [N, C, *space]``; every ``bias`` may be ``None``:

==============  =========  =====================================================================================
op              part       call
==============  =========  =====================================================================================
conv            (whole)    ``run(window, x, weight, bias)``, differentiable
conv            forward    ``run(window, x, weight, bias)``
conv            input      ``run(window, gradient, weight, shape)``: that of an ``x`` of ``shape``
conv            weight     ``run(window, gradient, x, shape)``: that of a weight of ``shape``
max_pool        (whole)    ``run(window, x)``, differentiable
avg_pool        (whole)    ``run(window, x)``, differentiable; padding does not count
bn              (whole)    ``run(norm, x, weight, bias, mean, var)``, differentiable; updates ``mean`` and ``var``
==============  =========  =====================================================================================

A part runs without a graph and is given tensors of one dtype (the site's, under autocast too); ``gradient`` has the
layout of ``x``. The same parts make derivatives of every order. A kernel may refuse nothing that its ``applies``
accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

LIBRARY = "library"
"""The name of PyTorch's own implementation."""

Part = Literal["forward", "input", "weight"]
PARTS: tuple[Part, ...] = ("forward", "input", "weight")

Layout = Literal["contiguous", "channels_last", "strided"]
"""How a tensor lies in memory; ``strided`` is neither of the two, such as some of the channels of another tensor."""


@dataclass(frozen=True)
class Window:
    """How a window moves over space; every tuple has a number for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def text(self) -> str:
        """``3x3 s2 p1 d1 g16``; ``s2x1`` where the axes differ."""
        numbers = zip("spd", (self.stride, self.padding, self.dilation), strict=True)
        told = " ".join(f"{letter}{_short(values)}" for letter, values in numbers)
        return f"{'x'.join(map(str, self.kernel))} {told} g{self.groups}"


@dataclass(frozen=True)
class Norm:
    """How a batch norm normalises: with the batch's statistics where ``training``, which it then also remembers."""

    eps: float
    momentum: float
    training: bool


@dataclass(frozen=True)
class OpSite:
    """An op at concrete sizes: ``channels`` in and out, ``space`` of the input. ``window`` of ops that have one.

    ``detail``: what else tells sites of this op apart. Everything but ``batch`` decides whether a kernel applies.
    """

    op: str
    channels: tuple[int, int]
    batch: int
    space: tuple[int, ...]
    dtype: str
    layout: Layout
    device: str
    window: Window | None = None
    detail: str = ""

    @property
    def depthwise(self) -> bool:
        """Whether every channel of a convolution is alone, with one kernel or several."""
        return self.window is not None and self.window.groups == self.channels[0] > 1

    @property
    def kind(self) -> str:
        """The signature without the batch: ``conv 3x3 s1 p1 d1 g16 16>16 32x32 float32 channels_last cpu``."""
        what = [self.op, *([self.window.text()] if self.window else []), *([self.detail] if self.detail else [])]
        channels = f"{self.channels[0]}>{self.channels[1]}"
        space = "x".join(map(str, self.space)) or "-"
        return " ".join([*what, channels, space, self.dtype, self.layout, self.device])

    @property
    def signature(self) -> str:
        """A stable name: :attr:`kind` and the batch, ``… n64``."""
        return f"{self.kind} n{self.batch}"


Applies = Callable[[OpSite], bool]


def never(site: OpSite) -> bool:
    """For implementations that only a measurement may choose."""
    return False


@dataclass(frozen=True)
class Implementation:
    """One way to compute an op, or one ``part`` of it, at the sites that it ``applies`` to.

    ``pays``: where it is expected to be faster than the library's, by what is known without measuring here.
    ``needed``: where the library's is not exact enough, so that it is no alternative. See the module for ``run``.
    """

    name: str
    op: str
    run: Callable[..., Tensor]
    applies: Applies
    pays: Applies = never
    part: Part | None = None
    needed: Applies = never


def layout_of(x: Tensor) -> Layout:
    """Tensors that are both (one channel, or one position) count as contiguous."""
    if x.is_contiguous():
        return "contiguous"
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return "channels_last"
    return "strided"


def format_of(x: Tensor) -> torch.memory_format:
    """The memory format of :func:`layout_of`; what is strided counts as contiguous."""
    return torch.channels_last if layout_of(x) == "channels_last" else torch.contiguous_format


def _short(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))
