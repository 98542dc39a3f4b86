"""Dropout on the skips among candidates, so that a search does not fall for what needs no training (P-DARTS, EoiNAS).

A *skip* is a candidate that gives what the choice is made on, as it is: ops whose law is to be the identity, on a
tensor that another candidate of the same choice reads too. Strided skips, which compute, are none; nor is an element
that a pick can take or leave, having no other candidate.

Assumes a flat graph. Guarantees slots, instances and keys as they were, but for the dropouts, whose keys begin with
:data:`PREFIX`. Their rate is zero until :func:`spacec.lower.helpers.set_skip_dropout` says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from spacec.ir.flat import FlatChoose, FlatGraph, FlatNode, FlatOp, sources_of, with_sources
from spacec.std.primitives import PRIMITIVE_TABLE

PREFIX = "skip_dropout"
"""No name of a space: those of its steps end in numbers."""

_DROPOUT = PRIMITIVE_TABLE.ops["dropout"]


def skips(flat: FlatGraph) -> dict[int, tuple[int, ...]]:
    """The choices with skips among their candidates, by node, and these candidates' positions."""
    found = {}
    for index, node in enumerate(flat.nodes):
        if isinstance(node, FlatChoose) and (positions := _skips_of(flat, node)):
            found[index] = positions
    return found


def with_skip_dropout(flat: FlatGraph) -> FlatGraph:
    """The graph with a dropout between every skip and its choice."""
    found = skips(flat)
    nodes: list[FlatNode] = []
    place: dict[int, int] = {}
    for index, node in enumerate(flat.nodes):
        now = with_sources(node, place.__getitem__)
        if index in found:
            assert isinstance(now, FlatChoose), "skips belong to choices"
            alternatives = list(now.alternatives)
            for k in found[index]:
                source = alternatives[k]
                assert source is not None, "a skip is present"
                alternatives[k] = len(nodes)
                key = f"{PREFIX}.{now.instance}.candidate_{k}"
                nodes.append(FlatOp(_DROPOUT, {"rate": 0.0}, (source,), nodes[source].type, key, now.guard))
            now = replace(now, alternatives=tuple(alternatives))
        place[index] = len(nodes)
        nodes.append(now)
    outputs = {name: place[index] for name, index in flat.outputs.items()}
    return replace(flat, nodes=tuple(nodes), outputs=outputs)


def _skips_of(flat: FlatGraph, choice: FlatChoose) -> tuple[int, ...]:
    bare = {k: _behind_identities(flat, a) for k, a in enumerate(choice.alternatives) if a is not None}
    return tuple(
        k
        for k, source in bare.items()
        if source != choice.alternatives[k] and any(_reads(flat, bare[j], source) for j in bare if j != k)
    )


def _behind_identities(flat: FlatGraph, index: int) -> int:
    """The node that identity ops hand on."""
    node = flat.nodes[index]
    while isinstance(node, FlatOp) and _is_identity(flat, node):
        (index,) = node.inputs
        node = flat.nodes[index]
    return index


def _is_identity(flat: FlatGraph, op: FlatOp) -> bool:
    law = op.spec.laws.identity
    same = len(op.inputs) == 1 and flat.nodes[op.inputs[0]].type == op.type
    return same and law != "never"


def _reads(flat: FlatGraph, index: int, source: int) -> bool:
    """Whether a node is ``source``, or reads it, directly or by way of others."""
    stack, seen = [index], set()
    while stack:
        at = stack.pop()
        if at == source:
            return True
        if at > source and at not in seen:
            seen.add(at)
            stack.extend(sources_of(flat.nodes[at]))
    return False
