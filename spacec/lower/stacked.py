"""How mixes run that read blocks of stacks, and how shares of one tensor are taken: many blocks by one call.

A *strip* is a run of neighbouring blocks of one tensor that a mix adds. With coefficients g and blocks z it is
``sum_j g_j z_j`` by one product and one sum over the blocks, and where every block is normalised first, the
coefficients are the scale of the joined norm: ``sum_j g_j bn_j(z_j)`` is one batch norm and one sum. The coefficients
of all strips are read from the masks at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add, mul
from typing import Any

import torch
from torch import Tensor

from spacec.ir.flat import FlatGraph, FlatMix, FlatOp, Gate, Term
from spacec.lower.joined import block_sum, joined_norm, side_by_side
from spacec.lower.masks import Selection
from spacec.lower.pooled import Joint, Pooled, Pools
from spacec.passes.levels import conditions
from spacec.passes.separable import SEPARABLE
from spacec.passes.shares import SHARE
from spacec.passes.superkernels import SUPERKERNEL

Activation = tuple[str, str]
"""A slot and an instance."""


@dataclass(frozen=True)
class Strip:
    """Blocks of ``source`` from channel ``first`` on; ``norms`` has the key of each one's norm, or nothing."""

    source: int
    first: int
    gates: tuple[tuple[Gate, ...], ...]
    norms: tuple[str, ...]

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self.gates)

    @property
    def gated(self) -> bool:
        """Whether its blocks are weighed."""
        return any(self.gates)


def strips(mix: FlatMix) -> tuple[Strip, ...]:
    """The terms of a mix of known width, in runs."""
    width = mix.type.channels
    assert isinstance(width, int), "stacks have known widths"
    found: list[list[Term]] = []
    for term in sorted(mix.terms, key=lambda t: (t.source, bool(t.norm), bool(t.gates), t.first)):
        last = found[-1][-1] if found else None
        if last is not None and _follows(last, term, width):
            found[-1].append(term)
        else:
            found.append([term])
    return tuple(
        Strip(run[0].source, run[0].first, tuple(t.gates for t in run), tuple(t.norm for t in run if t.norm))
        for run in found
    )


def _follows(before: Term, after: Term, width: int) -> bool:
    kinds = [(t.source, bool(t.norm), bool(t.gates)) for t in (before, after)]
    return kinds[0] == kinds[1] and after.first == before.first + width


def split_shares(flat: FlatGraph) -> dict[int, tuple[int, ...]]:
    """By node, the shares of channels that together are all of the tensor that they are taken from, in order."""
    found: dict[int, list[tuple[int, int]]] = {}
    for index, node in enumerate(flat.nodes):
        if isinstance(node, FlatOp) and node.spec is SHARE:
            first = node.attrs["first"]
            assert isinstance(first, int), "shares begin at a number"
            found.setdefault(node.inputs[0], []).append((first, index))
    splits: dict[int, tuple[int, ...]] = {}
    for source, shares in found.items():
        end: object = 0
        for first, index in sorted(shares):
            if end != first:
                break
            width = flat.nodes[index].type.channels
            end = first + width if isinstance(width, int) else None
        if end == flat.nodes[source].type.channels and len(shares) > 1:
            order = tuple(index for _, index in sorted(shares))
            splits.update(dict.fromkeys(order, order))
    return splits


@dataclass
class Stacked:
    """The mixes of a graph that read blocks of stacks, by node, and its shares that are taken together."""

    mixes: Mapping[int, tuple[Strip, ...]]
    widths: Mapping[int, int]
    splits: Mapping[int, tuple[int, ...]]
    pools: Pools
    _indices: dict[tuple[Any, ...], tuple[Tensor, ...]] = field(default_factory=dict)

    @staticmethod
    def of(flat: FlatGraph, keep: frozenset[str]) -> Stacked:
        """Of an optimised graph, of which the names in ``keep`` may be tapped."""
        mixes = {i: strips(n) for i, n in enumerate(flat.nodes) if isinstance(n, FlatMix) and _reads_blocks(n, flat)}
        widths = {i: w for i in mixes if isinstance(w := flat.nodes[i].type.channels, int)}
        return Stacked(mixes, widths, split_shares(flat), Pools(_joints(flat, mixes, keep)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Stacked:
        return self

    def coefficients(self, selections: Mapping[Activation, Selection], like: Tensor) -> dict[int, list[Tensor | None]]:
        """By mix, the coefficients of each strip, one for every channel; ``None`` where it is not weighed."""
        gated = [(i, k, s) for i, found in self.mixes.items() for k, s in enumerate(found) if s.gated]
        if not gated:
            return {i: [None] * len(found) for i, found in self.mixes.items()}
        vectors, places = _vectors([g for _, _, s in gated for gates in s.gates for g in gates], selections, like)
        factors = [vectors.index_select(0, index) for index in self._gathered(gated, places, like.device)]
        pieces = iter(reduce(mul, factors).split_with_sizes([s.blocks * self.widths[i] for i, _, s in gated]))
        return {i: [next(pieces) if s.gated else None for s in found] for i, found in self.mixes.items()}

    def _gathered(
        self, gated: Sequence[tuple[int, int, Strip]], places: Mapping[Gate, int], device: torch.device
    ) -> tuple[Tensor, ...]:
        """For every factor of a coefficient, where the weight of each channel stands; the last stands for one."""
        key = (*places.values(), str(device))
        if key not in self._indices:
            one = max(places.values()) + 1
            depth = max(len(gates) for _, _, s in gated for gates in s.gates)
            rows: list[list[int]] = [[] for _ in range(depth)]
            for node, _, strip in gated:
                for gates in strip.gates:
                    told = [places[g] for g in gates] + [one] * (depth - len(gates))
                    for row, place in zip(rows, told, strict=True):
                        row += [place] * self.widths[node]
            self._indices.clear()
            self._indices[key] = tuple(torch.tensor(row, device=device) for row in rows)
        return self._indices[key]


def _joints(flat: FlatGraph, mixes: Mapping[int, Sequence[Strip]], keep: frozenset[str]) -> list[Joint]:
    joined = [(i, n) for i, n in enumerate(flat.nodes) if isinstance(n, FlatOp) and n.parts]
    ops = [(i, n.parts) for i, n in joined if n.spec.name not in (SEPARABLE.name, SUPERKERNEL.name)]
    normed = [(i, k, s.norms) for i, found in mixes.items() for k, s in enumerate(found) if s.norms]
    if not ops and not normed:
        return []
    together = conditions(flat, keep)
    strips = (Joint((i, k), norms, together[i]) for i, k, norms in normed)
    return [*(Joint(i, parts, together[i]) for i, parts in ops), *strips]


def _reads_blocks(mix: FlatMix, flat: FlatGraph) -> bool:
    """Whether some source of a mix is wider than it, and every gate is one candidate's."""
    whole = all(g.candidate is not None for t in mix.terms for g in t.gates)
    return whole and any(flat.nodes[t.source].type.channels != mix.type.channels for t in mix.terms)


def _vectors(
    gates: Sequence[Gate], selections: Mapping[Activation, Selection], like: Tensor
) -> tuple[Tensor, dict[Gate, int]]:
    """All mask weights that are asked for in one vector, then a one; and where each stands."""
    offsets: dict[int, int] = {}
    vectors: list[Tensor] = []
    places: dict[Gate, int] = {}
    end = 0
    for gate in dict.fromkeys(gates):
        selection = selections[gate.slot, gate.instance]
        if id(selection) not in offsets:
            offsets[id(selection)] = end
            vectors.append(selection.vector(like).to(like.device))
            end += selection.size
        assert gate.candidate is not None, "sums of weights are no single gate"
        places[gate] = offsets[id(selection)] + gate.candidate
    return side_by_side([*vectors, like.new_ones(1)]), places


def run_mix(
    node: int,
    strips: Sequence[Strip],
    width: int,
    values: Mapping[int, Tensor],
    pooled: Pooled,
    coefficients: Sequence[Tensor | None],
) -> Tensor:
    """The mix ``node``, ``[N, width, *space]``, of these strips."""
    sums = []
    for k, (strip, scale) in enumerate(zip(strips, coefficients, strict=True)):
        z = values[strip.source]
        if z.shape[1] != strip.blocks * width:
            z = z.narrow(1, strip.first, strip.blocks * width)
        if strip.norms:
            z = joined_norm([pooled.modules[key] for key in strip.norms], pooled.of((node, k)), z, scale)
        elif scale is not None:
            z = z * scale.reshape(-1, *(1,) * (z.dim() - 2)).to(z.dtype)
        sums.append(block_sum(z, strip.blocks))
    return reduce(add, sums)
