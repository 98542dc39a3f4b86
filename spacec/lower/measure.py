"""The number of weights of a user's own module, found by building it without memory (on torch's meta device)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from spacec.lower.layers import Shape, Site, module_layer


def count_weights(
    cls: type[nn.Module],
    op: str,
    attrs: Mapping[str, Any],
    inputs: tuple[tuple[int | None, ...], ...],
    output: tuple[int | None, ...],
) -> int:
    """Weights of ``cls`` at these sizes: ``(channels, *space)``, ``None`` for a free spatial size.

    No random number is drawn. Raises what the constructor raises.
    """
    site = Site(op, attrs, tuple(map(_shape, inputs)), _shape(output))
    with torch.device("meta"):
        module = module_layer(cls, site).build()
    return sum(p.numel() for p in module.parameters())


def _shape(sizes: tuple[int | None, ...]) -> Shape:
    channels, *space = sizes
    return Shape(channels or 0, tuple(space))
