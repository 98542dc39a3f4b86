"""A pass over the graphs of optimised supernets: two shuffles that undo each other are left out.

Of C channels, ``channel_shuffle(g)`` reads them as g rows and writes them column by column; ``channel_shuffle(C / g)``
puts them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spacec.ir.flat import FlatGraph, FlatOp, with_sources
from spacec.passes.base import Builder, drop_dead, named


@dataclass(frozen=True)
class Unshuffle:
    """Leave out shuffles that undo each other."""

    name: ClassVar[str] = "unshuffle"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph without pairs of shuffles that change nothing."""
        builder = Builder()
        for index, node in enumerate(flat.nodes):
            undone = _undone(flat, index)
            if undone is None:
                builder.place[index] = builder.add(with_sources(node, builder.place.__getitem__))
            else:
                builder.place[index] = builder.place[undone]
        found = builder.graph(flat)
        return drop_dead(found, named(found, keep))


def _undone(flat: FlatGraph, index: int) -> int | None:
    """What a shuffle gives that undoes the one before it: the tensor before both."""
    second = _shuffle(flat, index)
    first = None if second is None else _shuffle(flat, second.inputs[0])
    if second is None or first is None:
        return None
    a, b = first.attrs["groups"], second.attrs["groups"]
    return first.inputs[0] if isinstance(a, int) and isinstance(b, int) and a * b == second.type.channels else None


def _shuffle(flat: FlatGraph, index: int) -> FlatOp | None:
    node = flat.nodes[index]
    return node if isinstance(node, FlatOp) and node.spec.name == "channel_shuffle" else None
