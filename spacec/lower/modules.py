"""Layers and functions that PyTorch lacks. Imports torch only: exported networks carry copies of what they use.

Every tensor is ``[N, C, *space]``: batch axis first, channels second.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attach(root: nn.Module, key: str, layer: nn.Module) -> None:
    """Make ``layer`` reachable as ``root.<key>``; a dotted key makes containers on its way."""
    *path, name = key.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(name, layer)


def normal_init(layer: nn.Module, std: float) -> nn.Module:
    """``layer`` with its weight drawn anew from N(0, std²)."""
    nn.init.normal_(layer.get_parameter("weight"), 0.0, std)
    return layer


def frozen(layer: nn.Module) -> nn.Module:
    """``layer`` with weights that take no gradient, in evaluation; :func:`keep_frozen` keeps it there."""
    vars(layer)["frozen"] = True
    return layer.requires_grad_(False).eval()


def keep_frozen(model: nn.Module) -> None:
    """Layers whose weights are not trained stay in evaluation, whatever mode the model is in."""
    for layer in model.modules():
        if vars(layer).get("frozen"):
            layer.eval()


def pad_same(x: Tensor, kernel: int, stride: Sequence[int], dilation: int = 1, value: float = 0.0) -> Tensor:
    """Pad for ceil(n / stride) windows: dilation * (kernel - 1) // 2 before, after as needed."""
    span = dilation * (kernel - 1)
    pads = []
    for n, step in zip(reversed(x.shape[2:]), reversed(stride), strict=True):
        last = (-(-n // step) - 1) * step
        pads += [span // 2, max(0, last + span + 1 - n - span // 2)]
    return F.pad(x, pads, value=value)


class SameConv1d(nn.Conv1d):
    """Convolution of a sequence to length ceil(n / stride), for kernels that need uneven padding."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad_same(input, self.kernel_size[0], self.stride, self.dilation[0]))


class SameConv2d(nn.Conv2d):
    """Convolution of an image to size ceil(n / stride), for kernels that need uneven padding."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(pad_same(input, self.kernel_size[0], self.stride, self.dilation[0]))


class ChannelLinear(nn.Linear):
    """A linear map of the channels at every position: ``[N, C, *space]`` to ``[N, D, *space]``."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class ChannelBias(nn.Module):
    """A learned number for each channel, added at every position."""

    def __init__(self, channels: int, start: float = 0.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.full((channels,), float(start)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias.reshape(-1, *(1,) * (x.dim() - 2))

    def extra_repr(self) -> str:
        return f"{self.bias.shape[0]}"


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels at every position."""

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.movedim(1, -1), (self.channels,), self.weight, self.bias, self.eps)
        return y.movedim(-1, 1)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}, affine={self.weight is not None}"


class DropPath(nn.Module):
    """Stochastic depth (Larsson et al. 2017): in training, zero a sample with probability ``rate``, and rescale."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * (x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(keep) / keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class Noise(nn.Module):
    """Numbers from N(0, 1), ``[N, C, ceil(n / stride)…]``, whatever the input's values; in evaluation too."""

    def __init__(self, stride: Sequence[int]) -> None:
        super().__init__()
        self.stride = tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        space = (-(-n // s) for n, s in zip(x.shape[2:], self.stride, strict=True))
        return x.new_empty((*x.shape[:2], *space)).normal_()

    def extra_repr(self) -> str:
        return f"stride={self.stride}"


def interleaved(first: Tensor, others: Tensor) -> Tensor:
    """The channels of both, shuffled in as many groups as ``first`` has shares of them (PC-DARTS' channel shuffle)."""
    shares = others.chunk(others.shape[1] // first.shape[1], 1)
    return torch.stack((first, *shares), 2).flatten(1, 2)


def max_pool_same(x: Tensor, kernel: int, stride: tuple[int, ...]) -> Tensor:
    """Maximum over a window, for kernels that need uneven padding."""
    pool = (F.max_pool1d, F.max_pool2d)[x.dim() - 3]
    y: Tensor = pool(pad_same(x, kernel, stride, value=float("-inf")), kernel, stride)
    return y


def avg_pool_same(x: Tensor, kernel: int, stride: tuple[int, ...]) -> Tensor:
    """Mean over a window without its padding, for kernels that need uneven padding."""
    pool = (F.avg_pool1d, F.avg_pool2d)[x.dim() - 3]
    padded = pad_same(x, kernel, stride)
    y: Tensor = pool(padded, kernel, stride)
    if padded.shape == x.shape:
        return y
    inside: Tensor = pool(pad_same(torch.ones_like(x[:1, :1]), kernel, stride), kernel, stride)
    return y / inside


def zeros(x: Tensor, channels: int, stride: Sequence[int]) -> Tensor:
    """``[N, channels, ceil(n / stride)…]`` of zeros."""
    return x.new_zeros(x.shape[0], channels, *(-(-n // s) for n, s in zip(x.shape[2:], stride, strict=True)))


def upsample(x: Tensor, factor: Sequence[int]) -> Tensor:
    """Nearest neighbour: every position repeated ``factor`` times along its axis."""
    size = [n * f for n, f in zip(x.shape[2:], factor, strict=True)]
    return F.interpolate(x, size=size, mode="nearest")


def interpolate(x: Tensor, factor: Sequence[int]) -> Tensor:
    """Linear along each axis; positions are the centres of cells, as in resizing images."""
    size = [n * f for n, f in zip(x.shape[2:], factor, strict=True)]
    return F.interpolate(x, size=size, mode="linear" if x.dim() == 3 else "bilinear", align_corners=False)


def broadcast(vector: Tensor, like: Tensor) -> Tensor:
    """``[N, C]`` at every position of ``like``."""
    return vector.reshape(vector.shape + (1,) * (like.dim() - 2)).expand(*vector.shape, *like.shape[2:])


def shift(x: Tensor) -> Tensor:
    """``out[i] = x[i + 1]`` along every spatial axis, zeros at the end (factorised reduction's one-pixel shift)."""
    for axis in range(2, x.dim()):
        x = x.narrow(axis, 1, x.shape[axis] - 1)
    return F.pad(x, [0, 1] * (x.dim() - 2))


def multiply(*factors: Tensor) -> Tensor:
    """Product; a vector ``[N, C]`` scales the channels of ``[N, C, *space]``."""
    rank = max(f.dim() for f in factors)
    product, *others = (f.reshape(f.shape + (1,) * (rank - f.dim())) for f in factors)
    for other in others:
        product = product * other
    return product


def add_losses(losses: dict[str, Tensor], more: dict[str, Tensor]) -> None:
    """Add the auxiliary losses that a layer returned beside its output."""
    for name, value in more.items():
        losses[name] = losses[name] + value if name in losses else value


def check_input(name: str, x: Tensor, dims: Sequence[object], sizes: dict[str, int]) -> None:
    """Raise :class:`ValueError` unless ``x`` is ``[N, *dims]``; sizes that the input decides go into ``sizes``.

    A size is a number, ``(factor, symbol, offset)`` for ``factor * symbol + offset``, or ``None`` for any.
    """
    good = x.dim() == len(dims) + 1
    for n, dim in zip(x.shape[1:], dims, strict=False):
        if isinstance(dim, int):
            good = good and n == dim
        elif isinstance(dim, tuple):
            factor, symbol, offset = dim
            size = (n - offset) // factor
            good = good and size > 0 and size * factor + offset == n and sizes.setdefault(symbol, size) == size
    if not good:
        known = ", ".join(f"{k} = {v}" for k, v in sizes.items())
        expected = ", ".join(["N", *map(describe_size, dims)])
        found = ", ".join(map(str, x.shape))
        raise ValueError(f"input '{name}' must be [{expected}], found [{found}]" + (f" with {known}" if known else ""))


def describe_size(dim: object) -> str:
    """``(8, "H", 0)`` as ``8*H``."""
    if not isinstance(dim, tuple):
        return "any" if dim is None else str(dim)
    factor, symbol, offset = dim
    text = symbol if factor == 1 else f"{factor}*{symbol}"
    return text if offset == 0 else f"{text} {'+' if offset > 0 else '-'} {abs(offset)}"


def check_divisible(text: str, value: int, divisor: int) -> None:
    """Raise :class:`ValueError` where a size that must divide does not."""
    if value % divisor:
        raise ValueError(f"the input's size does not fit: {text}")
