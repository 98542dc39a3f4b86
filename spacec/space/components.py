"""Group decisions so that no condition and no constraint couples two groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spacec.ir.dims import symbols
from spacec.space.activity import ConditionPool
from spacec.space.constraints import LinearLimit, linear_parts
from spacec.space.decisions import Decision

Component = tuple[list[Decision], list[LinearLimit]]


def components(decisions: Sequence[Decision], constraints: Sequence[LinearLimit]) -> list[Component]:
    """The groups with their constraints, in order of their first decisions.

    Constraints that concern no decision form a group of their own, without decisions.
    """
    groups = _Groups(d.id for d in decisions)
    pool = ConditionPool()
    for decision in decisions:
        groups.join([decision.id, *_mentioned(pool, pool.add(decision.active), groups)])
    concerned = [concerns(c, groups.parent) for c in constraints]
    for names in concerned:
        groups.join(names)
    found: dict[str, Component] = {}
    for decision in decisions:
        found.setdefault(groups.leader(decision.id), ([], []))[0].append(decision)
    bare: list[LinearLimit] = []
    for constraint, names in zip(constraints, concerned, strict=True):
        (found[groups.leader(names[0])][1] if names else bare).append(constraint)
    return [*found.values(), *([([], bare)] if bare else [])]


def concerns(limit: LinearLimit, known: Iterable[str]) -> list[str]:
    """Ids of the ``known`` decisions that a constraint depends on, those inside its costs included."""
    pool, names = ConditionPool(), set[str]()
    for part in linear_parts(limit):
        names |= part.mentioned
        for term in part.terms:
            if term.amount != 0:
                pool.add(term.when)
                names |= {s.name for s in symbols(term.amount)}
    names |= {n.decision for n in pool.nodes if n.kind in ("is", "has")}
    return sorted(names & set(known))


class _Groups:
    """Disjoint sets of names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.parent = {n: n for n in names}
        self.of_node: dict[int, str | None] = {}
        """Per condition of the pool, some decision that it mentions."""

    def leader(self, name: str) -> str:
        while self.parent[name] != name:
            self.parent[name] = self.parent[self.parent[name]]
            name = self.parent[name]
        return name

    def join(self, names: Sequence[str]) -> None:
        for other in names[1:]:
            self.parent[self.leader(other)] = self.leader(names[0])


def _mentioned(pool: ConditionPool, root: int, groups: _Groups) -> list[str]:
    """One decision that a condition mentions; all that it mentions are joined on the way."""
    for place in range(len(groups.of_node), root + 1):
        node = pool.nodes[place]
        names = [node.decision] if node.decision in groups.parent else []
        for child in node.children:
            name = groups.of_node[child]
            names += [] if name is None else [name]
        groups.join(names)
        groups.of_node[place] = names[0] if names else None
    name = groups.of_node[root]
    return [] if name is None else [name]
