"""The least time that a forward and backward pass of a supernet takes on a machine: a roofline.

The work is that of the space as it is written, every candidate of every choice, whatever a compiled form shares or
fuses; so all forms have one floor. Of each op of the flat graph, for a batch:

    operations = 2 m forward + 4 m backward       m multiplies; the backward pass has two products as large: the
                                                  gradients of the input and of the weights
    bytes      = (i + w + o) forward + (o + i + w + i + w) backward
                                                  inputs, weights and outputs once each; backward the output's gradient,
                                                  the inputs and the weights are read, and the gradients of inputs
                                                  and weights are written
    floor      = max(operations / matrix rate, bytes / copy rate)

Ops that hand their input on, and zeros, take nothing. A weighted choice reads its candidates and writes their sum. It
is a floor for ops one by one: tensors that stay in a cache, and ops that share their reading, may go below the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spacec.ir.dims import Dim
from spacec.ir.flat import FlatGraph, FlatInput, FlatNode, FlatOp, sources_of
from spacec.ir.ops import OpResult
from spacec.ir.types import TensorType
from spacec.lower import sizes
from spacec.lower.bench.machine import Rates
from spacec.lower.examples import RING
from spacec.space.decisions import DecisionTable

FLOAT, INTEGER = 4, 8


@dataclass(frozen=True)
class Work:
    """Of one forward and backward pass."""

    operations: int
    bytes: int

    def seconds(self, rates: Rates) -> float:
        """The floor."""
        return max(self.operations / rates.operations, self.bytes / rates.bytes)


def work(flat: FlatGraph, table: DecisionTable, given: Mapping[str, int], batch: int) -> Work:
    """The work of a batch; ``given`` are the free sizes of the inputs, elastic ones count at their largest."""
    known = {**sizes.largest(table), **given}
    results: dict[object, tuple[int, int]] = {}

    def number(dim: Dim) -> int:
        return sizes.number(dim, known)

    def stored(kind: TensorType) -> int:
        rows = batch * RING if kind.kind == "graph" else batch
        return rows * number(kind.elements) * (INTEGER if kind.kind == "tokens" else FLOAT)

    def cost(node: FlatNode) -> tuple[int, int]:
        """Multiplies and bytes."""
        sources = [flat.nodes[i].type for i in sources_of(node)]
        if isinstance(node, FlatInput) or handed_on(node, sources):
            return 0, 0
        read, made = sum(map(stored, sources)), stored(node.type)
        multiplies = weights = 0
        if isinstance(node, FlatOp):
            found = _ruled(node, tuple(sources))
            rows = batch * RING if node.type.kind == "graph" else batch
            multiplies, weights = rows * number(found.macs), FLOAT * number(found.params)
        return multiplies, 3 * (read + weights) + 2 * made

    operations = moved = 0
    for node in flat.nodes:
        key = _key(node, flat)
        if key not in results:
            results[key] = cost(node)
        operations += 6 * results[key][0]
        moved += results[key][1]
    return Work(operations, moved)


def handed_on(node: FlatNode, sources: list[TensorType]) -> bool:
    """Whether a node only hands its input on, or is nothing but zeros."""
    if not isinstance(node, FlatOp):
        return False
    laws = node.spec.laws
    same = len(sources) == 1 and sources[0] == node.type
    return laws.zero or laws.identity == "always" or (same and (laws.identity == "same type" or laws.alone))


def _ruled(node: FlatOp, sources: tuple[TensorType, ...]) -> OpResult:
    return node.spec.rule(node.attrs, sources)


def _key(node: FlatNode, flat: FlatGraph) -> object:
    """Equal for nodes of equal cost."""
    sources = tuple(flat.nodes[i].type for i in sources_of(node))
    if isinstance(node, FlatOp):
        return node.spec.name, tuple(node.attrs.items()), sources, node.type
    return type(node), sources, node.type
