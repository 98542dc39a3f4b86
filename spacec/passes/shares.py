"""Writing out a graph whose choices run on shares of their channels, for :mod:`spacec.passes.partial`.

Assumes the nodes of every region narrowed. Guarantees that what is still read in full is there in full, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spacec.ir.dims import Dim, total
from spacec.ir.flat import FlatChoose, FlatGraph, FlatNode, FlatOp, sources_of, with_sources
from spacec.ir.ops import AttrValue, OpLaws, OpParam, OpResult, OpSpec
from spacec.ir.types import TensorType
from spacec.std.checks import Attrs, Types, integer
from spacec.std.primitives import PRIMITIVE_TABLE


def _share_rule(attrs: Attrs, types: Types) -> OpResult:
    """``channels`` of the input in a row, from ``first`` on."""
    x = types[0]
    return OpResult(TensorType(integer(attrs, "channels"), x.space, x.kind))


SHARE = OpSpec(
    "share",
    _share_rule,
    "spacec.lower.ops:share",
    (OpParam("channels", kind="size", counts="channels"), OpParam("first")),
    help="some channels in a row",
    laws=OpLaws("same type", keeps_zero="all", linear=True),
)


def _interleave_rule(attrs: Attrs, types: Types) -> OpResult:
    """The channels of a share and of the others, in one tensor."""
    share, others = types
    return OpResult(TensorType(total((share.channels, others.channels)), share.space, share.kind))


INTERLEAVE = OpSpec(
    "interleave",
    _interleave_rule,
    "spacec.lower.ops:interleave",
    inputs=2,
    help="the channels of a share and of the others, shuffled",
)

_MAX_POOL = PRIMITIVE_TABLE.ops["max_pool"]


@dataclass(frozen=True)
class Region:
    """What is narrowed of one choice: the nodes between the tensor ``source`` that its candidates read and it.

    ``channels`` is what the candidates get, one of ``parts``; ``stride`` that of the others, along each axis.
    """

    source: int
    parts: int
    channels: int
    stride: tuple[int, ...]
    nodes: Mapping[int, FlatNode]

    def width(self, index: int) -> Dim:
        """Channels of a node of it, or of its source."""
        return self.channels if index == self.source else self.nodes[index].type.channels


def narrowed_graph(flat: FlatGraph, regions: Mapping[int, Region]) -> FlatGraph:
    """``flat`` with the choices of ``regions`` (by index) on their shares of the channels."""
    return _Rewriting(flat, regions).graph()


class _Rewriting:
    """Builds the new graph: narrow copies of what regions hold, and whatever is still read of the rest."""

    def __init__(self, flat: FlatGraph, regions: Mapping[int, Region]) -> None:
        self.flat = flat
        self.regions = regions
        self.nodes: list[FlatNode] = []
        self.place: dict[int, int] = {}
        """Old index to new."""
        self.shares: dict[tuple[int, int, int, tuple[int, ...]], int] = {}

    def graph(self) -> FlatGraph:
        narrow: dict[int, dict[int, int]] = {index: {} for index in self.regions}
        owners: dict[int, list[int]] = {}
        for choice, region in self.regions.items():
            for i in region.nodes:
                owners.setdefault(i, []).append(choice)
        kept = self.kept()
        for index, node in enumerate(self.flat.nodes):
            for choice in owners.get(index, ()):
                region, within = self.regions[choice], narrow[choice]
                within.setdefault(region.source, self.share(region.source, region.channels, 0))
                within[index] = self.add(with_sources(region.nodes[index], within.__getitem__))
            if index in self.regions:
                self.place[index] = self.choice(index, node, narrow[index])
            elif index in kept:
                self.place[index] = self.add(with_sources(node, self.place.__getitem__))
        outputs = {name: self.place[i] for name, i in self.flat.outputs.items()}
        return replace(self.flat, nodes=tuple(self.nodes), outputs=outputs)

    def kept(self) -> set[int]:
        """Nodes that are read in full."""
        inside = {i for r in self.regions.values() for i in r.nodes}
        kept: set[int] = {i for i in range(len(self.flat.nodes)) if i not in inside}
        stack = [i for i in kept if i not in self.regions] + list(self.flat.outputs.values())
        while stack:
            index = stack.pop()
            sources = (self.regions[index].source,) if index in self.regions else sources_of(self.flat.nodes[index])
            for source in sources:
                if source not in kept:
                    kept.add(source)
                    stack.append(source)
        return kept

    def choice(self, index: int, node: FlatNode, within: Mapping[int, int]) -> int:
        assert isinstance(node, FlatChoose), "regions belong to choices"
        region = self.regions[index]
        alternatives = tuple(
            None if a is None else self.share(a, region.channels, 0) if a == region.source else within[a]
            for a in node.alternatives
        )
        rest = self.share(region.source, region.channels * (region.parts - 1), region.channels, region.stride)
        return self.add(replace(node, alternatives=alternatives, bypass=rest))

    def share(self, source: int, channels: int, first: int, stride: tuple[int, ...] = ()) -> int:
        """``channels`` channels of an old node from ``first`` on, made smaller by ``stride``."""
        if all(s == 1 for s in stride):
            stride = ()
        key = (source, channels, first, stride)
        if key not in self.shares:
            if stride:
                inner = self.share(source, channels, first)
                self.shares[key] = self.op(_MAX_POOL, {"kernel": max(stride), "stride": stride, "pad": "same"}, inner)
            else:
                attrs: dict[str, AttrValue] = {"channels": channels, "first": first}
                self.shares[key] = self.op(SHARE, attrs, self.place[source])
        return self.shares[key]

    def op(self, spec: OpSpec, attrs: dict[str, AttrValue], source: int) -> int:
        result = spec.rule(attrs, (self.nodes[source].type,))
        return self.add(FlatOp(spec, attrs, (source,), result.type))

    def add(self, node: FlatNode) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1
