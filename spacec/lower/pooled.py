"""What the joined ops of one pass have together: weights joined by one call for many of them, statistics at once.

Tensors that agree in all but their output channels are brought side by side for all ops, and come apart into a piece
for each op; gradients take the way back. Running statistics are read side by side, updated in pieces, and written back
to every layer when the pass ends. Only ops that run together, and lead to the same outputs, share a call: what alone
gets no gradient gets none here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spacec.lower.joined import one_window, side_by_side

STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Joint:
    """A joined op and the keys of its parts; ``together`` is equal for ops that run together.

    ``site``: its node, or the node of a mix and which of its strips is normalised so.
    """

    site: Hashable
    keys: tuple[str, ...]
    together: Hashable = None


Group = tuple[str, tuple[Joint, ...]]
"""Joined ops, and the name of a tensor of theirs (the first of the :data:`STATISTICS` stands for both)."""


@dataclass
class Pools:
    """Which tensors of the joined ops of a graph are joined by one call; copies of a supernet share it."""

    joints: Sequence[Joint]
    _groups: dict[tuple[Hashable, str], Group] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Pools:
        return self

    def group(self, site: Hashable, name: str, modules: Mapping[str, nn.Module]) -> Group:
        """The group of a tensor of ``site``."""
        if not self._groups:
            found: dict[Hashable, list[Joint]] = {}
            for joint in self.joints:
                for what, tensor in _tensors([modules[key] for key in joint.keys]):
                    found.setdefault((what, tensor.shape[1:], joint.together), []).append(joint)
            for (what, *_), joints in found.items():  # type: ignore[misc]  # keys are tuples
                self._groups.update(((joint.site, what), (what, tuple(joints))) for joint in joints)
        return self._groups[site, name]


def _tensors(modules: Sequence[Any]) -> list[tuple[str, Tensor]]:
    """What is joined of these layers, by name; of a kernel only one that need not be embedded."""
    first = modules[0]
    names = ("bias",) if isinstance(first, nn.Conv1d | nn.Conv2d) and not one_window(modules) else ("weight", "bias")
    if hasattr(first, STATISTICS[0]):
        names = (*names, STATISTICS[0])
    return [(name, tensor) for name in names if (tensor := getattr(first, name)) is not None]


@dataclass
class Pooled:
    """The joined tensors of one pass."""

    pools: Pools
    modules: Mapping[str, nn.Module]
    _pieces: dict[tuple[Hashable, str], Tensor] = field(default_factory=dict)
    _statistics: dict[Group, Tensor] = field(default_factory=dict)
    _asked: set[Hashable] = field(default_factory=set)
    """Norms that use their running statistics in this pass."""

    def of(self, site: Hashable) -> Callable[[str], Tensor]:
        """The joined tensors of an op, by name."""
        return partial(self.piece, site)

    def piece(self, site: Hashable, name: str) -> Tensor:
        """A joined tensor of an op."""
        if name in STATISTICS:
            self._asked.add(site)
        if (site, name) not in self._pieces:
            group = self.pools.group(site, STATISTICS[0] if name in STATISTICS else name, self.modules)
            if group[0] in STATISTICS:
                self._read_statistics(group)
            else:
                self._join(group)
        return self._pieces[site, name]

    def _join(self, group: Group) -> None:
        name, joints = group
        tensors = [[getattr(self.modules[key], name) for key in joint.keys] for joint in joints]
        whole = side_by_side([t for own in tensors for t in own])
        sizes = [sum(t.shape[0] for t in own) for own in tensors]
        pieces = whole.split_with_sizes(sizes) if len(sizes) > 1 else (whole,)
        self._pieces.update(((joint.site, name), piece) for joint, piece in zip(joints, pieces, strict=True))

    def _read_statistics(self, group: Group) -> None:
        tensors = [self._of_norms(joint) for joint in group[1]]
        whole = self._statistics[group] = torch.cat([t for own in tensors for t in own])
        halves = [sum(t.shape[0] for t in own) // 2 for own in tensors for _ in STATISTICS]
        pieces = iter(whole.split_with_sizes(halves))
        for joint in group[1]:
            self._pieces.update(((joint.site, name), next(pieces)) for name in STATISTICS)

    def _of_norms(self, joint: Joint) -> list[Tensor]:
        return [getattr(self.modules[key], name) for name in STATISTICS for key in joint.keys]

    def finish(self) -> None:
        """Give every norm that ran in training the statistics that it has now."""
        for (_, joints), whole in self._statistics.items():
            layers = [self._of_norms(joint) for joint in joints]
            pieces = iter(whole.split_with_sizes([t.shape[0] for own in layers for t in own]))
            ran = [(joint, own, [next(pieces) for _ in own]) for joint, own in zip(joints, layers, strict=True)]
            ran = [r for r in ran if r[0].site in self._asked and self.modules[r[0].keys[0]].training]
            if ran:
                counts = [self.modules[key].get_buffer("num_batches_tracked") for r in ran for key in r[0].keys]
                with torch.no_grad():
                    torch._foreach_copy_([t for _, own, _ in ran for t in own], [t for _, _, new in ran for t in new])
                    torch._foreach_add_(counts, 1)
