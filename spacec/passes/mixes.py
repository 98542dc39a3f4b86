"""A choice becomes the weighted sum of its candidates, and a sum of such becomes one sum: a mix.

``sum(choose(a, b), choose(c, d)) = g_a a + g_b b + h_c c + h_d d``. Assumes a specialised graph, whose choices run all
candidates that they have left. Choices stay where their value is kept, where channels pass them by, and where the
reach of merged calls depends on them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from spacec.ir.flat import FlatChoose, FlatGraph, FlatMix, FlatOp, Gate, Term, with_sources
from spacec.passes.base import Builder, asked, readers


@dataclass(frozen=True)
class Mixes:
    """The pass; it has no options."""

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
                now = FlatMix(_terms(now), now.type, now.guard, now.span)
            elif isinstance(now, FlatOp) and now.spec.name == "sum" and isinstance(node, FlatOp):
                found = [
                    _inlined(builder, new, alone=read[old] == [index])
                    for old, new in zip(node.inputs, now.inputs, strict=True)
                ]
                if any(gated for _, gated in found):
                    now = FlatMix(tuple(t for terms, _ in found for t in terms), now.type, now.guard, now.span)
            builder.place[index] = builder.add(now)
        return builder.graph(flat)


def _mixes(choice: FlatChoose, fixed: frozenset[Hashable], keep: frozenset[str]) -> bool:
    if choice.bypass is not None or choice.instance in keep:
        return False
    return (choice.slot, choice.instance) not in fixed and any(a is not None for a in choice.alternatives)


def _terms(choice: FlatChoose) -> tuple[Term, ...]:
    edge = choice.edge
    whole = () if edge is None else (Gate(edge.slot, edge.instance, edge.element),)
    return tuple(
        Term(source, (Gate(choice.slot, choice.instance, k), *whole))
        for k, source in enumerate(choice.alternatives)
        if source is not None
    )


def _inlined(builder: Builder, index: int, alone: bool) -> tuple[tuple[Term, ...], bool]:
    """The terms that a term of a sum stands for, and whether it was a mix that only this sum reads."""
    node = builder.nodes[index]
    return (node.terms, True) if isinstance(node, FlatMix) and alone else ((Term(index),), False)
