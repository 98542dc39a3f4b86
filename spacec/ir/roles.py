"""What the candidates of a choice do, told by the laws of their ops and never by their labels.

``absent``: there is nothing. ``zero``: it gives zeros, so that in a sum it counts for nothing (*none* of DARTS).
``identity``: it gives the choice's input (a skip connection). ``op``: anything else, a factorised reduction included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from spacec.ir.conditions import Has, Is, conjuncts
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatNode, FlatOp

Role = Literal["absent", "zero", "identity", "op"]

NOTHING: tuple[Role, ...] = ("absent", "zero")
"""A candidate of one of these leaves its edge out."""


def roles(flat: FlatGraph) -> Mapping[tuple[str, str], tuple[Role, ...]]:
    """The role of every candidate, by (slot, instance), in the order of the slot's labels."""
    found = ((n, tuple(_role(flat, n, a) for a in n.alternatives)) for n in flat.nodes if isinstance(n, FlatChoose))
    return {(choice.slot, choice.instance): told for choice, told in found}


def roles_by_slot(flat: FlatGraph) -> Mapping[str, tuple[Role, ...]]:
    """The role of every candidate by slot: what it is in all activations of the slot, else ``op``."""
    found: dict[str, tuple[Role, ...]] = {}
    for (slot, _), told in roles(flat).items():
        before = found.get(slot, told)
        found[slot] = tuple(a if a == b else "op" for a, b in zip(before, told, strict=True))
    return found


def _role(flat: FlatGraph, choice: FlatChoose, alternative: int | None) -> Role:
    if alternative is None:
        return "absent"
    node = flat.nodes[alternative]
    while isinstance(node, FlatOp) and _is_identity(flat, node):
        node = flat.nodes[node.inputs[0]]
    if isinstance(node, FlatOp) and node.spec.laws.zero:
        return "zero"
    return "op" if _inside(choice, node) else "identity"


def _is_identity(flat: FlatGraph, op: FlatOp) -> bool:
    law = op.spec.laws.identity
    if law == "never" or len(op.inputs) != 1:
        return False
    return law == "always" or flat.nodes[op.inputs[0]].type == op.type


def _inside(choice: FlatChoose, node: FlatNode) -> bool:
    """Whether a node belongs to a candidate: it asks for more than there is where the choice is."""
    if isinstance(node, FlatInput):
        return False
    return any(isinstance(c, Is | Has) for c in conjuncts(node.guard) - conjuncts(choice.guard))
