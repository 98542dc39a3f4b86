"""What runs the nodes of a graph: layers, functions and kernels, in a memory layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from spacec.ir.flat import FlatOp
from spacec.lower.blueprint import Blueprint
from spacec.lower.fitted import ElasticLayers
from spacec.lower.kernels.dispatch import Kernels, Moved, moved
from spacec.lower.layers import Call, Layer
from spacec.lower.layout import Foreign
from spacec.lower.regions import Regions
from spacec.lower.schedule import Layout


@dataclass(frozen=True)
class Machine:
    """What runs nodes: ``functions`` by op index, ``modules`` by parameter key."""

    blueprint: Blueprint
    functions: Mapping[int, Callable[..., Tensor]]
    modules: Mapping[str, nn.Module]
    elastic: ElasticLayers
    kernels: Kernels | None = None
    """What computes ops in the place of ``functions`` and ``modules``, where it can."""
    layout: Layout = "contiguous"
    """Of images, but for those that ``foreign`` ops are given: see :mod:`spacec.lower.layout`."""
    foreign: frozenset[int] = frozenset()
    generated: bool = False
    """Whether mixes may run as generated code."""
    regions: Regions | None = None
    """What computes whole pieces and sums by compiled code, where it can."""

    @cached_property
    def direct(self) -> dict[int, Callable[..., Tensor]]:
        """What computes an op from its present inputs alone, by node: most ops, and all that a step need look up."""
        blueprint = self.blueprint
        found: dict[int, Callable[..., Tensor]] = {}
        for node, layer in self._alone:
            if node in blueprint.elastic.symbols:
                continue
            op = blueprint.flat.nodes[node]
            assert isinstance(op, FlatOp), "only ops are lowered"
            if isinstance(layer, Layer) and (changed := moved(layer, self.modules[op.key])) is not None:
                found[node] = Moved(node, *changed, self.kernels)
                continue
            own = self.modules[op.key] if isinstance(layer, Layer) else self.functions[node]
            bound = None if self.kernels is None else self.kernels.bound(node, layer, own)
            found[node] = Foreign(own, self.layout) if node in self.foreign else bound or own
        return found

    @cached_property
    def sized(self) -> frozenset[int]:
        """The ops that are computed from their present inputs and the sizes of an architecture alone."""
        elastic = self.blueprint.elastic.symbols
        return frozenset(node for node, _ in self._alone if node in elastic and node not in self.foreign)

    @cached_property
    def _alone(self) -> list[tuple[int, Layer | Call]]:
        """Lowered ops that run by themselves, on nothing but their inputs, and return a tensor."""
        together = {*self.blueprint.joined, *self.blueprint.stacked.splits}
        return [
            (node, layer)
            for node, layer in self.blueprint.lowered.items()
            if node not in together and not layer.graph and not (isinstance(layer, Layer) and layer.emits)
        ]
