"""From the region graph to the decision table: ids, activity, slots, costs, digests.

Assumes a graph whose dead code is gone; :mod:`spacec.space.walk` finds what is in it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

from spacec.ir.conditions import ALWAYS, Cond, either, rename, without
from spacec.ir.conditions import decisions as mentioned_by
from spacec.ir.dims import Dim, total
from spacec.ir.graph import (
    CallNode,
    DecisionDecl,
    DecisionRef,
    SpaceGraph,
)
from spacec.ir.naming import Place, decision_text, own_decisions, root_place
from spacec.ir.reach import Reach
from spacec.space.decisions import Constraint, CostTerm, Decision, DecisionTable, Forbidden, Junction, Limit, Need
from spacec.space.deferred import Deferred
from spacec.space.growth import growth_of_sizes
from spacec.space.results import RESULTS, result_terms
from spacec.space.shorter import shorter
from spacec.space.walk import MAX_DECISIONS, Walk, tied_params, visit


def build_table(
    graph: SpaceGraph, limits: Iterable[Limit] = (), dormant: Mapping[str, str] | None = None
) -> DecisionTable:
    """The decision table of a graph.

    ``limits`` are the ``where`` constraints, with declarations in their decision symbols. ``dormant``
    gives the digests of lets that this form declares but does not use, from a form that does: the
    digest of a space does not depend on which of its lets a form reaches.
    """
    root = root_place(graph.root)
    walk = Walk(names=root.shared, merged=frozenset(graph.merged))
    walk.owners[root.owner] = root
    visit(walk, root, Reach.of(root.owner), count_params=True)
    for use in graph.merged:
        member, calls = walk.entered[use]
        guard, start = either(*(c.guard for c in calls)), either(*(c.entry for c in calls))
        visit(walk, member, Reach.of(member.owner, guard, start), count_params=False)
    for place, conditions in walk.tied.values():
        tied_params(walk, place, either(*conditions))
    growth = growth_of_sizes(graph, root.shared)
    listed = {i: of_uses(i, found) if len(found) > 1 else found[0] for i, found in walk.active.items()}
    candidates = {i: len(d.labels) for i, (d, _) in walk.decisions.items()}
    active = {i: shorter(condition, candidates, listed) for i, condition in listed.items()}
    decisions = in_order(
        {i: _decided(i, d, owner, active[i], growth.get(i, True)) for i, (d, owner) in walk.decisions.items()}
    )
    digests = dict(dormant or {})
    digests.update(_owner_digests(walk, root))
    made = {"params": _terms(walk.params), "macs": _terms(walk.macs)}
    costs = Deferred(made, dict.fromkeys(RESULTS, functools.partial(result_terms, graph)))
    constraints = tuple(_global_limit(walk, c) for c in limits)
    needs = tuple(
        Need(port.name, root.absolute(out.presence), port.span)
        for port, out in zip(graph.outputs, graph.root.outputs, strict=True)
        if out.presence != ALWAYS
    )
    return DecisionTable(
        graph.name, space_digest(digests), decisions, tuple(walk.slots.values()), costs, constraints, digests, needs
    )


def of_uses(name: str, uses: Iterable[Cond]) -> Cond:
    """When a decision is asked that has several uses: a use that is there only for some of its values asks nothing."""
    return either(*(without(use, name) if name in mentioned_by(use) else use for use in uses))


def may_have_too_many(graph: SpaceGraph) -> bool:
    """Whether :func:`build_table` could find more decisions than it takes; told without naming them."""
    own: dict[int, int] = {}
    owners: set[int] = {id(graph.root)}
    for region in graph.regions():
        own[id(region)] = len(region.decisions)
        for node in region.nodes:
            if isinstance(node, CallNode) and (node.binder is None or node.binder.local):
                own[id(region)] += own[id(node.region)]
            elif isinstance(node, CallNode):
                owners.add(id(node.region))
    return sum(own[owner] for owner in owners) > MAX_DECISIONS


def _global_limit(walk: Walk, limit: Limit) -> Limit:
    """A limit with decisions called by their global ids."""
    match limit:
        case Constraint():
            return replace(limit, left=walk.dim(limit.left), right=walk.dim(limit.right))
        case Forbidden():
            return replace(limit, when=rename(limit.when, lambda ref: _global_name(walk, ref)))
        case Junction():
            return replace(limit, parts=tuple(_global_limit(walk, p) for p in limit.parts))


def _global_name(walk: Walk, ref: Hashable) -> str:
    """A value's decision by its declaration; the one decision of a let of networks is called as the let."""
    return walk.names[id(ref.decision)] if isinstance(ref, DecisionRef) else str(ref)


def space_digest(owners: Mapping[str, str]) -> str:
    """Eight hex digits out of the owners' digests."""
    text = "\n".join(f"{owner} {owners[owner]}" for owner in sorted(owners))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _owner_digests(walk: Walk, root: Place) -> dict[str, str]:
    """The digests of the owners that decide anything, each of its decisions relative to it."""
    if len(walk.owners) > 1:
        listed = {owner: list(own_decisions(place)) for owner, place in walk.owners.items()}
    else:  # the walk has found them all, in the same order
        listed = {root.owner: [(i, d, walk.active[i][0]) for i, (d, _) in walk.decisions.items()]}
    texts = {owner: "\n".join(decision_text(i, d, c) for i, d, c in found) for owner, found in listed.items() if found}
    return {owner: hashlib.sha256(text.encode()).hexdigest()[:16] for owner, text in texts.items()}


def _terms(amounts: Mapping[Cond, list[Dim]]) -> tuple[CostTerm, ...]:
    sums = ((when, total(parts) if len(parts) > 1 else parts[0]) for when, parts in amounts.items())
    return tuple(CostTerm(when, amount) for when, amount in sums if amount != 0)


def in_order(decisions: dict[str, Decision]) -> tuple[Decision, ...]:
    """The decisions, each after those that its condition mentions; otherwise in the order in which they were met."""
    if _is_in_order(decisions):
        return tuple(decisions.values())
    place = {name: k for k, name in enumerate(decisions)}
    done: dict[str, Decision] = {}
    started: set[str] = set()
    stack: list[tuple[str, bool]] = [(name, False) for name in reversed(decisions)]
    while stack:
        name, closed = stack.pop()
        if closed:
            done.setdefault(name, decisions[name])
        elif name not in started:
            started.add(name)
            stack.append((name, True))
            mentioned = {str(d) for d in mentioned_by(decisions[name].active)} & place.keys()
            stack.extend((d, False) for d in sorted(mentioned, key=place.__getitem__, reverse=True))
    return tuple(done.values())


def _is_in_order(decisions: Mapping[str, Decision]) -> bool:
    seen: set[str] = set()
    for name, decision in decisions.items():
        if any(other in decisions and other not in seen for other in map(str, mentioned_by(decision.active))):
            return False
        seen.add(name)
    return True


def _decided(name: str, d: DecisionDecl, owner: str, active: Cond, grows: bool | None) -> Decision:
    return Decision(
        name, owner, d.kind, d.labels, d.values, d.priors, d.low, d.high, d.size, d.elastic, active, d.span, grows
    )
