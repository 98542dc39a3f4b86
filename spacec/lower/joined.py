"""How joined ops run: the weights of their parts side by side, in a few framework calls.

Weights are joined anew in every pass, by one call: they are small beside what they are applied to, and the parameters
stay tensors of their own, so names, optimisers, ``load_state_dict``, ``to`` and ``torch.func.functional_call`` hold.
A buffer that parameters are views of would save that call and lose these, for ``to`` replaces each parameter's storage.
Gradients come apart by one call too (:class:`SideBySide`), and its pieces become ``.grad`` without a copy.

A joined batch norm reads the running statistics of its parts side by side and writes them back, each as if alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacec.ir.flat import FlatOp
from spacec.lower import errors
from spacec.lower.kernels.native.joint import run_separable
from spacec.lower.kernels.table import Window
from spacec.lower.layers import Call, Layer
from spacec.lower.modules import SameConv1d, SameConv2d, pad_same

Convolve = Callable[[Window, Tensor, Tensor, Tensor | None], Tensor]
"""What computes a convolution, of its window, input, weight and bias."""

Tensors = Callable[[str], Tensor]
"""Parameters and buffers of the parts of a joined op, side by side, by name."""

Joined = Callable[[Sequence[nn.Module], Tensors, Tensor, Convolve], Tensor]
"""A joined op, as a function of the layers of its parts, their tensors, and of the input."""


def joined_function(op: FlatOp, layer: Layer | Call) -> Joined:
    """How the joined op ``op`` runs, which alone would be ``layer``.

    Raises :class:`SpacecError` (E0901) for an op whose weights cannot be joined.
    """
    if isinstance(layer, Call) and layer.fn is run_separable:
        return lambda modules, tensors, x, convolve: run_separable(modules, x)
    if isinstance(layer, Layer):
        match op.spec.name:
            case "conv" | "superkernel":
                return JoinedConv.of(layer)
            case "linear":
                return lambda modules, tensors, x, convolve: joined_linear(modules, tensors, x)
            case "bn":
                return lambda modules, tensors, x, convolve: joined_norm(modules, tensors, x)
    raise errors.lowering_error(errors.LOWERING, f"`{op.spec.name}` cannot be joined", op.span)


class SideBySide(torch.autograd.Function):
    """``torch.cat`` whose backward is one ``split``, where that of ``cat`` is a slice for each tensor."""

    @staticmethod
    def forward(dim: int, *tensors: Tensor) -> Tensor:
        return torch.cat(tensors, dim)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.dim, *tensors = inputs
        ctx.sizes = [t.shape[ctx.dim] for t in tensors]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *grads[0].split_with_sizes(ctx.sizes, ctx.dim))


def side_by_side(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """``tensors`` along ``dim``; one as it is."""
    if len(tensors) == 1:
        return tensors[0]
    return cast(Tensor, SideBySide.apply(dim, *tensors))  # type: ignore[no-untyped-call]  # torch has no types for it


def channels_joined(*tensors: Tensor) -> Tensor:
    """The channels of all, in one tensor."""
    return side_by_side(tensors, 1)


@dataclass(frozen=True)
class Places:
    """What a kernel reads along each axis: ``size`` places, ``dilation`` apart."""

    size: int
    dilation: int

    @property
    def before(self) -> int:
        """Places before the one that it is laid on, where it is padded to the size of its input."""
        return self.dilation * (self.size - 1) // 2

    def within(self, other: Places) -> slice:
        """Its places among those of ``other``, laid on the same one."""
        first, step = (other.before - self.before) // other.dilation, max(1, self.dilation // other.dilation)
        return slice(first, first + step * (self.size - 1) + 1, step)


class Embed(torch.autograd.Function):
    """Kernels side by side in the window ``into``, with zeros elsewhere.

    ``runs`` has, in their order, a window and how many of the kernels ``(out, in, *window)`` have it.
    """

    @staticmethod
    def forward(into: Places, runs: tuple[tuple[Places, int], ...], *kernels: Tensor) -> Tensor:
        first = kernels[0]
        axes = (into.size,) * (first.dim() - 2)
        whole = first.new_zeros(sum(k.shape[0] for k in kernels), first.shape[1], *axes)
        sizes = [k.shape[0] for k in kernels]
        done = 0
        for view, (_, count) in zip(_places(whole, into, runs, sizes), runs, strict=True):
            view.copy_(torch.cat(kernels[done : done + count]))
            done += count
        return whole

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.into, ctx.runs, *kernels = inputs
        ctx.sizes = [k.shape[0] for k in kernels]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found: list[Tensor] = []
        for view, (_, count) in zip(_places(grads[0], ctx.into, ctx.runs, ctx.sizes), ctx.runs, strict=True):
            found += view.split_with_sizes(ctx.sizes[len(found) : len(found) + count])
        return (None, None, *found)


def _places(whole: Tensor, into: Places, runs: Sequence[tuple[Places, int]], sizes: Sequence[int]) -> list[Tensor]:
    """What of the joined kernel comes from the kernels, by run."""
    found, first, done = [], 0, 0
    for window, count in runs:
        channels = sum(sizes[done : done + count])
        places = (window.within(into),) * (whole.dim() - 2)
        found.append(whole[(slice(first, first + channels), slice(None), *places)])
        first, done = first + channels, done + count
    return found


def embedded(kernels: Sequence[Tensor], windows: Sequence[Places], into: Places) -> Tensor:
    """Kernels ``(out, in, *window)`` side by side, each in the window ``into``: ``(sum of out, in, *into)``."""
    if all(w == into for w in windows):
        return side_by_side(kernels)
    runs = tuple((window, len(list(run))) for window, run in groupby(windows))
    return cast(Tensor, Embed.apply(into, runs, *kernels))  # type: ignore[no-untyped-call]  # torch has no types for it


@dataclass(frozen=True)
class JoinedConv:
    """A joined convolution; ``uneven``: it pads more after than before, by itself."""

    window: Window
    places: Places
    uneven: bool

    @staticmethod
    def of(layer: Layer) -> JoinedConv:
        """From the layer of the joined op, which is never built."""
        options: dict[str, Any] = dict(layer.kwargs)
        rank = 2 if issubclass(layer.cls, nn.Conv2d) else 1
        places = Places(cast(int, layer.args[2]), options.get("dilation", 1))
        stride, padding = options.get("stride", 1), options.get("padding", 0)
        window = Window(
            (places.size,) * rank,
            stride if isinstance(stride, tuple) else (stride,) * rank,
            (padding,) * rank,
            (places.dilation,) * rank,
            options.get("groups", 1),
        )
        return JoinedConv(window, places, issubclass(layer.cls, SameConv1d | SameConv2d))

    def __call__(self, modules: Sequence[Any], tensors: Tensors, x: Tensor, convolve: Convolve) -> Tensor:
        if one_window(modules):
            weight = tensors("weight")
        else:
            step = self.window.stride[0]  # a pass that divided the stride of a module has divided its dilation alike
            places = [Places(m.kernel_size[0], m.dilation[0] * step // m.stride[0]) for m in modules]
            weight = embedded([m.weight for m in modules], places, self.places)
        return self.run(x, weight, None if modules[0].bias is None else tensors("bias"), convolve)

    def run(self, x: Tensor, weight: Tensor, bias: Tensor | None, convolve: Convolve) -> Tensor:
        """The convolution with these weights."""
        if self.uneven:
            x = pad_same(x, self.places.size, self.window.stride, self.places.dilation)
        return convolve(self.window, x, weight, bias)


def one_window(modules: Sequence[Any]) -> bool:
    """Whether all kernels read alike."""
    return len({(m.kernel_size, m.dilation, m.stride) for m in modules}) == 1


def joined_linear(modules: Sequence[Any], tensors: Tensors, x: Tensor) -> Tensor:
    """Linear maps of one ``[N, C, *space]``, or of as many as there are side by side."""
    weight = tensors("weight")
    bias = None if modules[0].bias is None else tensors("bias")
    groups = x.shape[1] // weight.shape[1]
    if groups == 1 and x.dim() == 2:
        return F.linear(x, weight, bias)
    y = F.conv1d(x.flatten(2) if x.dim() > 2 else x.unsqueeze(-1), weight.unsqueeze(-1), bias, groups=groups)
    return y.reshape(*y.shape[:2], *x.shape[2:])


def joined_norm(modules: Sequence[Any], tensors: Tensors, x: Tensor, scale: Tensor | None = None) -> Tensor:
    """Batch norms of channels side by side; ``scale`` (one number a channel) multiplies what they give.

    The running statistics among ``tensors`` are updated; who owns them writes them back.
    """
    norms: Sequence[nn.BatchNorm2d] = modules
    if not _alike(norms):
        pieces = x.split_with_sizes([n.num_features for n in norms], 1)
        y = side_by_side([norm(piece) for norm, piece in zip(norms, pieces, strict=True)], 1)
        return y if scale is None else y * scale.reshape(-1, *(1,) * (x.dim() - 2)).to(y.dtype)
    first = norms[0]
    mean, variance = tensors("running_mean"), tensors("running_var")
    weight, bias = (tensors("weight"), tensors("bias")) if first.affine else (None, None)
    if scale is not None:
        scale = scale.to(mean.dtype)
        weight, bias = (scale, None) if weight is None or bias is None else (weight * scale, bias * scale)
    return F.batch_norm(x, mean, variance, weight, bias, first.training, cast(float, first.momentum), first.eps)


def _alike(norms: Sequence[nn.BatchNorm2d]) -> bool:
    """Whether the norms may run as one: not where each counts its batches for a plain average."""
    kinds = {(n.training, n.eps, n.momentum, n.affine, n.running_mean is None) for n in norms}
    return len(kinds) == 1 and norms[0].momentum is not None and norms[0].running_mean is not None


class BlockSum(torch.autograd.Function):
    """The sum of ``blocks`` equal blocks of channels."""

    @staticmethod
    def forward(x: Tensor, blocks: int) -> Tensor:
        return x.reshape(x.shape[0], blocks, x.shape[1] // blocks, *x.shape[2:]).sum(1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.blocks = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return torch.cat([grads[0]] * ctx.blocks, 1), None


def block_sum(x: Tensor, blocks: int) -> Tensor:
    """``[N, blocks * C, *space]`` to ``[N, C, *space]``."""
    if blocks == 1:
        return x
    return cast(Tensor, BlockSum.apply(x, blocks))  # type: ignore[no-untyped-call]  # torch has no types for it
