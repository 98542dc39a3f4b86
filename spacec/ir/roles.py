"""What the candidates of a choice do, told by the laws of their ops and never by their labels.

``absent``: there is nothing. ``zero``: it gives zeros, so that in a sum it counts for nothing (*none* of DARTS).
``identity``: ops that are the identity give the choice's input (a skip connection). ``op``: anything else, a factorised
reduction and the ways out of a depth included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from spacec.ir.conditions import Has, Is, conjuncts
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatNode, FlatOp, sources_of

Role = Literal["absent", "zero", "identity", "op"]

NOTHING: tuple[Role, ...] = ("absent", "zero")
"""A candidate of one of these leaves its edge out."""


def roles(flat: FlatGraph) -> Mapping[tuple[str, str], tuple[Role, ...]]:
    """The role of every candidate, by (slot, instance), in the order of the slot's labels."""
    choices = (node for node in flat.nodes if isinstance(node, FlatChoose))
    return {(choice.slot, choice.instance): roles_of(flat, choice) for choice in choices}


def roles_of(flat: FlatGraph, choice: FlatChoose) -> tuple[Role, ...]:
    """The role of every candidate of one choice."""
    return tuple(_role(flat, choice, alternative) for alternative in choice.alternatives)


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
    index = _behind_identities(flat, alternative)
    node = flat.nodes[index]
    if isinstance(node, FlatOp) and node.spec.laws.zero:
        return "zero"
    if index == alternative or (_inside(choice, node) and not _read_by_others(flat, choice, alternative, index)):
        return "op"
    return "identity"


def _behind_identities(flat: FlatGraph, index: int) -> int:
    """The node that identity ops hand on."""
    node = flat.nodes[index]
    while isinstance(node, FlatOp) and _is_identity(flat, node):
        (index,) = node.inputs
        node = flat.nodes[index]
    return index


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


def _read_by_others(flat: FlatGraph, choice: FlatChoose, alternative: int, source: int) -> bool:
    """Whether another candidate is ``source``, or reads it, directly or by way of others."""
    waiting = [a for a in choice.alternatives if a is not None and a != alternative]
    seen: set[int] = set()
    while waiting:
        index = waiting.pop()
        if index == source:
            return True
        if index > source and index not in seen:
            seen.add(index)
            waiting.extend(sources_of(flat.nodes[index]))
    return False
