"""In which order a controller decides, and what it has decided of the things that a pick offers.

Decisions are asked in the order in which the network computes what they choose, as far as what makes a decision active
is asked before it: an ENAS macro layer gets its operation and then its skips, a cell its nodes one by one. An element
of a pick is the *work of* the last decision, among those of the same owner and asked before the pick, that goes into
its value: of a cell's earlier node, the last of this node's; of an input of the cell, none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from spacec.ir.flat import FlatChoose, FlatGraph, sources_of
from spacec.space.activity import activity_of
from spacec.space.decisions import Decision, DecisionTable


@dataclass(frozen=True)
class Plan:
    """``table``: with the decisions in the order in which they are asked; ``rank``: the place of each there.

    ``works``: by subset decision, of each element the rank of the decision whose work it is, or ``None``. ``families``:
    by other decisions, those that share weights of the controller: of one kind, one name but for its indices, and the
    same candidates.
    """

    table: DecisionTable
    rank: Mapping[str, int]
    works: Mapping[str, tuple[int | None, ...]]
    families: Mapping[str, str]

    @property
    def widest(self) -> int:
        """Elements of the largest pick."""
        return max((len(elements) for elements in self.works.values()), default=0)


def plan_of(table: DecisionTable, flat: FlatGraph) -> Plan:
    """The plan of a space."""
    ordered = replace(table, decisions=_asked(table, flat))
    rank = {d.id: k for k, d in enumerate(ordered.decisions)}
    families = {d.id: _family(d) for d in ordered.decisions if d.kind != "subset"}
    return Plan(ordered, rank, _works(ordered, flat, rank), families)


def _asked(table: DecisionTable, flat: FlatGraph) -> tuple[Decision, ...]:
    """Decisions by where they are computed first, or where the last decision is on which their activity depends.

    A decision that no mask slot relaxes (a size, a number of repeats) stays behind the one before it.
    """
    where = _positions(table, flat)
    activity, at, reached = activity_of(table), dict[str, int](), list[int]()
    latest = 0
    for decision, root, end in zip(table.decisions, activity.roots, activity.ends, strict=True):
        for node in activity.pool.nodes[len(reached) : end]:
            inside = [reached[c] for c in node.children]
            reached.append(at[node.decision] if node.decision else max(inside, default=0))
        latest = at[decision.id] = max(where.get(decision.id, latest), reached[root])
    return tuple(sorted(table.decisions, key=lambda d: at[d.id]))


def _positions(table: DecisionTable, flat: FlatGraph) -> dict[str, int]:
    """By decision, the first node of the network that is chosen by it."""
    slots = {slot.id: slot for slot in table.slots}
    found: dict[str, int] = {}
    for index, node in enumerate(flat.nodes):
        if isinstance(node, FlatChoose):
            slot = slots[node.slot]
            for decision in (slot.decision, slot.pick):
                if decision is not None:
                    found.setdefault(decision, index)
    return found


def _works(table: DecisionTable, flat: FlatGraph, rank: Mapping[str, int]) -> dict[str, tuple[int | None, ...]]:
    """See the module; told from the first cell of those that share their decisions."""
    picks = {d.id: d for d in table.decisions if d.kind == "subset"}
    if not picks:
        return {}
    slots = {slot.id: slot for slot in table.slots}
    own = _of_owners(table, rank)
    before: list[int] = []
    """By node, the ranks of the decisions that go into its value, as bits."""
    found: dict[tuple[str, int], int | None] = {}
    for node in flat.nodes:
        behind = 0
        for source in sources_of(node):
            behind |= before[source]
        if isinstance(node, FlatChoose):
            slot = slots[node.slot]
            if slot.pick in picks and (slot.pick, slot.element) not in found:
                earlier = behind & own[picks[slot.pick].owner] & ((1 << rank[slot.pick]) - 1)
                found[slot.pick, slot.element] = earlier.bit_length() - 1 if earlier else None
            for decision in (slot.decision, slot.pick):
                if decision is not None:
                    behind |= 1 << rank[decision]
        before.append(behind)
    return {d.id: tuple(found.get((d.id, e)) for e in range(d.size)) for d in picks.values()}


def _of_owners(table: DecisionTable, rank: Mapping[str, int]) -> dict[str, int]:
    """By owner, the ranks of its decisions as bits."""
    found: dict[str, int] = {}
    for d in table.decisions:
        found[d.owner] = found.get(d.owner, 0) | 1 << rank[d.id]
    return found


def _family(decision: Decision) -> str:
    name = re.sub(r"\[[^\]]*\]", "", decision.id).rsplit(".", 1)[-1]
    return "/".join((decision.kind, name, *decision.labels))
