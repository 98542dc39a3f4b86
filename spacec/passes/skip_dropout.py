"""Dropout on the skips among candidates, so that a search does not fall for what needs no training (P-DARTS, EoiNAS).

A *skip* is a candidate that gives what the choice is made on, as it is (:mod:`spacec.ir.roles`). Strided skips, which
compute, are none; nor is an element that a pick can take or leave, having no other candidate.

Assumes a flat graph. Guarantees slots, instances and keys as they were, but for the dropouts, whose keys begin with
:data:`PREFIX`. Their rate is zero until :func:`spacec.lower.helpers.set_skip_dropout` says otherwise.
"""

from __future__ import annotations

from dataclasses import replace

from spacec.ir.flat import FlatChoose, FlatGraph, FlatNode, FlatOp, with_sources
from spacec.ir.roles import roles_of
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
    told = roles_of(flat, choice)
    if sum(role != "absent" for role in told) < 2:
        return ()
    return tuple(k for k, role in enumerate(told) if role == "identity")
