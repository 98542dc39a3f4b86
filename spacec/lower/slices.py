"""Where the tensors of the largest layers are cut, so that a layer of a smaller size runs on a part of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.ir.dims import Dim, Poly
from spacec.ir.flat import FlatOp
from spacec.lower import sizes
from spacec.lower.blueprint import Blueprint
from spacec.lower.layers import Axis, Layer
from spacec.lower.sizes import Layout, Sizes

Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class Slices:
    """Where each axis of a layer's tensors is cut, at some sizes."""

    axes: Mapping[str, tuple[Axis, ...]]
    ranges: Mapping[Axis, Ranges]

    def take(self, name: str, tensor: Tensor) -> Tensor:
        """The part of a parameter or buffer; a view where every cut is one range, and itself where nothing is cut."""
        for axis, role in enumerate(self.axes.get(name, ())):
            if role is not None and self.ranges[role] != [(0, tensor.shape[axis])]:
                parts = [tensor.narrow(axis, start, stop - start) for start, stop in self.ranges[role]]
                tensor = parts[0] if len(parts) == 1 else torch.cat(parts, axis)
        return tensor

    def copies(self, name: str) -> bool:
        """Whether :meth:`take` copies: some cut is several ranges."""
        return any(role is not None and len(self.ranges[role]) > 1 for role in self.axes.get(name, ()))

    def view(self, name: str, tensor: Tensor) -> Tensor:
        """What :meth:`take` takes where it does not copy, in one step, and so is its backward pass."""
        shape, start = list(tensor.shape), tensor.storage_offset()
        for axis, role in enumerate(self.axes.get(name, ())):
            if role is not None:
                ((low, high),) = self.ranges[role]
                shape[axis] = high - low
                start += low * tensor.stride(axis)
        return tensor if shape == list(tensor.shape) else tensor.as_strided(shape, tensor.stride(), start)

    def put(self, name: str, tensor: Tensor, part: Tensor) -> None:
        """Write a per-channel buffer's part back, where :meth:`take` had to copy it."""
        roles = self.axes.get(name, ())
        if roles and len(self.ranges[roles[0]]) > 1:
            start = 0
            for low, high in self.ranges[roles[0]]:
                tensor[low:high].copy_(part[start : start + high - low])
                start += high - low


def elastic_layer(blueprint: Blueprint, node: int) -> tuple[FlatOp, Layer]:
    """An elastic op and its largest layer."""
    op, layer = blueprint.flat.nodes[node], blueprint.lowered[node]
    assert isinstance(op, FlatOp), "only ops have layers"
    assert isinstance(layer, Layer), "only layers have sizes"
    return op, layer


def make_slices(blueprint: Blueprint, node: int, chosen: Sizes) -> Slices:
    """The cuts of the layer at ``node`` for the sizes ``chosen``."""
    op, layer = elastic_layer(blueprint, node)
    widest = sizes.largest(blueprint.table)
    layouts = blueprint.elastic.layouts
    ranges: dict[Axis, Ranges] = {
        "in": layout_ranges(layouts[op.inputs[0]], widest, chosen),
        "out": layout_ranges(layouts[node], widest, chosen),
    }
    if is_grouped(layer):
        channels, groups = blueprint.flat.nodes[op.inputs[0]].type.channels, op.attrs["groups"]
        assert isinstance(groups, int), "groups that are chosen are told apart before they are built"
        ranges["group"] = [(0, sizes.number(channels, chosen) // groups)]
    if "kernel" in op.attrs:
        whole, part = (sizes.number(kernel_of(op), s) for s in (widest, chosen))
        ranges["kernel"] = [kernel_range(whole, part)]
    return Slices(dict(layer.axes or ()), ranges)


def layout_ranges(layout: Layout, widest: Sizes, chosen: Sizes) -> Ranges:
    """Channels that exist at ``chosen`` among those at ``widest``; touching ranges are joined."""
    found: Ranges = []
    start = 0
    for segment in layout:
        stop = start + sizes.number(segment, chosen)
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], stop)
        elif stop > start:
            found.append((start, stop))
        start += sizes.number(segment, widest)
    return found


def kernel_of(op: FlatOp) -> Dim:
    kernel = op.attrs["kernel"]
    assert isinstance(kernel, int | Poly), "the shape rule wants a size"
    return kernel


def kernel_range(whole: int, part: int) -> tuple[int, int]:
    """Taps of the small kernel inside the large one: both have their anchor at ``(kernel - 1) // 2``."""
    start = (whole - 1) // 2 - (part - 1) // 2
    return start, start + part


def is_grouped(layer: Layer) -> bool:
    """Whether outputs read the input channels of their group alone."""
    return any("group" in roles for _, roles in layer.axes or ())


def narrowed(x: Tensor, ranges: Ranges) -> Tensor:
    """The channels of ``ranges``."""
    return torch.cat([x.narrow(1, start, stop - start) for start, stop in ranges], 1)


def spread(y: Tensor, ranges: Ranges, whole: int) -> tuple[Tensor, Tensor]:
    """``y`` with its channels at ``ranges`` among ``whole``, zeros elsewhere; and ones where it has channels."""
    places = torch.cat([torch.arange(start, stop, device=y.device) for start, stop in ranges])
    wide = y.new_zeros((y.shape[0], whole, *y.shape[2:])).index_copy(1, places, y)
    inside = y.new_zeros(whole).index_fill(0, places, 1.0)
    return wide, inside.reshape(-1, *(1,) * (y.dim() - 2))
