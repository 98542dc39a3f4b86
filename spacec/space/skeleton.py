"""From the region graph to the decision table: ids, activity, slots, costs, digests.

Assumes a graph whose dead code is gone. Costs are read region by region: a region without
decisions is one amount, however often it is called.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import ALWAYS, Cond, both, either, rename
from spacec.ir.conditions import decisions as mentioned_by
from spacec.ir.dims import Dim, total
from spacec.ir.graph import (
    Binder,
    CallNode,
    ChooseNode,
    DecisionDecl,
    DecisionRef,
    MemberUse,
    OpNode,
    Region,
    SlotDecl,
    SpaceGraph,
    SwitchNode,
)
from spacec.ir.naming import Place, decision_text, global_size, own_decisions, owner_place, root_place
from spacec.ir.reach import Reach
from spacec.space.decisions import Constraint, CostTerm, Decision, DecisionTable, Forbidden, Junction, Limit, Need, Slot
from spacec.space.deferred import Deferred
from spacec.space.growth import growth_of_sizes
from spacec.space.results import RESULTS, result_terms
from spacec.space.shorter import shorter

MAX_DECISIONS = 50_000
"""Of one space; the largest shipped one has 28,329."""


@dataclass
class _Walk:
    """What the walk over activations collects; amounts are gathered by the condition under which they count."""

    decisions: dict[str, tuple[DecisionDecl, str]] = field(default_factory=dict)
    """Declaration and owner of each."""
    active: dict[str, list[Cond]] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    params: dict[Cond, list[Dim]] = field(default_factory=dict)
    macs: dict[Cond, list[Dim]] = field(default_factory=dict)
    tied: dict[str, tuple[Place, list[Cond]]] = field(default_factory=dict)
    """Tied members by the key of their weights, and when each is used."""
    merged: frozenset[MemberUse] = frozenset()
    entered: dict[MemberUse, tuple[Place, list[Reach]]] = field(default_factory=dict)
    """Merged members that were called, and when; each is walked once, after its callers."""
    weights_only: bool = False
    """Tied members that are used inside are left out."""
    owners: dict[str, Place] = field(default_factory=dict)
    fixed: dict[int, tuple[Dim, Dim]] = field(default_factory=dict)
    varying: dict[int, bool] = field(default_factory=dict)
    dims: dict[Dim, Dim] = field(default_factory=dict)
    """Sizes with decisions called by their global ids; few sizes stand in many places."""

    def dim(self, dim: Dim) -> Dim:
        if isinstance(dim, int):
            return dim
        known = self.dims.get(dim)
        if known is None:
            known = self.dims[dim] = global_size(dim, self.names)
        return known


def build_table(
    graph: SpaceGraph, limits: Iterable[Limit] = (), dormant: Mapping[str, str] | None = None
) -> DecisionTable:
    """The decision table of a graph.

    ``limits`` are the ``where`` constraints, with declarations in their decision symbols. ``dormant``
    gives the digests of lets that this form declares but does not use, from a form that does: the
    digest of a space does not depend on which of its lets a form reaches.
    """
    root = root_place(graph.root)
    walk = _Walk(names=root.shared, merged=frozenset(graph.merged))
    walk.owners[root.owner] = root
    _visit(walk, root, Reach.of(root.owner), count_params=True)
    for use in graph.merged:
        member, calls = walk.entered[use]
        guard, start = either(*(c.guard for c in calls)), either(*(c.entry for c in calls))
        _visit(walk, member, Reach.of(member.owner, guard, start), count_params=False)
    for place, conditions in walk.tied.values():
        _tied_params(walk, place, either(*conditions))
    growth = growth_of_sizes(graph, root.shared)
    listed = {i: either(*conditions) for i, conditions in walk.active.items()}
    candidates = {i: len(d.labels) for i, (d, _) in walk.decisions.items()}
    active = {i: shorter(condition, candidates, listed) for i, condition in listed.items()}
    decisions = in_order(
        {i: _decided(i, d, owner, active[i], growth.get(i, True)) for i, (d, owner) in walk.decisions.items()}
    )
    digests = dict(dormant or {})
    digests.update({owner: text for owner, place in walk.owners.items() if (text := _owner_digest(place))})
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


def _global_limit(walk: _Walk, limit: Limit) -> Limit:
    """A limit with decisions called by their global ids."""
    match limit:
        case Constraint():
            return replace(limit, left=walk.dim(limit.left), right=walk.dim(limit.right))
        case Forbidden():
            return replace(limit, when=rename(limit.when, lambda ref: _global_name(walk, ref)))
        case Junction():
            return replace(limit, parts=tuple(_global_limit(walk, p) for p in limit.parts))


def _global_name(walk: _Walk, ref: Hashable) -> str:
    """A value's decision by its declaration; the one decision of a let of networks is called as the let."""
    return walk.names[id(ref.decision)] if isinstance(ref, DecisionRef) else str(ref)


def space_digest(owners: Mapping[str, str]) -> str:
    """Eight hex digits out of the owners' digests."""
    text = "\n".join(f"{owner} {owners[owner]}" for owner in sorted(owners))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _owner_digest(place: Place) -> str:
    """The digest of one owner's decisions, relative to it; empty where it has none."""
    lines = [decision_text(i, d, c) for i, d, c in own_decisions(place)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else ""


def _terms(amounts: Mapping[Cond, list[Dim]]) -> tuple[CostTerm, ...]:
    sums = ((when, total(parts) if len(parts) > 1 else parts[0]) for when, parts in amounts.items())
    return tuple(CostTerm(when, amount) for when, amount in sums if amount != 0)


# ------------------------------------------------------------------- the walk


def _visit(walk: _Walk, place: Place, reach: Reach, *, count_params: bool) -> None:
    region = place.region
    for node in region.nodes:
        if isinstance(node, CallNode) and node.binder is not None and not node.region.inputs:
            child = place.child(node)
            _own(walk, child, node)
            _visit(walk, child, reach.under(place, node.guard).into(node, child), count_params=False)
    for decision in region.decisions:
        _decision(walk, place, decision, reach.under(place, decision.condition).asked)
    for slot in region.slots:
        _slot(walk, place, slot)
    known: dict[int, Cond] = {}  # most nodes of a region stand under a few guards

    def absolute(condition: Cond) -> Cond:
        if id(condition) not in known:
            known[id(condition)] = both(reach.guard, place.absolute(condition))
        return known[id(condition)]

    for node in region.nodes:
        if isinstance(node, OpNode):
            cost = node.result
            if cost.macs != 0:
                _add(walk.macs, absolute(node.guard), walk.dim(cost.macs))
            if count_params and cost.params != 0:
                _add(walk.params, absolute(node.guard), walk.dim(cost.params))
        elif isinstance(node, CallNode) and (node.region.inputs or node.binder is None):
            _call(walk, place, node, reach.under(place, node.guard), count_params)


def _call(walk: _Walk, place: Place, node: CallNode, reach: Reach, count_params: bool) -> None:
    child = place.child(node)
    if node.binder is not None:
        _own(walk, child, node)
        if node.binder.kind == "tied":
            if walk.weights_only:
                return
            use = (child.owner, id(node.region))
            walk.tied.setdefault(child.key, (child, []))[1].append(reach.guard)
            if use in walk.merged:
                walk.entered.setdefault(use, (child, []))[1].append(reach)
                return
            count_params = False
    if node.region.searches or _varies(walk, node.region):
        _visit(walk, child, reach.into(node, child), count_params=count_params)
        return
    params, macs = _fixed(walk, node.region)
    _add(walk.macs, reach.guard, walk.dim(macs))
    if count_params:
        _add(walk.params, reach.guard, walk.dim(params))


def in_order(decisions: dict[str, Decision]) -> tuple[Decision, ...]:
    """The decisions, each after those that its condition mentions; otherwise in the order in which they were met."""
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


def _own(walk: _Walk, child: Place, node: CallNode) -> None:
    """Record the owner of a let's or tied's decisions, under its global name."""
    if node.binder is not None and child.owner not in walk.owners:
        binder = Binder(node.binder.kind, child.owner, node.binder.span)
        walk.owners[child.owner] = owner_place(binder, node.region, child.shared)


def _tied_params(walk: _Walk, place: Place, guard: Cond) -> None:
    """The weights of a tied member, once, wherever any of its uses is; those of tied members inside are their own."""
    inner = _Walk(names=walk.names, fixed=walk.fixed, varying=walk.varying, dims=walk.dims, weights_only=True)
    _visit(inner, place, Reach.of(place.owner, guard), count_params=True)
    for when, amounts in inner.params.items():
        walk.params.setdefault(when, []).extend(amounts)


def _varies(walk: _Walk, region: Region) -> bool:
    """Whether a region is no fixed amount, though it decides nothing.

    A tied member is used inside, whose weights count once, or a choice that is decided outside, whose candidates count
    where they are taken.
    """
    known = walk.varying.get(id(region))
    if known is None:
        calls = [n for n in region.nodes if isinstance(n, CallNode)]
        known = any(isinstance(n, SwitchNode | ChooseNode) for n in region.nodes)
        known = known or any((n.binder and n.binder.kind == "tied") or _varies(walk, n.region) for n in calls)
        walk.varying[id(region)] = known
    return known


def _fixed(walk: _Walk, region: Region) -> tuple[Dim, Dim]:
    """Weights and multiplies of a region that is the same in every architecture."""
    known = walk.fixed.get(id(region))
    if known is None:
        params: Dim = 0
        macs: Dim = 0
        for node in region.nodes:
            if isinstance(node, OpNode):
                params, macs = params + node.result.params, macs + node.result.macs
            elif isinstance(node, CallNode):
                inner = _fixed(walk, node.region)
                params, macs = params + inner[0], macs + inner[1]
        known = walk.fixed[id(region)] = (params, macs)
    return known


def _add(amounts: dict[Cond, list[Dim]], when: Cond, amount: Dim) -> None:
    if amount != 0:
        amounts.setdefault(when, []).append(amount)


def _decision(walk: _Walk, place: Place, d: DecisionDecl, active: Cond) -> None:
    name = place.id_of(d)
    walk.active.setdefault(name, []).append(active)
    if name not in walk.decisions:
        if len(walk.decisions) == MAX_DECISIONS:
            what = f"the space has over {MAX_DECISIONS:,} decisions"
            raise SpacecError(Diagnostic("E0408", what, d.span, "the limit was passed here"))
        walk.decisions[name] = d, place.owner


def _decided(name: str, d: DecisionDecl, owner: str, active: Cond, grows: bool | None) -> Decision:
    return Decision(
        name, owner, d.kind, d.labels, d.values, d.priors, d.low, d.high, d.size, d.elastic, active, d.span, grows
    )


def _slot(walk: _Walk, place: Place, s: SlotDecl) -> None:
    name = place.slot_id(s)
    sized = bool(s.decision and s.decision.sized) or bool(s.pick and s.pick.sized)
    if name not in walk.slots:
        decision = place.id_of(s.decision) if s.decision else None
        pick = place.id_of(s.pick) if s.pick else None
        weighs = place.id_of(s.weighs) if s.weighs else None
        walk.slots[name] = Slot(
            name, s.labels, decision, pick, s.element, s.absent, s.priors, sized, s.edge_weights, weighs
        )
    elif sized:
        walk.slots[name] = replace(walk.slots[name], sized=True)
