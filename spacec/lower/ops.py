"""Lowerings of the primitive ops, for vectors ``[C]``, sequences ``[C, T]`` and images ``[C, H, W]``.

Assumes that the shape rules of :mod:`spacec.std.rules` accepted the op. Where PyTorch has the
layer, PyTorch's is used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacec.lower import modules
from spacec.lower.kernels.native.joint import run_separable
from spacec.lower.kernels.subsample import subsample as subsampled
from spacec.lower.layers import Axis, Call, Layer, Lowering, Site, Value, initial
from spacec.lower.modules_graph import graph_pool

_CONV: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d)
_SAME_CONV: tuple[type[nn.Module], ...] = (modules.SameConv1d, modules.SameConv2d)
_NORM: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)
_INSTANCE_NORM: tuple[type[nn.Module], ...] = (nn.InstanceNorm1d, nn.InstanceNorm2d)
_MAX_POOL: tuple[Callable[..., Tensor], ...] = (F.max_pool1d, F.max_pool2d)
_AVG_POOL: tuple[Callable[..., Tensor], ...] = (F.avg_pool1d, F.avg_pool2d)


def _spatial(site: Site) -> int:
    """Index of the one- or two-dimensional variant."""
    rank = site.inputs[0].rank
    if rank not in (1, 2):
        raise ValueError(f"it needs one or two spatial axes, found {rank}")
    return rank - 1


def _changed(**options: tuple[Value, Value]) -> tuple[tuple[str, Value], ...]:
    """Keyword arguments whose value differs from PyTorch's default, given as ``name=(value, default)``."""
    return tuple((name, value) for name, (value, default) in options.items() if value != default)


def _short(values: tuple[int, ...]) -> Value:
    return values[0] if len(set(values)) == 1 else values


def conv(site: Site) -> Layer:
    """Convolution; ``pad = "same"`` pads to ceil(n / stride), evenly where the kernel's span is even."""
    index, kernel, dilation = _spatial(site), site.integer("kernel"), site.integer("dilation")
    into, out, groups = site.inputs[0].channels, site.output.channels, site.integer("groups")
    span, pad = dilation * (kernel - 1), site.attrs["pad"]
    even = pad != "same" or span % 2 == 0
    axes: tuple[tuple[str, tuple[Axis, ...]], ...]
    window: list[Axis] = ["kernel"] * site.inputs[0].rank
    if groups == 1:
        axes = ("weight", ("out", "in", *window)), ("bias", ("out",))
    elif groups == into == out:
        axes = ("weight", ("in", None, *window)), ("bias", ("in",))
    else:
        axes = ("weight", ("out", "group", *window)), ("bias", ("out",))
    options = _changed(
        stride=(_short(site.per_axis("stride")), 1),
        padding=(0 if not even else span // 2 if pad == "same" else pad, 0),
        dilation=(dilation, 1),
        groups=(groups, 1),
        bias=(bool(site.attrs["bias"]), True),
    )
    return Layer((_CONV if even else _SAME_CONV)[index], (into, out, kernel), options, initial(site), axes)


def linear(site: Site) -> Layer:
    """Linear map of the channels at every position."""
    cls = modules.ChannelLinear if site.inputs[0].rank else nn.Linear
    axes: tuple[tuple[str, tuple[Axis, ...]], ...] = ("weight", ("out", "in")), ("bias", ("out",))
    sizes = site.inputs[0].channels, site.output.channels
    return Layer(cls, sizes, _changed(bias=(bool(site.attrs["bias"]), True)), initial(site), axes)


_PER_CHANNEL: tuple[tuple[str, tuple[Axis, ...]], ...] = tuple(
    (name, ("in",)) for name in ("weight", "bias", "running_mean", "running_var")
)


def bn(site: Site) -> Layer:
    """Batch normalisation."""
    options = _changed(
        eps=(site.number("eps"), 1e-5),
        momentum=(site.number("momentum"), 0.1),
        affine=(bool(site.attrs["affine"]), True),
    )
    return Layer(_NORM[site.inputs[0].rank], (site.inputs[0].channels,), options, None, _PER_CHANNEL)


def instance_norm(site: Site) -> Layer:
    """Instance normalisation, without running statistics."""
    options = _changed(eps=(site.number("eps"), 1e-5), affine=(bool(site.attrs["affine"]), False))
    return Layer(_INSTANCE_NORM[_spatial(site)], (site.inputs[0].channels,), options, None, _PER_CHANNEL)


def layer_norm(site: Site) -> Layer:
    """Normalisation over the channels at every position."""
    options = _changed(eps=(site.number("eps"), 1e-5), affine=(bool(site.attrs["affine"]), True))
    return Layer(modules.ChannelNorm, (site.inputs[0].channels,), options, None, _PER_CHANNEL)


def _pool(site: Site, native: tuple[Callable[..., Tensor], ...], uneven: Callable[..., Tensor], mean: bool) -> Call:
    index, kernel, stride, pad = _spatial(site), site.integer("kernel"), site.per_axis("stride"), site.attrs["pad"]
    if pad == "same" and kernel % 2 == 0:
        return Call(uneven, (kernel, stride))
    padding = kernel // 2 if pad == "same" else site.integer("pad")
    if padding > kernel // 2:
        raise ValueError(f"a padding of {padding} is more than half of the window {kernel}")
    options = _changed(padding=(padding, 0), count_include_pad=(not mean or not padding, True))
    return Call(native[index], (kernel, _short(stride)), options)


def max_pool(site: Site) -> Call:
    """Maximum over a window."""
    return _pool(site, _MAX_POOL, modules.max_pool_same, mean=False)


def avg_pool(site: Site) -> Call:
    """Mean over a window, padding left out."""
    return _pool(site, _AVG_POOL, modules.avg_pool_same, mean=True)


def global_pool(site: Site) -> Call:
    """Mean over space."""
    if site.inputs[0].kind == "graph":
        return Call(graph_pool, graph=True)
    rank = site.inputs[0].rank
    return Call(torch.mean, (tuple(range(2, rank + 2)),)) if rank else Call(style="identity")


def identity(site: Site) -> Call:
    return Call(style="identity")


def zero(site: Site) -> Call:
    """A present tensor of zeros of the output type."""
    return Call(modules.zeros, (site.output.channels, site.per_axis("stride")))


def noise(site: Site) -> Layer:
    """Standard normal numbers of the output type (RobustDARTS, Zela et al. 2020, space S4)."""
    return Layer(modules.Noise, (site.per_axis("stride"),), axes=())


def narrow(site: Site) -> Call:
    """The first channels."""
    return Call(torch.narrow, (1, 0, site.output.channels))


def share(site: Site) -> Call:
    """Some channels in a row, for :mod:`spacec.passes.partial`."""
    return Call(torch.narrow, (1, site.integer("first"), site.output.channels))


def interleave(site: Site) -> Call:
    """The channels of both tensors, shuffled, for :mod:`spacec.passes.partial`."""
    return Call(modules.interleaved)


def subsample(site: Site) -> Call:
    """Positions at multiples of a factor, for :mod:`spacec.passes.polyphase`."""
    return Call(subsampled, (site.per_axis("factor"),))


def separable(site: Site) -> Call:
    """The layers of a separable convolution in one pass, for :mod:`spacec.passes.separable`; they are given first."""
    return Call(run_separable)


def upsample(site: Site) -> Call:
    """Upsampling by whole factors, nearest-neighbour or linear along each axis."""
    if not site.inputs[0].rank:
        return Call(style="identity")
    function = modules.interpolate if site.attrs["mode"] == "bilinear" else modules.upsample
    return Call(function, (site.per_axis("factor"),))


def broadcast(site: Site) -> Call:
    """A vector at every position of a tensor."""
    return Call(modules.broadcast)


def shift(site: Site) -> Call:
    """One position along each spatial axis."""
    return Call(modules.shift) if site.inputs[0].rank else Call(style="identity")


def sum(site: Site) -> Call:
    return Call(style="sum")


def concat(site: Site) -> Call:
    return Call(style="concat")


def mul(site: Site) -> Call:
    return Call(modules.multiply)


def dropout(site: Site) -> Layer:
    return Layer(nn.Dropout, (site.number("rate"),), axes=())


def drop_path(site: Site) -> Layer:
    """Stochastic depth at rate 0 until :func:`spacec.lower.helpers.set_drop_path` says otherwise."""
    return Layer(modules.DropPath, axes=())


def _activation(fn: Callable[..., Tensor]) -> Lowering:
    return lambda site: Call(fn)


relu = _activation(F.relu)
relu6 = _activation(F.relu6)
leaky_relu = _activation(F.leaky_relu)
elu = _activation(F.elu)
gelu = _activation(F.gelu)
swish = _activation(F.silu)
hardswish = _activation(F.hardswish)
mish = _activation(F.mish)
sigmoid = _activation(torch.sigmoid)
hardsigmoid = _activation(F.hardsigmoid)
tanh = _activation(torch.tanh)
softplus = _activation(F.softplus)
