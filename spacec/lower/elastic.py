"""Elastic ops: slices of the largest weights for an index, mixed masks for anything else.

A soft mask weighs channel ``c`` of a width by the probability that the width exceeds ``c`` (FBNetV2,
Wan et al. 2020, section 3). The weight is applied where channels are mixed (the input of a
convolution or linear map), thus after the norm and activation between: a norm would undo it. At a
one-hot mask this is the sliced network. Kernels are mixed on the largest kernel: the weights of a
tap are multiplied by the probability that the kernel reaches it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spacec.diagnostics.model import SpacecError
from spacec.ir.dims import Dim, symbols
from spacec.ir.flat import FlatOp
from spacec.lower import errors, sizes
from spacec.lower.blueprint import Blueprint
from spacec.lower.layers import Call, Layer, lower
from spacec.lower.masks import Selection, SlotInfo
from spacec.lower.modules import ChannelNorm
from spacec.lower.sizes import Layout, Sizes
from spacec.lower.slices import (
    Slices,
    elastic_layer,
    is_grouped,
    kernel_of,
    kernel_range,
    layout_ranges,
    make_slices,
    narrowed,
    spread,
)


@dataclass
class ElasticMask:
    """The elastic decisions of one forward pass: sizes of those with an index, probabilities of the others.

    ``chosen`` also has the presence that sizes mention: 1 where something runs. ``idle`` are those of it that run
    with weight zero, which their slots of a concat then count as absent.
    """

    blueprint: Blueprint
    chosen: dict[str, sizes.Size]
    soft: dict[str, Tensor]
    idle: frozenset[str] = frozenset()
    _masks: dict[tuple[Layout, torch.dtype, torch.device], Tensor | None] = field(default_factory=dict)

    @property
    def hard(self) -> bool:
        """Whether every decision has one value."""
        return not self.soft and not self.idle

    def channel_mask(self, layout: Layout, like: Tensor) -> Tensor | None:
        """``(C,)`` weights of channels, or ``None`` where no soft decision is involved."""
        key = (layout, like.dtype, like.device)
        if key not in self._masks:
            parts = [self._segment(segment, like) for segment in layout]
            hard = all(mask is None for mask, _ in parts)
            self._masks[key] = None if hard else torch.cat([like.new_ones(n) if m is None else m for m, n in parts])
        return self._masks[key]

    def _segment(self, dim: Dim, like: Tensor) -> tuple[Tensor | None, int]:
        size = sizes.number(dim, self.chosen)
        if any(s.key in self.idle for s in symbols(dim)) and not sizes.number(dim, self._settled):
            return like.new_zeros(size), size
        cases = self._cases(dim)
        if cases is None:
            return None, size
        widths = [sizes.number(dim, {**self.chosen, **case}) for case, _ in cases]
        inside = torch.arange(size) < torch.tensor(widths)[:, None]
        weights = torch.stack([p for _, p in cases]).to(like)
        return weights @ inside.to(like), size

    @property
    def _settled(self) -> dict[str, sizes.Size]:
        return {**self.chosen, **dict.fromkeys(self.idle, 0)}

    def kernel_mask(self, dim: Dim, rank: int, like: Tensor) -> Tensor | None:
        """``(K,) * rank`` weights of kernel taps, or ``None``."""
        cases = self._cases(dim)
        if cases is None:
            return None
        whole = sizes.number(dim, self.chosen)
        regions = like.new_zeros((len(cases), *(whole,) * rank))
        for region, (case, _) in zip(regions, cases, strict=True):
            start, stop = kernel_range(whole, sizes.number(dim, {**self.chosen, **case}))
            region[(slice(start, stop),) * rank] = 1.0
        weights = torch.stack([p for _, p in cases]).to(like)
        return (weights.reshape(-1, *(1,) * rank) * regions).sum(0)

    def soft_in(self, node: int) -> list[str]:
        """The soft decisions that the op at ``node`` depends on."""
        return sorted(self.blueprint.elastic.symbols[node] & self.soft.keys())

    def _cases(self, dim: Dim) -> list[tuple[dict[str, sizes.Size], Tensor]] | None:
        """Joint values of the soft decisions in ``dim``, each with its probability."""
        return self.cases(s.name for s in symbols(dim))

    def cases(self, mentioned: Iterable[str]) -> list[tuple[dict[str, sizes.Size], Tensor]] | None:
        """Joint values of those decisions that are soft, each with its probability; ``None`` where none is."""
        names = sorted(name for name in mentioned if name in self.soft)
        if not names:
            return None
        decisions = self.blueprint.table.by_id
        values = [sizes.candidate_sizes(decisions[n]) for n in names]
        cases = []
        for picks in itertools.product(*(range(len(v)) for v in values)):
            probability = self.soft[names[0]][picks[0]]
            for name, k in zip(names[1:], picks[1:], strict=True):
                probability = probability * self.soft[name][k]
            cases.append(({n: v[k] for n, v, k in zip(names, values, picks, strict=True)}, probability))
        return cases


def read_elastic(blueprint: Blueprint, selections: Mapping[tuple[str, str], Selection]) -> ElasticMask | None:
    """The elastic part of a mask, or ``None`` where the space has none."""
    if not blueprint.elastic.symbols:
        return None
    chosen, soft = dict(blueprint.widest), {}
    present, idle = read_presence(blueprint, selections)
    chosen.update(present)
    for name, candidates in blueprint.elastic_sizes.items():
        selection = selections[blueprint.slot_of(name), ""]
        if selection.weights is not None:
            soft[name] = selection.vector(selection.weights)
        elif selection.run:
            chosen[name] = candidates[selection.run[0]]
    return ElasticMask(blueprint, chosen, soft, idle)


def read_presence(
    blueprint: Blueprint, selections: Mapping[tuple[str, str], Selection]
) -> tuple[dict[str, sizes.Size], frozenset[str]]:
    """The presence that sizes mention, and what of it runs with weight zero.

    Raises :class:`SpacecError` (E0910) for a slot that mixes although what it takes decides sizes, or whose
    instances disagree on what sizes need one answer for.
    """
    present: dict[str, sizes.Size] = {}
    weights: list[tuple[str, Tensor]] = []
    for key, (slot, places) in blueprint.presences.items():
        found = [selections[slot.id, instance] for instance in slot.instances or ("",)]
        runs = [[p for p, k in enumerate(selection.run) if k in places] for selection in found]
        if slot.sized and any(r and len(r) < len(s.run) for r, s in zip(runs, found, strict=True)):
            raise _mixed(slot)
        if len({bool(r) for r in runs}) > 1:
            headline = f"the instances of slot `{slot.id}` disagree, and sizes need one answer"
            raise errors.lowering_error(errors.MIXED, headline)
        present[key] = int(bool(runs[0]))
        weights += [(key, s.weights[r]) for r, s in zip(runs, found, strict=True) if s.weights is not None and r]
    if not weights:
        return present, frozenset()
    sums = torch.stack([w.detach().abs().sum().cpu() for _, w in weights]).tolist()
    weighty = {key for (key, _), total in zip(weights, sums, strict=True) if total}
    return present, frozenset(key for key, _ in weights) - weighty


def _mixed(slot: SlotInfo) -> SpacecError:
    return errors.lowering_error(
        errors.MIXED,
        f"the slot `{slot.id}` is mixed, but what it takes decides sizes",
        notes=("channels that a decision packs have no mixture: it would add up different channels",),
        help="give it an index, or a one-hot whose other weights are zero",
    )


KNOWN = 4096
"""Layers and functions that are found by the values of their decisions; by their sizes there are fewer."""


@dataclass(frozen=True)
class Place:
    """A parameter or buffer of a shell: the tables that hold it there and in the largest layer, its name in them, its
    name in the whole layer, and its stand-in without memory."""

    table: dict[str, Any]
    source: dict[str, Any]
    name: str
    full: str
    stand_in: Tensor


@dataclass(frozen=True, eq=False)
class Fitted:
    """A layer at smaller sizes: a shell that owns no memory, and where the largest layer's tensors go in it."""

    shell: nn.Module
    slices: Slices
    parameters: tuple[Place, ...]
    buffers: tuple[Place, ...]

    @staticmethod
    def of(shell: nn.Module, slices: Slices, module: nn.Module) -> Fitted:
        """A shell for ``module``, which is its largest layer."""
        parameters, buffers = [], []
        for prefix, part in module.named_modules():
            mine = shell.get_submodule(prefix)
            for name, stand_in in mine._parameters.items():
                if stand_in is not None:
                    full = f"{prefix}.{name}" if prefix else name
                    parameters.append(Place(mine._parameters, part._parameters, name, full, stand_in))
            for name, state in mine._buffers.items():
                if state is not None:
                    full = f"{prefix}.{name}" if prefix else name
                    buffers.append(Place(mine._buffers, part._buffers, name, full, state))
        return Fitted(shell, slices, tuple(parameters), tuple(buffers))

    def call(self, module: nn.Module, inputs: Iterable[Tensor], taps: Tensor | None, spare: bool) -> Any:
        """The layer on slices of ``module``; ``taps`` multiplies its kernel, ``spare`` leaves its state as it is."""
        shell, take = self.shell, self.slices.take
        if shell.training != module.training:
            shell.train(module.training)
        if isinstance(module, _BatchNorm) and isinstance(shell, _BatchNorm):
            shell.momentum = module.momentum
        try:
            for place in self.parameters:
                part = take(place.full, place.source[place.name])
                place.table[place.name] = part if taps is None or place.full != "weight" else part * taps
            for place in self.buffers:
                part = take(place.full, place.source[place.name])
                place.table[place.name] = part.clone() if spare else part
            found = shell(*inputs)
            for place in () if spare else self.buffers:
                self.slices.put(place.full, place.source[place.name], place.table[place.name])
            return found
        finally:
            for place in (*self.parameters, *self.buffers):
                place.table[place.name] = place.stand_in

    def weights(self, module: nn.Module) -> dict[str, Tensor]:
        """Slices of the parameters of ``module``, by name."""
        return {p.full: self.slices.take(p.full, p.source[p.name]) for p in self.parameters}


@dataclass
class ElasticLayers:
    """Layers at smaller sizes, on slices of the weights of the largest, and functions at smaller sizes."""

    blueprint: Blueprint
    fitted: dict[tuple[int, tuple[sizes.Size, ...]], Fitted] = field(default_factory=dict)
    calls: dict[tuple[int, tuple[sizes.Size, ...]], tuple[Call, Callable[..., Tensor]]] = field(default_factory=dict)
    _keys: dict[tuple[object, ...], tuple[int, tuple[sizes.Size, ...]]] = field(default_factory=dict)

    def call(self, node: int, inputs: list[Tensor], mask: ElasticMask) -> Tensor:
        """The function at ``node`` on its inputs, under ``mask``."""
        found, function = self._call(node, mask.chosen)
        if found.by_case and mask.soft_in(node):
            return self._by_case(node, inputs, mask, lambda parts, sizes: self._call(node, sizes)[1](*parts))
        return function(*inputs)

    def _call(self, node: int, chosen: Sizes) -> tuple[Call, Callable[..., Tensor]]:
        key = self._key(node, chosen)
        if key not in self.calls:
            op = self.blueprint.flat.nodes[node]
            assert isinstance(op, FlatOp), "only ops have functions"
            found = lower(op, sizes.site(self.blueprint.flat, node, chosen))
            assert isinstance(found, Call), "a lowering gives a call at every size or at none"
            self.calls[key] = found, found.bind()
        return self.calls[key]

    def _by_case(
        self,
        node: int,
        inputs: list[Tensor],
        mask: ElasticMask,
        run: Callable[[list[Tensor], Sizes], Tensor],
    ) -> Tensor:
        """The op at each size that its soft decisions may take, on slices; every channel is the mean over the sizes
        that have it, weighed by their probabilities. What reads it weighs its channels as any others."""
        op = self.blueprint.flat.nodes[node]
        assert isinstance(op, FlatOp), "only ops run"
        layouts = self.blueprint.elastic.layouts
        total, mass = inputs[0].new_zeros(()), inputs[0].new_zeros(())
        for case, probability in mask.cases(self.blueprint.elastic.symbols[node]) or ():
            chosen = {**mask.chosen, **case}
            parts = [
                narrowed(x, layout_ranges(layouts[i], mask.chosen, chosen))
                for i, x in zip(op.inputs, inputs, strict=False)
            ]
            parts += inputs[len(op.inputs) :]  # the graph
            whole = sum(sizes.number(segment, mask.chosen) for segment in layouts[node])
            y, inside = spread(run(parts, chosen), layout_ranges(layouts[node], mask.chosen, chosen), whole)
            total, mass = total + probability * y, mass + probability * inside
        return total / torch.where(mass > 0, mass, 1.0)

    def run(self, node: int, module: nn.Module, inputs: list[Tensor], mask: ElasticMask, spare: bool) -> Any:
        """What the layer at ``node`` returns, under ``mask``; ``spare`` leaves its buffers as they are."""
        if mask.hard:
            return self._fitted(node, module, mask.chosen).call(module, inputs, None, spare)
        op, layer = elastic_layer(self.blueprint, node)
        if (layer.by_case or is_grouped(layer)) and mask.soft_in(node):
            return self._by_case(node, inputs, mask, lambda parts, at: self._sliced(node, module, parts, at))
        fitted = self._fitted(node, module, mask.chosen)
        x = inputs[0]
        channels = mask.channel_mask(self.blueprint.elastic.layouts[op.inputs[0]], x)
        if channels is not None and isinstance(module, ChannelNorm):
            weights = fitted.weights(module)
            return masked_layer_norm(x, channels, module.eps, weights.get("weight"), weights.get("bias"))
        if channels is not None and mixes_channels(layer):
            x = x * channels.reshape(-1, *(1,) * (x.dim() - 2))
        taps = mask.kernel_mask(kernel_of(op), x.dim() - 2, x) if "kernel" in op.attrs else None
        return fitted.call(module, (x, *inputs[1:]), taps, spare)

    def _sliced(self, node: int, module: nn.Module, inputs: list[Tensor], chosen: Sizes) -> Tensor:
        """A layer without buffers at the sizes ``chosen``."""
        y: Tensor = self._fitted(node, module, chosen).call(module, inputs, None, spare=False)
        return y

    def _key(self, node: int, chosen: Sizes) -> tuple[int, tuple[sizes.Size, ...]]:
        """What tells the layers of a node apart; looked up by the values of its decisions, as sizes take arithmetic."""
        values = (node, *map(chosen.get, self.blueprint.elastic.mentioned(node)))
        found = self._keys.get(values)
        if found is None:
            if len(self._keys) >= KNOWN:
                self._keys.clear()
            footprint = self.blueprint.elastic.footprint(node)
            found = self._keys[values] = node, tuple(sizes.number(d, chosen) for d in footprint)
        return found

    def _fitted(self, node: int, module: nn.Module, chosen: Sizes) -> Fitted:
        key = self._key(node, chosen)
        found = self.fitted.get(key)
        if found is None:
            op, _ = elastic_layer(self.blueprint, node)
            small = lower(op, sizes.site(self.blueprint.flat, node, chosen))
            assert isinstance(small, Layer), "a lowering gives a layer at every size or at none"
            with torch.device("meta"):
                shell = small.build()
            found = self.fitted[key] = Fitted.of(shell, make_slices(self.blueprint, node, chosen), module)
        return found


def mixes_channels(layer: Layer) -> bool:
    """Whether outputs read several input channels (a convolution or linear map, not a depthwise one)."""
    return any("in" in roles and "out" in roles for _, roles in layer.axes or ())


def masked_layer_norm(x: Tensor, channels: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Layer normalisation whose mean and variance weigh each channel; the sliced one at a one-hot mask."""
    axes = (-1, *(1,) * (x.dim() - 2))
    share = (channels / channels.sum()).reshape(axes)
    mean = (x * share).sum(1, keepdim=True)
    variance = ((x - mean).square() * share).sum(1, keepdim=True)
    y = (x - mean) * torch.rsqrt(variance + eps)
    return y if weight is None or bias is None else y * weight.reshape(axes) + bias.reshape(axes)
