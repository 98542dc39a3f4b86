"""Which decisions are active: conditions as one shared list, evaluated without recursion.

Conditions over decisions share sub-conditions and may nest as deeply as the space. A
:class:`ConditionPool` keeps each distinct sub-condition once, children before parents, so that one
pass over a list evaluates them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from spacec.ir.conditions import All, Any, Cond, Has, Is
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import Value


@dataclass(frozen=True, slots=True)
class Node:
    """A sub-condition; ``children`` are places in the pool, ``candidates`` serve ``is``, ``element`` serves ``has``."""

    kind: Literal["is", "has", "all", "any"]
    decision: str = ""
    candidates: frozenset[int] = frozenset()
    element: int = 0
    children: tuple[int, ...] = ()


@dataclass
class ConditionPool:
    """Distinct sub-conditions, children first."""

    nodes: list[Node] = field(default_factory=list)
    _place: dict[Node, int] = field(default_factory=dict)
    _known: dict[int, tuple[Cond, int]] = field(default_factory=dict)
    """By identity; the condition is kept so that its identity stays taken."""

    def add(self, condition: Cond) -> int:
        """The place of a condition, which joins the pool if it is new."""
        stack = [condition]
        while stack:
            top = stack[-1]
            if id(top) in self._known:
                stack.pop()
                continue
            waiting = [p for p in top.parts if id(p) not in self._known] if isinstance(top, All | Any) else []
            if waiting:
                stack.extend(waiting)
                continue
            self._known[id(top)] = (top, self._intern(self._node(top)))
            stack.pop()
        return self._known[id(condition)][1]

    def _node(self, condition: Cond) -> Node:
        match condition:
            case Is():
                return Node("is", str(condition.decision), candidates=condition.candidates)
            case Has():
                return Node("has", str(condition.decision), element=condition.element)
            case _:
                children = sorted({self._known[id(p)][1] for p in condition.parts})
                return Node("all" if isinstance(condition, All) else "any", children=tuple(children))

    def _intern(self, node: Node) -> int:
        place = self._place.setdefault(node, len(self.nodes))
        if place == len(self.nodes):
            self.nodes.append(node)
        return place

    def extend(self, truths: list[bool], end: int, chosen: Mapping[str, Value]) -> None:
        """Append the truth of every node from ``len(truths)`` up to ``end``; a missing decision is inactive."""
        for place in range(len(truths), end):
            node = self.nodes[place]
            match node.kind:
                case "is":
                    truths.append(chosen.get(node.decision) in node.candidates)
                case "has":
                    value = chosen.get(node.decision)
                    truths.append(isinstance(value, tuple) and node.element in value)
                case "all":
                    truths.append(all(truths[c] for c in node.children))
                case "any":
                    truths.append(any(truths[c] for c in node.children))


@dataclass(frozen=True)
class Activity:
    """The activity of a table's decisions: ``roots[i]`` is the node of decision ``i``, settled once ``ends[i]`` are."""

    pool: ConditionPool
    roots: tuple[int, ...]
    ends: tuple[int, ...]


def activity_of(table: DecisionTable) -> Activity:
    """The table's conditions, compiled once."""
    found: Activity | None = table.memo.get("activity")
    if found is None:
        pool, roots, ends = ConditionPool(), [], []
        for decision in table.decisions:
            roots.append(pool.add(decision.active))
            ends.append(len(pool.nodes))
        found = table.memo["activity"] = Activity(pool, tuple(roots), tuple(ends))
    return found


def walk(table: DecisionTable, choose: Callable[[Decision], Value]) -> dict[str, Value]:
    """Ask ``choose`` for every decision that is active under the answers so far, in order; the answers by id."""
    activity, chosen, truths = activity_of(table), dict[str, Value](), list[bool]()
    for decision, root, end in zip(table.decisions, activity.roots, activity.ends, strict=True):
        activity.pool.extend(truths, end, chosen)
        if truths[root]:
            chosen[decision.id] = choose(decision)
    return chosen
