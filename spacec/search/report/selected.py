"""One architecture inside the flat graph: what is present, which candidates are taken, and what lies between.

A *group* is the activation of a slot: one choose node, or one per scale where a whole pyramid is chosen. Its
*interior* is what only it reads; its *sources* are the nodes that the interior reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from spacec.ir.conditions import holds
from spacec.ir.entries import running_calls
from spacec.ir.flat import FlatChoose, FlatGraph, FlatInput, FlatMeet, FlatMix, FlatNode, FlatOp, FlatSwitch, sources_of
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable
from spacec.space.derive import slots_of

StopFn = Callable[[int], bool]


@dataclass(frozen=True)
class Group:
    """``nodes``: indices of its choose nodes, in order; ``label``: the taken candidate's."""

    slot: str
    instance: str
    nodes: tuple[int, ...]
    label: str
    interior: frozenset[int]


class Selected:
    """``flat`` seen by ``arch``."""

    def __init__(self, flat: FlatGraph, table: DecisionTable, arch: Architecture) -> None:
        self.flat = flat
        self.table = table
        self.arch = arch
        self.indices: Mapping[str, int | None] = slots_of(table, arch)
        self.labels = {slot.id: slot.labels for slot in table.slots}

    @cached_property
    def consumers(self) -> list[list[int]]:
        """Readers of every node, in all architectures."""
        found: list[list[int]] = [[] for _ in self.flat.nodes]
        for index, node in enumerate(self.flat.nodes):
            for source in set(sources_of(node)):
                found[source].append(index)
        return found

    @cached_property
    def groups(self) -> list[Group]:
        """Groups that are present with a candidate taken, in order, without those inside another's interior."""
        members: dict[tuple[str, str], list[int]] = {}
        for index, node in enumerate(self.flat.nodes):
            if isinstance(node, FlatChoose):
                members.setdefault((node.slot, node.instance), []).append(index)
        every = [self._group(slot, instance, tuple(nodes)) for (slot, instance), nodes in members.items()]
        inner = frozenset().union(*(g.interior for g in every))
        return [g for g in every if g.label and not inner.intersection(g.nodes)]

    def taken(self, node: int) -> int | None:
        """The node that a choose node passes on; ``None`` for an absent one."""
        choose = self.flat.nodes[node]
        assert isinstance(choose, FlatChoose)
        index = self.indices.get(choose.slot)
        return None if index is None or not self._present(choose) else choose.alternatives[index]

    @cached_property
    def _calls(self) -> list[tuple[int, ...]]:
        """The active call of every member that runs once."""

        def runs(slot: str, instance: str) -> tuple[int, ...]:
            index = self.indices.get(slot)
            return () if index is None else (index,)

        return running_calls(self.flat.entries, runs)

    def reads(self, node: int) -> tuple[int, ...]:
        """What a node reads in this architecture; absent terms left out."""
        found = self.flat.nodes[node]
        if isinstance(found, FlatMeet):
            return tuple(found.sources[k] for k in self._calls[found.entry])
        if isinstance(found, FlatChoose):
            taken = self.taken(node)
            return () if taken is None else (taken,)
        if isinstance(found, FlatSwitch):
            return tuple(a for a in self._switched(found) if self._alive(a))
        return tuple(i for i in sources_of(found) if self._alive(i))

    def _switched(self, node: FlatSwitch) -> tuple[int, ...]:
        """The candidate that a switch takes, if it is not absent."""
        pairs = zip(node.alternatives, node.conditions, strict=True)
        return tuple(a for a, c in pairs if a is not None and holds(c, self._value))

    def keyed(self, node: int) -> bool:
        """Whether a node has weights or state."""
        found = self.flat.nodes[node]
        return isinstance(found, FlatOp) and bool(found.key)

    def sources(self, group: Group, node: int) -> dict[int, bool]:
        """Nodes outside that ``node`` of ``group`` draws on, and whether weights lie on the way."""
        return self.walk(self.taken(node), lambda n: n not in group.interior)

    def walk(self, start: int | None, stop: StopFn) -> dict[int, bool]:
        """From ``start`` back to the first nodes where ``stop`` holds: node to whether a keyed op was passed."""
        found: dict[int, bool] = {}
        seen: set[tuple[int, bool]] = set()
        stack = [] if start is None else [(start, False)]
        while stack:
            node, passed = stack.pop()
            if (node, passed) in seen:
                continue
            seen.add((node, passed))
            if stop(node) or isinstance(self.flat.nodes[node], FlatInput):
                found[node] = found.get(node, False) or passed
                continue
            here = passed or self.keyed(node)
            stack.extend((i, here) for i in self.reads(node))
        return found

    def live(self) -> list[int]:
        """Indices of every node that an output draws on, in order."""
        seen: set[int] = set()
        stack = list(self.flat.outputs.values())
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(self.reads(node))
        return sorted(seen)

    def _group(self, slot: str, instance: str, nodes: tuple[int, ...]) -> Group:
        index = self.indices.get(slot)
        taken = any(self.taken(n) is not None for n in nodes)
        label = self.labels[slot][index] if taken and index is not None else ""
        return Group(slot, instance, nodes, label, self._interior(nodes))

    def _interior(self, chooses: tuple[int, ...]) -> frozenset[int]:
        """Nodes read by nothing but ``chooses``, up to the first node that every candidate draws on."""
        reach: dict[int, set[int]] = {}
        for choose in chooses:
            for k, alternative in enumerate(_alternatives(self.flat.nodes[choose])):
                if alternative is not None:
                    reach.setdefault(alternative, set()).add(k)
        candidates = len(set().union(*reach.values())) if reach else 0
        inside: set[int] = set()
        waiting = set(reach)
        while waiting:
            node = max(waiting)
            waiting.remove(node)
            if not self._inner(node, inside.union(chooses), len(reach[node]), candidates):
                continue
            inside.add(node)
            for source in sources_of(self.flat.nodes[node]):
                reach.setdefault(source, set()).update(reach[node])
                waiting.add(source)
        return frozenset(inside)

    def _inner(self, node: int, readers: set[int], reached: int, candidates: int) -> bool:
        found = self.flat.nodes[node]
        if isinstance(found, FlatInput) or not readers.issuperset(self.consumers[node]):
            return False
        if candidates > 1:
            return reached < candidates
        return isinstance(found, FlatOp) and len(found.inputs) == 1

    def _present(self, node: FlatChoose | FlatSwitch | FlatOp | FlatMeet | FlatMix) -> bool:
        return holds(node.guard, self._value)

    def _value(self, decision: object) -> int | tuple[int, ...] | None:
        return self.arch.get(decision) if isinstance(decision, str) else None

    def _alive(self, index: int) -> bool:
        node = self.flat.nodes[index]
        if isinstance(node, FlatChoose):
            return self.taken(index) is not None
        if isinstance(node, FlatSwitch):
            return bool(self._switched(node))
        return isinstance(node, FlatInput) or self._present(node)


def _alternatives(node: FlatNode) -> tuple[int | None, ...]:
    return node.alternatives if isinstance(node, FlatChoose) else ()
