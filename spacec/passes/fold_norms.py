"""A batch norm that only one term of a mix reads becomes part of that term: its result is never stored.

``mix(w * bn(z)) = mix(w * z through bn)``: the mix of normalised tensors is affine in what the norms read, channel by
channel, in training too (:mod:`spacec.lower.kernels.mix`).

Assumes mixes (:mod:`spacec.passes.mixes`). A norm stays where its value is kept, where more than one node reads it,
where its key has several uses (its running statistics take them in, in order), and where its channels are decided.

Norms in front of linear maps stay, too. In evaluation such a norm is affine and could be folded into the map's weight,
but under padding its shift does not reach the border, and a pass does not know the mode. In training its statistics
come from what the map reads, so that nothing is saved: the map reads the tensor again in any case.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

from spacec.ir.flat import FlatGraph, FlatMix, FlatOp, Term, with_sources
from spacec.passes.base import Builder, drop_dead, readers
from spacec.std.primitives import PRIMITIVE_TABLE

_NORM = PRIMITIVE_TABLE.ops["bn"]


@dataclass(frozen=True)
class FoldNorms:
    """Make batch norms that only a mix reads part of its terms."""

    name: ClassVar[str] = "fold_norms"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with norms as part of terms."""
        uses = Counter(n.key for n in flat.nodes if isinstance(n, FlatOp))
        read = readers(flat)
        folds = {
            index: node
            for index, node in enumerate(flat.nodes)
            if isinstance(node, FlatOp)
            and node.spec == _NORM
            and node.key
            and uses[node.key] == 1
            and node.key not in keep
            and len(read[index]) == 1
            and isinstance(node.type.channels, int)
        }
        builder = Builder()
        for index, node in enumerate(flat.nodes):
            if isinstance(node, FlatMix):
                node = replace(node, terms=tuple(_folded(t, folds) for t in node.terms))
            builder.place[index] = builder.add(with_sources(node, builder.place.__getitem__))
        return drop_dead(builder.graph(flat))


def _folded(term: Term, folds: dict[int, FlatOp]) -> Term:
    norm = folds.get(term.source)
    if norm is None or term.norm or term.first:
        return term
    return replace(term, source=norm.inputs[0], norm=norm.key)
