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
    chosen, soft = sizes.largest(blueprint.table), {}
    present, idle = read_presence(blueprint, selections)
    chosen.update(present)
    for name, decision in sizes.elastic_decisions(blueprint.table).items():
        selection = selections[blueprint.slot_of(name), ""]
        if selection.weights is not None:
            soft[name] = selection.vector(selection.weights)
        elif selection.run:
            chosen[name] = sizes.candidate_sizes(decision)[selection.run[0]]
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


@dataclass
class ElasticLayers:
    """Shells of layers at smaller sizes: they own no memory and run on slices of the largest layer's weights."""

    blueprint: Blueprint
    shells: dict[tuple[int, tuple[sizes.Size, ...]], tuple[nn.Module, Slices]] = field(default_factory=dict)
    calls: dict[tuple[int, tuple[sizes.Size, ...]], Call] = field(default_factory=dict)

    def call(self, node: int, inputs: list[Tensor], mask: ElasticMask) -> Tensor:
        """The function at ``node`` on its inputs, under ``mask``."""
        if self._call(node, mask.chosen).by_case and mask.soft_in(node):
            return self._by_case(node, inputs, mask, lambda parts, sizes: self._call(node, sizes).bind()(*parts))
        return self._call(node, mask.chosen).bind()(*inputs)

    def _call(self, node: int, chosen: Sizes) -> Call:
        key = self._key(node, chosen)
        if key not in self.calls:
            op = self.blueprint.flat.nodes[node]
            assert isinstance(op, FlatOp), "only ops have functions"
            found = lower(op, sizes.site(self.blueprint.flat, node, chosen))
            assert isinstance(found, Call), "a lowering gives a call at every size or at none"
            self.calls[key] = found
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
        op, layer = elastic_layer(self.blueprint, node)
        if (layer.by_case or is_grouped(layer)) and mask.soft_in(node):
            return self._by_case(node, inputs, mask, lambda parts, at: self._sliced(node, module, parts, at))
        shell, slices = self._shell(node, mask.chosen)
        parameters = {n: slices.take(n, p) for n, p in module.named_parameters()}
        x = inputs[0]
        channels = mask.channel_mask(self.blueprint.elastic.layouts[op.inputs[0]], x)
        if channels is not None and isinstance(module, ChannelNorm):
            return masked_layer_norm(x, channels, module.eps, parameters.get("weight"), parameters.get("bias"))
        if channels is not None and mixes_channels(layer):
            x = x * channels.reshape(-1, *(1,) * (x.dim() - 2))
        taps = mask.kernel_mask(kernel_of(op), x.dim() - 2, x) if "kernel" in op.attrs else None
        if taps is not None:
            parameters["weight"] = parameters["weight"] * taps
        shell.train(module.training)
        if isinstance(module, _BatchNorm) and isinstance(shell, _BatchNorm):
            shell.momentum = module.momentum
        buffers = {n: slices.take(n, b) for n, b in module.named_buffers()}
        if spare:
            buffers = {n: b.clone() for n, b in buffers.items()}
        y = torch.func.functional_call(shell, {**parameters, **buffers}, (x, *inputs[1:]))
        if not spare:
            for name, part in buffers.items():
                slices.put(name, module.get_buffer(name), part)
        return y

    def _sliced(self, node: int, module: nn.Module, inputs: list[Tensor], chosen: Sizes) -> Tensor:
        """A layer without buffers at the sizes ``chosen``."""
        shell, slices = self._shell(node, chosen)
        shell.train(module.training)
        parameters = {n: slices.take(n, p) for n, p in module.named_parameters()}
        y: Tensor = torch.func.functional_call(shell, parameters, tuple(inputs))
        return y

    def _key(self, node: int, chosen: Sizes) -> tuple[int, tuple[sizes.Size, ...]]:
        return node, tuple(sizes.number(d, chosen) for d in self.blueprint.elastic.footprint(node))

    def _shell(self, node: int, chosen: Sizes) -> tuple[nn.Module, Slices]:
        key = self._key(node, chosen)
        if key not in self.shells:
            op, _ = elastic_layer(self.blueprint, node)
            small = lower(op, sizes.site(self.blueprint.flat, node, chosen))
            assert isinstance(small, Layer), "a lowering gives a layer at every size or at none"
            with torch.device("meta"):
                self.shells[key] = small.build(), make_slices(self.blueprint, node, chosen)
        return self.shells[key]


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
