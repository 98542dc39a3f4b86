"""Steps of a plan as straight-line text over tensors: what a region is generated from.

A layer is written as a function of its inputs, weights and buffers, so that layers of one shape have one text wherever
they stand. What draws random numbers, answers in several tensors or is a user's own has no text: it runs by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spacec.lower import modules
from spacec.lower.layers import Call
from spacec.lower.modules import ChannelBias, ChannelLinear, ChannelNorm, SameConv1d, SameConv2d, pad_same

Setting = tuple[bool, float | None]
"""Of a batch norm: whether it uses the batch's statistics, and its momentum."""

SCOPE = {name: getattr(modules, name) for name in ("pad_same", "max_pool_same", "avg_pool_same", "zeros", "upsample")}
SCOPE |= {name: getattr(modules, name) for name in ("interpolate", "broadcast", "shift", "multiply", "interleaved")}
SCOPE |= {"torch": torch, "F": F, "pad_same": pad_same}
"""What a text may name."""


@dataclass(frozen=True)
class Written:
    """A layer as text: ``expression`` of the names of its input and tensors, and of a norm's setting."""

    expression: Callable[[str, Sequence[str], Setting | None], str]
    parameters: tuple[str, ...]
    buffers: tuple[str, ...] = ()


def call_text(call: Call, names: Sequence[str]) -> str | None:
    """A function of tensors as text; ``None`` where it is a user's own."""
    if call.graph or (call.style == "call" and not _known(call.fn)):
        return None
    return call.text(names)


def _known(function: object) -> bool:
    name = getattr(function, "__name__", "")
    return any(found is function for found in (getattr(F, name, None), getattr(torch, name, None), SCOPE.get(name)))


def written(module: nn.Module) -> Written | None:
    """A layer as text; ``None`` where it has none."""
    match module:
        case nn.Conv1d() | nn.Conv2d() if type(module) in _CONVS and module.padding_mode == "zeros":
            return _conv(module)
        case _BatchNorm() if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d) and module.track_running_stats:
            return _norm(module)
        case ChannelLinear():
            bias = module.bias is not None
            text = "F.linear({0}.movedim(1, -1), {1}, {2}).movedim(-1, 1)"
            return Written(lambda x, w, _: text.format(x, w[0], w[1] if bias else None), _names(module))
        case nn.Linear() if type(module) is nn.Linear:
            bias = module.bias is not None
            return Written(lambda x, w, _: f"F.linear({x}, {w[0]}, {w[1] if bias else None})", _names(module))
        case ChannelBias():
            return Written(lambda x, w, _: f"({x} + {w[0]}.reshape(-1, *(1,) * ({x}.dim() - 2)))", _names(module))
        case ChannelNorm():
            affine = module.weight is not None
            shape, eps = (module.channels,), module.eps
            return Written(
                lambda x, w, _: (
                    f"F.layer_norm({x}.movedim(1, -1), {shape}, {w[0] if affine else None}, "
                    f"{w[1] if affine else None}, {eps!r}).movedim(-1, 1)"
                ),
                _names(module),
            )
    return None


_CONVS = (nn.Conv1d, nn.Conv2d, SameConv1d, SameConv2d)


def _names(module: nn.Module) -> tuple[str, ...]:
    return tuple(name for name, parameter in module._parameters.items() if parameter is not None)


def _conv(module: nn.Conv1d | nn.Conv2d) -> Written:
    function = f"F.conv{len(module.kernel_size)}d"
    bias = module.bias is not None
    same = isinstance(module, SameConv1d | SameConv2d)
    padded = f"pad_same({{}}, {module.kernel_size[0]}, {module.stride}, {module.dilation[0]})" if same else "{}"
    rest = f"{module.stride}, {module.padding!r}, {module.dilation}, {module.groups}"
    return Written(
        lambda x, w, _: f"{function}({padded.format(x)}, {w[0]}, {w[1] if bias else None}, {rest})", _names(module)
    )


def _norm(module: _BatchNorm) -> Written:
    names, eps = _names(module), module.eps

    def expression(x: str, tensors: Sequence[str], setting: Setting | None) -> str:
        assert setting is not None, "a norm has a setting"
        weight, bias = (*tensors[: len(names)], "None", "None")[:2]
        mean, var = tensors[len(names) :]
        return f"F.batch_norm({x}, {mean}, {var}, {weight}, {bias}, {setting[0]}, {setting[1]!r}, {eps!r})"

    return Written(expression, names, ("running_mean", "running_var"))
