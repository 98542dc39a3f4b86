"""What contributes zero to a sum or a choice is left out of it, where something else remains.

Zero is the op ``zero``, and whatever keeps zeros (:class:`spacec.ir.ops.OpLaws`) on nothing but zeros, but for ops with
weights or buffers, which must run. A choice is a sum weighted by its mask: the gradient of a zero candidate's weight is
exactly zero, as it is for a weight that nothing reads, as long as something reads the mask. So a mask whose only
candidate is a zero keeps it.

Assumes a flat graph, specialised: every candidate of a choice runs. Guarantees that whatever has weights, buffers or a
mask and was needed is needed still: its statistics are updated, its gradient is there and is zero.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.flat import FlatChoose, FlatGraph, FlatMix, FlatNode, FlatOp, sources_of
from spacec.passes.base import drop_dead, live, named


@dataclass(frozen=True)
class DropZeros:
    """Leave zeros out of sums and choices."""

    name: ClassVar[str] = "drop_zeros"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph whose sums and choices have no zero beside other terms."""
        void = _void(flat)
        spare = {index: gone for index, node in enumerate(flat.nodes) if (gone := _spare(node, void))}
        if not spare:
            return flat
        fewer = _thinned(flat, spare)
        kept = named(flat, keep)
        lost = _lost(flat, live(flat, kept), live(fewer, kept))
        if not any(lost):
            return drop_dead(fewer, kept)
        left = {
            index: tuple(k for k in gone if not lost[_terms(flat.nodes[index])[k]]) for index, gone in spare.items()
        }
        return drop_dead(_thinned(flat, left), kept)


def _void(flat: FlatGraph) -> list[bool]:
    """Nodes that are zeros whatever the inputs are."""
    void: list[bool] = []
    for node in flat.nodes:
        match node:
            case FlatOp():
                void.append(_gives_zeros(node, [void[i] for i in node.inputs]))
            case FlatChoose(bypass=None):
                present = [void[i] for i in node.alternatives if i is not None]
                void.append(bool(present) and all(present))
            case FlatMix():
                void.append(all(void[term.source] and not term.norm for term in node.terms))
            case _:
                void.append(False)
    return void


def _gives_zeros(op: FlatOp, void: Sequence[bool]) -> bool:
    laws = op.spec.laws
    if op.spec.state:
        return False
    if laws.zero:
        return True
    if laws.keeps_zero == "never" or any(op.attrs.get(name) for name in laws.unless):
        return False
    return any(void) if laws.keeps_zero == "any" else bool(void) and all(void)


def _terms(node: FlatNode) -> tuple[int, ...]:
    """What a node adds up, absent candidates apart."""
    match node:
        case FlatOp() if node.spec.laws.adds:
            return node.inputs
        case FlatChoose():
            return tuple(a for a in node.alternatives if a is not None)
        case FlatMix():
            return tuple(term.source for term in node.terms)
        case _:
            return ()


def _readable(node: FlatNode, gone: tuple[int, ...]) -> tuple[int, ...]:
    """Of the terms ``gone`` those whose masks other terms of a mix read, too, so that they have a gradient."""
    if not isinstance(node, FlatMix):
        return gone
    left = {(g.slot, g.instance) for k, t in enumerate(node.terms) if k not in gone for g in t.gates}
    found = []
    for k in gone:
        read = {(g.slot, g.instance) for g in node.terms[k].gates}
        if read <= left:
            found.append(k)
        left |= read
    return tuple(found)


def _spare(node: FlatNode, void: Sequence[bool]) -> tuple[int, ...]:
    """The places of terms that a node can do without."""
    terms = _terms(node)
    gone = tuple(k for k, source in enumerate(terms) if void[source] and not _normed(node, k))
    return _readable(node, gone[1:] if len(gone) == len(terms) else gone)


def _normed(node: FlatNode, place: int) -> bool:
    return isinstance(node, FlatMix) and node.terms[place].norm != ""


def _thinned(flat: FlatGraph, spare: Mapping[int, tuple[int, ...]]) -> FlatGraph:
    nodes = list(flat.nodes)
    for index, gone in spare.items():
        nodes[index] = _without(nodes[index], gone)
    return replace(flat, nodes=tuple(nodes))


def _without(node: FlatNode, gone: Collection[int]) -> FlatNode:
    match node:
        case FlatOp():
            return replace(node, inputs=tuple(s for k, s in enumerate(node.inputs) if k not in gone))
        case FlatChoose():
            present = [k for k, a in enumerate(node.alternatives) if a is not None]
            absent = {present[k] for k in gone}
            return replace(
                node, alternatives=tuple(None if k in absent else a for k, a in enumerate(node.alternatives))
            )
        case FlatMix():
            return replace(node, terms=tuple(t for k, t in enumerate(node.terms) if k not in gone))
        case _:
            raise AssertionError("only sums and choices have terms")


def _lost(flat: FlatGraph, before: Sequence[bool], after: Sequence[bool]) -> list[bool]:
    """Nodes that no longer run though they are layers, masks or meetings, and what else died that reads one."""
    lost: list[bool] = []
    for index, node in enumerate(flat.nodes):
        dead = before[index] and not after[index]
        matters = not isinstance(node, FlatOp) or node.spec.state
        lost.append(dead and (matters or any(lost[s] for s in sources_of(node))))
    return lost
