"""Elastic masks: sizes for an index, weights of channels and taps for anything else.

A soft mask weighs channel ``c`` of a width by the probability that the width exceeds ``c`` (FBNetV2,
Wan et al. 2020, section 3). The weight is applied where channels are mixed (the input of a
convolution or linear map), thus after the norm and activation between: a norm would undo it. At a
one-hot mask this is the sliced network. Kernels are mixed on the largest kernel: the weights of a
tap are multiplied by the probability that the kernel reaches it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spacec.diagnostics.model import SpacecError
from spacec.ir.dims import Dim, symbols
from spacec.lower import errors, sizes
from spacec.lower.blueprint import Blueprint
from spacec.lower.masks import Selection, SlotInfo
from spacec.lower.sizes import Layout
from spacec.lower.slices import kernel_range


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
