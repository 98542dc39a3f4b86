"""Runs the op of a node through the implementation that was chosen for its site.

A choice is a text: the name of an implementation of the whole op, or ``forward|input|weight``, the names of the three
parts' implementations. Weights and buffers are read when the op runs, so that weights may be replaced for one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spacec.lower.kernels.library import library_conv
from spacec.lower.kernels.parts import Trio, convolve
from spacec.lower.kernels.registry import IMPLEMENTATIONS, REWRITTEN
from spacec.lower.kernels.table import LIBRARY, PARTS, Implementation, Norm, OpSite, Window, layout_of
from spacec.lower.layers import Call, Layer

Choose = Callable[[OpSite], str]
"""The choice at a site."""

Kernel = Callable[..., Tensor]
"""A differentiable function of the op's tensors, as :mod:`spacec.lower.kernels.table` lists them."""

_CONVS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_POOLS: Mapping[object, str] = {
    F.max_pool1d: "max_pool",
    F.max_pool2d: "max_pool",
    F.avg_pool1d: "avg_pool",
    F.avg_pool2d: "avg_pool",
}


def library(site: OpSite) -> str:
    """The choice that changes nothing."""
    return LIBRARY


def expected(site: OpSite, generated: bool = True) -> str:
    """The choice by what implementations expect of themselves, without measuring; ``generated``: code, too."""
    return heuristic(site, IMPLEMENTATIONS if generated else REWRITTEN)


def heuristic(site: OpSite, known: tuple[Implementation, ...]) -> str:
    """The first implementation of the whole op that pays, else of each part; see :func:`expected`."""
    paying = [i for i in known if i.op == site.op and i.applies(site) and i.pays(site)]
    whole = next((i.name for i in paying if i.part is None), None)
    if whole is not None:
        return whole
    return joined([next((i.name for i in paying if i.part == part), LIBRARY) for part in PARTS])


def joined(parts: list[str]) -> str:
    """The choice of three parts' implementations."""
    return LIBRARY if set(parts) == {LIBRARY} else "|".join(parts)


def bind(site: OpSite, choice: str, known: tuple[Implementation, ...] = IMPLEMENTATIONS) -> Kernel | None:
    """What a choice runs; ``None`` for the library.

    Raises :class:`KeyError` for an implementation that is not there, or does not apply to the site.
    """
    if choice == LIBRARY:
        return None
    there = {(i.name, i.part): i.run for i in known if i.op == site.op and i.applies(site)}
    if "|" not in choice:
        return there[choice, None]
    names = choice.split("|")
    runs = (None if name == LIBRARY else there[name, part] for name, part in zip(names, PARTS, strict=True))
    trio = Trio(*runs)
    return lambda window, x, weight, bias: convolve(window, trio, x, weight, bias)


class Kernels:
    """The kernels of one graph of a supernet: ``choose`` is asked once for each site of a node.

    ``node`` stands for a node of that graph, whatever its layer's weights. ``missing``: the choices that could not be
    kept here (by signature), where the library's kernel runs instead.
    """

    def __init__(self, choose: Choose, known: tuple[Implementation, ...] = IMPLEMENTATIONS) -> None:
        self._choose = choose
        self._known = known
        self._found: dict[tuple[Any, ...], tuple[Kernel, Window | None] | None] = {}
        self.missing: dict[str, str] = {}
        self.sites: list[OpSite] = []
        """The sites met, one for each node that met one."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Kernels:
        return self

    def bound(self, node: int, described: Layer | Call, own: Callable[..., Tensor]) -> Bound | None:
        """What runs an op in the place of ``own``, its layer or function; ``None`` where only that can."""
        if isinstance(described, Call):
            return Bound(self, node, described, own) if described.fn in _POOLS else None
        return Bound(self, node, None, own) if described.cls in (*_CONVS, *_NORMS) else None

    def layer(self, node: int, module: nn.Module, x: Tensor) -> Tensor | None:
        """The result of a layer of one input; ``None`` where the layer itself is to run."""
        key = _key(node, x, module.training)
        if key not in self._found:
            self._found[key] = self._of_layer(module, x)
        found = self._found[key]
        if found is None or hooked(module):
            return None
        kernel, window = found
        if window is not None:
            return kernel(window, x, module.weight, module.bias)
        return _normalised(kernel, module, x)

    def call(self, node: int, call: Call, x: Tensor) -> Tensor | None:
        """The result of a function of one tensor; ``None`` where the function itself is to run."""
        key = _key(node, x)
        if key not in self._found:
            self._found[key] = self._of_call(call, x)
        found = self._found[key]
        return None if found is None else found[0](found[1], x)

    def conv(self, node: int, window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """A convolution whose weight is no layer's own, such as several layers' side by side."""
        key = _key(node, x)
        if key not in self._found:
            self._found[key] = self._bound(_site("conv", window, x, weight.shape[0]))
        found = self._found[key]
        return (library_conv if found is None else found[0])(window, x, weight, bias)

    def _of_layer(self, module: Any, x: Tensor) -> tuple[Kernel, Window | None] | None:
        kind: type[nn.Module] = type(module)
        if kind in _CONVS:
            if module.padding_mode != "zeros" or isinstance(module.padding, str):
                return None
            window = Window(module.kernel_size, module.stride, module.padding, module.dilation, module.groups)
            return self._bound(_site("conv", window, x, module.out_channels))
        if kind in _NORMS and module.running_mean is not None and module.momentum is not None:
            return self._bound(_site("bn", None, x, x.shape[1], "train" if module.training else "eval"))
        return None

    def _of_call(self, call: Call, x: Tensor) -> tuple[Kernel, Window | None] | None:
        op = _POOLS.get(call.fn)
        if op is None:
            return None
        values: Iterator[Any] = (
            value if isinstance(value, tuple) else (value,) * (x.dim() - 2)
            for value in (*call.args, dict(call.kwargs).get("padding", 0), 1)
        )
        return self._bound(_site(op, Window(*values), x, x.shape[1]))

    def _bound(self, site: OpSite) -> tuple[Kernel, Window | None] | None:
        choice = self._choose(site)
        self.sites.append(site)
        try:
            kernel = bind(site, choice, self._known)
        except KeyError:
            self.missing[site.signature] = choice
            return None
        return None if kernel is None else (kernel, site.window)


@dataclass(frozen=True)
class Bound:
    """One op of a graph by the kernels that were chosen for it; ``call`` describes a function, a layer needs none."""

    kernels: Kernels
    node: int
    call: Call | None
    own: Any

    def __call__(self, x: Tensor) -> Tensor:
        if self.call is None:
            found = self.kernels.layer(self.node, self.own, x)
        else:
            found = self.kernels.call(self.node, self.call, x)
        if found is not None:
            return found
        plain: Tensor = self.own(x)
        return plain


@dataclass(frozen=True)
class Moved:
    """A convolution of a rewritten graph: its layer's weights, read when it runs, in another window."""

    node: int
    module: nn.Conv1d | nn.Conv2d
    window: Window
    kernels: Kernels | None

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias = self.module.weight, self.module.bias
        if self.kernels is None:
            return library_conv(self.window, x, weight, bias)
        return self.kernels.conv(self.node, self.window, x, weight, bias)


def moved(layer: Layer, module: nn.Module) -> tuple[nn.Conv1d | nn.Conv2d, Window] | None:
    """A convolution and its window in a rewritten graph; ``None`` where the window of ``layer`` is the module's own."""
    if not isinstance(module, nn.Conv1d | nn.Conv2d) or layer.cls is not type(module):
        return None
    options, rank = dict(layer.kwargs), len(module.kernel_size)
    defaults = (("stride", 1), ("padding", 0), ("dilation", 1))
    stride, padding, dilation = (_per_axis(options.get(name, default), rank) for name, default in defaults)
    if (stride, padding, dilation) == (module.stride, module.padding, module.dilation):
        return None
    return module, Window(module.kernel_size, stride, padding, dilation, module.groups)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * rank


def _key(node: int, x: Tensor, training: bool = False) -> tuple[Any, ...]:
    device = x.device.type
    return node, x.shape, x.dtype, layout_of(x), device, torch.is_autocast_enabled(device), training


def _site(op: str, window: Window | None, x: Tensor, out: int, detail: str = "") -> OpSite:
    device = x.device.type
    cast = op == "conv" and torch.is_autocast_enabled(device)
    dtype = str(torch.get_autocast_dtype(device) if cast else x.dtype).removeprefix("torch.")
    batch, channels, *space = map(int, x.shape)
    return OpSite(op, (channels, out), batch, tuple(space), dtype, layout_of(x), device, window, detail)


def _normalised(kernel: Kernel, module: Any, x: Tensor) -> Tensor:
    if module.training:
        module.num_batches_tracked.add_(1)
    norm = Norm(module.eps, module.momentum, module.training)
    return kernel(norm, x, module.weight, module.bias, module.running_mean, module.running_var)


def hooked(module: nn.Module) -> bool:
    """Whether someone listens to calls of this module."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
