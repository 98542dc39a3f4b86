"""A choice becomes the weighted sum of its candidates, and a sum of such becomes one sum: a mix.

``sum(choose(a, b), choose(c, d)) = g_a a + g_b b + h_c c + h_d d``. Assumes a specialised graph, whose choices run all
candidates that they have left. Channels that pass a choice by are a mix of one term, beside that of the candidates.
Choices stay where their value is kept, and where the reach of merged calls depends on them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from spacec.ir.flat import FlatChoose, FlatGraph, FlatMix, FlatNode, FlatOp, Gate, Term, with_sources
from spacec.passes.base import Builder, asked, drop_dead, named, readers
from spacec.passes.shares import INTERLEAVE


@dataclass(frozen=True)
class Mixes:
    """Make choices, and the sums that read them, weighted sums of their candidates."""

    name: ClassVar[str] = "mixes"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with mixes for choices, and for sums that read nothing but present tensors."""
        fixed = asked(flat)
        read = readers(flat)
        outputs = {index for name, index in flat.outputs.items() if name in keep}
        builder = Builder()
        for index, node in enumerate(flat.nodes):
            now = with_sources(node, builder.place.__getitem__)
            if isinstance(now, FlatChoose) and _mixes(now, fixed, keep) and index not in outputs:
                now = _mixed(now, builder)
            elif isinstance(now, FlatOp) and now.spec.name == "sum" and isinstance(node, FlatOp):
                found = [
                    _inlined(builder, new, alone=read[old] == [index])
                    for old, new in zip(node.inputs, now.inputs, strict=True)
                ]
                if any(gated for _, gated in found):
                    now = FlatMix(tuple(t for terms, _ in found for t in terms), now.type, now.guard, now.span)
            builder.place[index] = builder.add(now)
        mixed = builder.graph(flat)
        return drop_dead(mixed, named(mixed, keep))


def _mixes(choice: FlatChoose, fixed: frozenset[Hashable], keep: frozenset[str]) -> bool:
    return (
        choice.instance not in keep
        and (choice.slot, choice.instance) not in fixed
        and any(a is not None for a in choice.alternatives)
    )


def _mixed(choice: FlatChoose, builder: Builder) -> FlatNode:
    edge = choice.edge
    whole = () if edge is None else (Gate(edge.slot, edge.instance, edge.element),)
    among = () if choice.bypass is not None else whole
    terms = tuple(
        Term(source, (Gate(choice.slot, choice.instance, k), *among))
        for k, source in enumerate(choice.alternatives)
        if source is not None
    )
    if choice.bypass is None:
        return FlatMix(terms, choice.type, choice.guard, choice.span)
    share, others = builder.nodes[terms[0].source].type, builder.nodes[choice.bypass].type
    every = Term(choice.bypass, (Gate(choice.slot, choice.instance, None),))
    parts = FlatMix(terms, share, choice.guard), FlatMix((every,), others, choice.guard)
    joined = FlatOp(INTERLEAVE, {}, tuple(map(builder.add, parts)), choice.type, "", choice.guard, choice.span)
    if not whole:
        return joined
    return FlatMix((Term(builder.add(joined), whole),), choice.type, choice.guard, choice.span)


def _inlined(builder: Builder, index: int, alone: bool) -> tuple[tuple[Term, ...], bool]:
    """The terms that a term of a sum stands for, and whether it was a mix that only this sum reads."""
    node = builder.nodes[index]
    return (node.terms, True) if isinstance(node, FlatMix) and alone else ((Term(index),), False)
