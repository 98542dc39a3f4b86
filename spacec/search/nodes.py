"""Which mask slots are edges into one node: their results are summed, so they can be weighed against each other."""

from __future__ import annotations

from spacec.ir.flat import FlatChoose, FlatGraph, FlatOp


def summed_slots(flat: FlatGraph) -> tuple[tuple[str, ...], ...]:
    """Slots whose choices are the terms of one sum, sum by sum, in the order of the terms.

    Left out are sums of anything beside choices, sums whose terms have a slot of edge weights (``pick … edges = 1``),
    and those that share a slot with a sum of others.
    """
    groups: dict[tuple[str, ...], None] = {}
    for node in flat.nodes:
        if isinstance(node, FlatOp) and node.spec.laws.adds:
            terms = (flat.nodes[i] for i in node.inputs)
            slots = [term.slot for term in terms if isinstance(term, FlatChoose) and term.edge is None]
            if len(slots) == len(node.inputs) == len(set(slots)):
                groups[tuple(slots)] = None
    uses = [slot for group in groups for slot in group]
    return tuple(group for group in groups if all(uses.count(slot) == 1 for slot in group))
