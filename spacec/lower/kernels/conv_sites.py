"""Where the ways of :mod:`spacec.lower.kernels.conv` can be used, and where they are expected to pay.

What is expected was measured on CPUs with oneDNN 3, whose kernels know no float64, no gradients of dilated convolutions
and no weight gradients of depthwise kernels wider than 3. On other devices the library's are expected to be fastest.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spacec.lower.kernels.conv import (
    STRIP,
    flips,
    forward_matmul,
    forward_taps,
    input_flipped,
    input_matmul,
    input_polyphase,
    input_taps,
    reduced,
    weight_matmul,
    weight_phases,
    weight_polyphase,
    weight_strips,
    weight_taps,
)
from spacec.lower.kernels.table import Implementation, OpSite, Part, Window, never

FEW = 8
"""Channels below which oneDNN has no kernel in the default layout."""


def _single(site: OpSite, window: Window) -> bool:
    """One kernel of several places for each channel."""
    return site.depthwise and site.channels[0] == site.channels[1] and max(window.kernel) > 1


def _for(condition: Callable[[OpSite, Window], bool]) -> Callable[[OpSite], bool]:
    return lambda site: site.window is not None and condition(site, site.window)


def _product(site: OpSite, window: Window) -> bool:
    plain = not any(window.padding) and {*window.stride, *window.kernel} == {1}
    return plain and window.groups == 1 and site.layout != "channels_last"


def _wide(site: OpSite, window: Window) -> bool:
    return site.depthwise and window.kernel[-1] > STRIP


def _dilated(site: OpSite, window: Window) -> bool:
    apart = any(d > 1 and k > 1 for d, k in zip(window.dilation, window.kernel, strict=True))
    return apart and max(window.stride) == 1


def _reducible(site: OpSite, window: Window) -> bool:
    return max(reduced(window)[0]) > 1


def _native(site: OpSite, window: Window) -> bool:
    """oneDNN has kernels of this dtype, and depthwise ones."""
    return ONEDNN and site.device == "cpu" and site.dtype != "float64" and site.depthwise and max(window.kernel) > 1


def _unserved(site: OpSite, window: Window) -> bool:
    """oneDNN has none, or they treat each channel as a vector of them."""
    few = site.channels[0] < FEW and max(window.stride) == 1 and site.layout != "channels_last"
    return site.device == "cpu" and (site.dtype == "float64" or few)


def _mirrored_pays(site: OpSite, window: Window) -> bool:
    return _native(site, window) and (max(window.stride) == 1 or site.dtype == "bfloat16")


_Part = Callable[..., Tensor]
_Condition = Callable[[OpSite, Window], bool]


def _listed(name: str, part: Part, run: _Part, applies: _Condition, pays: _Condition | None = None) -> Implementation:
    return Implementation(name, "conv", run, _for(applies), never if pays is None else _for(pays), part)


ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch leaves it so

CONVOLUTIONS: tuple[Implementation, ...] = (
    _listed("taps", "forward", forward_taps, _single, _unserved),
    _listed("taps", "input", input_taps, _single, _unserved),
    _listed("taps", "weight", weight_taps, _single, _unserved),
    _listed("polyphase", "input", input_polyphase, _reducible, _native),
    _listed("polyphase", "weight", weight_polyphase, _reducible, _native),
    _listed("flipped", "input", input_flipped, lambda site, window: flips(window), _mirrored_pays),
    _listed("phases", "weight", weight_phases, _dilated, _native),
    _listed("strips", "weight", weight_strips, _wide, _native),
    _listed("matmul", "forward", forward_matmul, _product),
    _listed("matmul", "input", input_matmul, _product),
    _listed("matmul", "weight", weight_matmul, _product),
)
"""In the order in which they are preferred unmeasured."""
