"""Costs of what ops give: how many ops an architecture has, and how many numbers they make of one sample.

Assumes a finished graph. Both are told from the graph written out, where equal ops without weights on one value are
one op, as they are in a network. An op counts where it is there (its text is selected and its inputs are present),
read or not, as its weights and multiplies do. ``identity`` does not count: it hands its input on and makes nothing.
"""

from __future__ import annotations

from spacec.ir.conditions import Cond
from spacec.ir.dims import Dim, total
from spacec.ir.flat import FlatOp
from spacec.ir.flatten import flatten
from spacec.ir.graph import SpaceGraph
from spacec.space.decisions import CostTerm

RESULTS = ("activations", "nodes")
"""``activations``: elements of the results of all ops for one sample; ``nodes``: number of ops."""

MAKES_NOTHING = frozenset(("identity",))
"""Ops whose result is their input."""


def result_terms(graph: SpaceGraph) -> dict[str, tuple[CostTerm, ...]]:
    """The terms of :data:`RESULTS`."""
    elements: dict[Cond, list[Dim]] = {}
    nodes: dict[Cond, int] = {}
    for node in flatten(graph, full=True).nodes:
        if isinstance(node, FlatOp) and node.spec.name not in MAKES_NOTHING:
            elements.setdefault(node.guard, []).append(node.type.elements)
            nodes[node.guard] = nodes.get(node.guard, 0) + 1
    sums = ((when, total(parts)) for when, parts in elements.items())
    return {
        "activations": tuple(CostTerm(when, amount) for when, amount in sums if amount != 0),
        "nodes": tuple(CostTerm(when, count) for when, count in nodes.items()),
    }
