"""The generated kernels as implementations of ops, under the name ``native``."""

from __future__ import annotations

from torch import Tensor

from spacec.lower.kernels.native import compiler, depthwise
from spacec.lower.kernels.table import Implementation, OpSite, Window, layout_of

NAME = "native"


def _applies(site: OpSite) -> bool:
    window = site.window
    return (
        window is not None
        and site.depthwise
        and site.channels[0] == site.channels[1]
        and len(window.kernel) == 2
        and site.device == "cpu"
        and site.dtype in ("float32", "float64")
        and site.layout != "strided"
        and depthwise.supports(window.kernel, window.stride, window.dilation)
        and compiler.compiler() is not None
    )


def _forward(window: Window, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out = depthwise.forward(x, weight, _ints(window), _last(x))
    return out if bias is None else out.add_(bias[:, None, None])


def _input(window: Window, gradient: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    return depthwise.input_gradient(gradient, weight, shape[2:], _ints(window), _last(gradient))


def _weight(window: Window, gradient: Tensor, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return depthwise.weight_gradient(gradient, x, shape[2:], _ints(window), _last(x))


def _ints(window: Window) -> tuple[int, ...]:
    return (*window.stride, *window.padding, *window.dilation)


def _last(x: Tensor) -> bool:
    return layout_of(x) == "channels_last"


def _pays(site: OpSite) -> bool:
    """In channels_last everywhere that was measured; else where the stride is 1."""
    return site.layout == "channels_last" or (site.window is not None and max(site.window.stride) == 1)


NATIVE = (
    Implementation(NAME, "conv", _forward, _applies, _pays, "forward"),
    Implementation(NAME, "conv", _input, _applies, _pays, "input"),
    Implementation(NAME, "conv", _weight, _applies, _pays, "weight"),
)
"""Depthwise convolution by parts."""
