"""Cheap activations are made again in the backward pass instead of being kept for it.

An activation function of one input, and the batch norm in front of one, is marked
(:attr:`spacec.ir.flat.FlatOp.recompute`) where the tensor that it is made of is kept in any case: by another reader,
or because that is an op which keeps its own inputs. In DARTS these are the activations of an edge's source, and the
norm and the activation in the middle of a separable convolution.

Assumes a flat graph, with norms folded (:mod:`spacec.passes.fold_norms`). Values stay the same, nodes and names too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.flat import FlatGraph, FlatMix, FlatNode, FlatOp
from spacec.passes.base import readers
from spacec.passes.order import HELD

CHEAP = frozenset(
    ("relu", "relu6", "leaky_relu", "elu", "gelu", "swish", "hardswish", "mish", "sigmoid", "hardsigmoid", "tanh")
)
"""Functions of every number by itself."""


@dataclass(frozen=True)
class Recompute:
    """Make cheap activations again in the backward pass."""

    name: ClassVar[str] = "recompute"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with its marks."""
        read = readers(flat)
        marked: set[int] = set()
        for index, node in enumerate(flat.nodes):
            if not isinstance(node, FlatOp) or -1 in read[index] or node.key in keep or node.parts:
                continue
            source = node.inputs[0] if len(node.inputs) == 1 else -1
            if node.spec.name in CHEAP and source >= 0:
                others = [flat.nodes[i] for i in read[source] if i != index]
                if source in marked or any(map(_keeps_inputs, others)):
                    marked.add(index)
            elif node.spec.name == "bn" and all(_cheap(flat.nodes[i]) for i in read[index]):
                marked.add(index)
        nodes = (
            replace(n, recompute=True) if i in marked and isinstance(n, FlatOp) else n for i, n in enumerate(flat.nodes)
        )
        return replace(flat, nodes=tuple(nodes)) if marked else flat


def _cheap(node: FlatNode) -> bool:
    return isinstance(node, FlatOp) and node.spec.name in CHEAP


def _keeps_inputs(node: FlatNode) -> bool:
    if isinstance(node, FlatMix):
        return True
    return isinstance(node, FlatOp) and node.spec.name not in CHEAP and HELD.get(node.spec.name, "inputs") == "inputs"
