"""Weights of a supernet on one share of the channels as those of the same supernet on another share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from spacec.lower.layers import Axis, Layer
from spacec.lower.supernet import Supernet
from spacec.passes.widening import Origins, Replicas

Repeats = Literal["divide", "copy"]


def widened(
    net: Supernet, tensors: Mapping[str, Tensor], replicas: Mapping[str, Replicas], repeats: Repeats = "divide"
) -> dict[str, Tensor]:
    """``tensors`` of another form, by name of a parameter or buffer, as tensors of ``net``.

    Every channel is one that was there or repeats one, as ``replicas`` says. ``"divide"``: what reads a repeated
    channel shares its weight out over the repeats, so that a layer computes what it did where its inputs repeat too
    (Net2WiderNet); ``"copy"`` repeats the weight. Left out are tensors whose channels change in a layer that does not
    say how its parameters follow them (a plugin's), or in a convolution of several groups.
    """
    names = {name: _layer_of(net, name) for name in tensors}
    shapes = {name: t.shape for name, t in net.state_dict().items()}
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        key, layer = names[name]
        part = name.removeprefix(f"{key}.")
        roles = dict(layer.axes or ()).get(part, ()) if layer is not None else ()
        value = tensor if key not in replicas else _repeated(tensor, roles, replicas[key], repeats)
        if value.shape == shapes[name]:
            found[name] = value.detach().clone()
    return found


def _layer_of(net: Supernet, name: str) -> tuple[str, Layer | None]:
    """The key of the layer that a tensor belongs to, and the layer."""
    layers = net.blueprint.layers
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        key = ".".join(parts[:length])
        if key in layers:
            return key, layers[key]
    return "", None


def _repeated(tensor: Tensor, roles: tuple[Axis, ...], origins: Replicas, repeats: Repeats) -> Tensor:
    if "group" in roles:
        return tensor  # a channel's repeat would be in another group
    mixes = "out" in roles
    for axis, role in enumerate(roles):
        if role == "out":
            tensor = _take(tensor, axis, origins.output)
        elif role == "in":
            tensor = _take(tensor, axis, origins.inputs)
            if mixes and repeats == "divide":
                tensor = tensor / _share(tensor, axis, origins.inputs)
    return tensor


def _take(tensor: Tensor, axis: int, origins: Origins) -> Tensor:
    return tensor.index_select(axis, torch.tensor(origins, dtype=torch.long, device=tensor.device))


def _share(tensor: Tensor, axis: int, origins: Origins) -> Tensor:
    """How often each channel is repeated, along ``axis``."""
    counts = Counter(origins)
    number = tensor.new_tensor([float(counts[k]) for k in origins])
    return number.reshape([-1 if k == axis else 1 for k in range(tensor.dim())])
