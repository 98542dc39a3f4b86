"""Modules as a user would write them, used as ops."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spacec.ir.ops import AttrValue, OpParam, OpResult, OpSpec
from spacec.ir.types import TensorType
from spacec.lower.layers import Call, Site

GAIN = 2.0


def squash(x: Tensor) -> Tensor:
    return torch.tanh(x) * GAIN / math.pi


class Base(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return squash(self.mix(x)) + self.bias.reshape(-1, *(1,) * (x.dim() - 2))


class Mixer(Base):
    """Takes the attribute that it names, and its channels."""

    def __init__(self, in_channels: int, strength: float = 1.0) -> None:
        super().__init__()
        self.mix = nn.Identity()
        self.bias = nn.Parameter(torch.randn(in_channels) * strength)


class Quantise(nn.Module):
    """Returns an auxiliary loss beside its output."""

    emits_losses = True

    def __init__(self, in_type: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(in_type[0]))

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y = x * self.scale.reshape(-1, *(1,) * (x.dim() - 2))
        return y, {"commitment": y.square().mean()}


class Needy(nn.Module):
    def __init__(self, temperature: float) -> None:
        super().__init__()


def shuffle(x: Tensor, groups: int) -> Tensor:
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def shuffle_lowering(site: Site) -> Call:
    return Call(shuffle, (site.integer("groups"),))


def same(attrs: Mapping[str, AttrValue], types: tuple[TensorType, ...]) -> OpResult:
    return OpResult(types[0])


def _module_op(cls: type[nn.Module], *params: OpParam) -> OpSpec:
    return OpSpec(cls.__name__.lower(), same, f"{__name__}:{cls.__name__}", params, state=True)


MIXER = _module_op(Mixer, OpParam("strength", 1.0, "float"))
QUANTISE = _module_op(Quantise)
NEEDY = _module_op(Needy)
SHUFFLE = OpSpec("shuffle", same, f"{__name__}:shuffle_lowering", (OpParam("groups", 2),))
