"""The memory layout of images, and ops that must see the default one whatever the others run in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spacec.lower.blueprint import Blueprint
from spacec.lower.layers import Call
from spacec.lower.schedule import Layout

_OURS = ("torch", "spacec")
_DEFAULT = (nn.Dropout, nn.InstanceNorm2d)
"""Dropout draws in the order of memory. The gradient of an instance norm is wrong for a single sample (torch 2.13)
where what comes back lies otherwise than what it was given."""


def laid_out(x: Tensor, layout: Layout) -> Tensor:
    """An image in a memory layout; other tensors as they are."""
    if layout == "contiguous" or x.dim() != 4:
        return x
    if x.shape[1] == 1:
        # Both layouts at once; the strides say which is meant, and what is made of it follows them.
        return x.reshape(x.shape[0], *x.shape[2:], 1).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def lay_weights(modules: Iterable[nn.Module], layout: Layout) -> None:
    """Put the weights of dense convolutions into a memory layout, in place: else the library would in every call.

    Modules of users' code are left as they are.
    """
    wanted = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    for module in modules:
        if isinstance(module, nn.Conv2d) and type(module).__module__.partition(".")[0] in _OURS:
            module.weight.data = module.weight.data.contiguous(memory_format=wanted)


@dataclass(frozen=True)
class Foreign:
    """What is given images in the default layout, gradients too, among images of another one."""

    run: Callable[..., Tensor]
    layout: Layout

    def __call__(self, *inputs: Tensor) -> Tensor:
        found = self.run(*(x.contiguous() for x in inputs))
        if self.layout == "contiguous" or found.dim() != 4:
            return found
        changed: Tensor = _Last.apply(found)  # type: ignore[no-untyped-call]  # torch leaves it so
        return changed


class _Last(torch.autograd.Function):
    """An image in channels_last, whose gradient has the default layout: a copy's would keep the layout it comes in."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone(memory_format=torch.channels_last)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].contiguous()


def foreign_ops(blueprint: Blueprint) -> frozenset[int]:
    """The ops that must see the default layout: these, and those whose code is neither torch's nor ours."""

    def known(code: object) -> bool:
        return code not in _DEFAULT and (
            getattr(code, "__module__", None) is None or str(getattr(code, "__module__", "")).partition(".")[0] in _OURS
        )

    found = blueprint.lowered.items()
    return frozenset(i for i, made in found if not known(made.fn if isinstance(made, Call) else made.cls))
