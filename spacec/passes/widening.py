"""Which channels repeat which, where a choice goes from a smaller share of its channels to a larger one.

Net2WiderNet (Chen, Goodfellow & Shlens, ICLR 2016): the channels there were stay in front, each new one repeats one of
them, drawn at random, but for a smaller share, which keeps the first channels. The draw depends on the two widths only,
so terms of a sum repeat alike. Assumes both forms made from one flat graph (:mod:`spacec.passes.partial`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from spacec.ir.dims import Dim
from spacec.ir.flat import FlatGraph, FlatNode, FlatOp, sources_of
from spacec.passes.partial import Narrowed

Origins = tuple[int, ...]
"""For each channel after, the channel before that it repeats."""


@dataclass(frozen=True)
class Replicas:
    """Origins of what a layer reads, and of what it makes."""

    inputs: Origins
    output: Origins


def replicas(flat: FlatGraph, before: Narrowed, after: Narrowed, seed: int) -> dict[str, Replicas]:
    """The layers, by key, whose channels change between two forms of ``flat``."""
    found: dict[str, Replicas] = {}
    for choice in sorted({*before.regions, *after.regions}):
        work = _Propagation(flat, before, after, choice, seed)
        for index in work.between:
            node = flat.nodes[index]
            origins = work.origins[index] = work.of(index, node)
            if isinstance(node, FlatOp) and node.key and node.inputs:
                found.setdefault(node.key, Replicas(work.origins[node.inputs[0]], origins))
    return found


class _Propagation:
    """Origins through the candidates of one choice, by node."""

    def __init__(self, flat: FlatGraph, before: Narrowed, after: Narrowed, choice: int, seed: int) -> None:
        self.flat = flat
        self.forms = before.regions.get(choice), after.regions.get(choice)
        self.seed = seed
        region = self.forms[0] or self.forms[1]
        assert region is not None, "the choice is narrowed in one form"
        self.between: Sequence[int] = sorted(region.nodes)
        self.origins: dict[int, Origins] = {region.source: self.drawn(*self.widths(region.source))}

    def widths(self, index: int) -> tuple[int, int]:
        """Channels of a node before and after."""
        whole = self.flat.nodes[index].type.channels
        old, new = (whole if form is None else form.width(index) for form in self.forms)
        return _integer(old), _integer(new)

    def drawn(self, old: int, new: int) -> Origins:
        if new <= old:
            return tuple(range(new))
        source = random.Random(f"{self.seed}:{old}:{new}")
        return (*range(old), *(source.randrange(old) for _ in range(new - old)))

    def of(self, index: int, node: FlatNode) -> Origins:
        sources = sources_of(node)
        if isinstance(node, FlatOp) and node.spec.laws.joins:
            return self.joined(sources)
        if _makes_channels(self.flat, node) or not sources:
            return self.drawn(*self.widths(index))
        alike = (s for s in sources if self.widths(s) == self.widths(index))
        source = next(alike, None)
        return self.drawn(*self.widths(index)) if source is None else self.origins[source]

    def joined(self, sources: Sequence[int]) -> Origins:
        found: list[int] = []
        offset = 0
        for source in sources:
            found += (offset + k for k in self.origins[source])
            offset += self.widths(source)[0]
        return tuple(found)


def _makes_channels(flat: FlatGraph, node: FlatNode) -> bool:
    """Whether the channels of a node are made anew: each depends on all of its input's."""
    if not isinstance(node, FlatOp):
        return False
    if node.spec.laws.channels == "grouped":
        return node.attrs.get("groups") != flat.nodes[node.inputs[0]].type.channels
    return node.spec.laws.channels == "mixing" or any(p.counts == "channels" for p in node.spec.params)


def _integer(dim: Dim) -> int:
    assert isinstance(dim, int), "narrowed widths are numbers"
    return dim
