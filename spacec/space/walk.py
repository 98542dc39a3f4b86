"""Walk a space graph from its root: every decision, slot and amount under its global name and when it is there.

Assumes a graph whose dead code is gone. Every activation is met once for each call that leads to it, callers first;
a region without decisions is one amount, and a small region that stands alone is walked once and then copied
(:mod:`spacec.space.templates`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import Cond, both
from spacec.ir.dims import Dim
from spacec.ir.graph import Binder, CallNode, ChooseNode, DecisionDecl, MemberUse, OpNode, Region, SlotDecl, SwitchNode
from spacec.ir.naming import Place, known_global_size, owner_place
from spacec.ir.reach import Reach
from spacec.space.decisions import Slot
from spacec.space.templates import PREFIX, Template, copied, stands_alone

MAX_DECISIONS = 50_000
"""Of one space; the largest shipped one has 28,329."""


@dataclass
class Walk:
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
    templates: dict[int, Template | None] = field(default_factory=dict)
    """Of regions that stand alone, by identity; ``None`` where one was met once: a template pays from then on."""
    alone: dict[int, int] = field(default_factory=dict)

    def dim(self, dim: Dim) -> Dim:
        return known_global_size(dim, self.names, self.dims)


def visit(walk: Walk, place: Place, reach: Reach, *, count_params: bool) -> None:
    region = place.region
    for node in region.nodes:
        if isinstance(node, CallNode) and node.binder is not None and not node.region.inputs:
            child = place.child(node)
            _own(walk, child, node)
            visit(walk, child, reach.under(place, node.guard).into(node, child), count_params=False)
    for decision in region.decisions:
        active = reach.under(place, decision.condition).asked
        _decision(walk, place.id_of(decision), place.owner, decision, active)
    for slot in region.slots:
        _slot(walk, _named(place, slot))
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


def _call(walk: Walk, place: Place, node: CallNode, reach: Reach, count_params: bool) -> None:
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
    if node.binder is None and stands_alone(node.region, walk.alone):
        _copy(walk, child, reach, count_params)
    elif node.region.searches or _varies(walk, node.region):
        visit(walk, child, reach.into(node, child), count_params=count_params)
    else:
        params, macs = _fixed(walk, node.region)
        _add(walk.macs, reach.guard, walk.dim(macs))
        if count_params:
            _add(walk.params, reach.guard, walk.dim(params))


def _copy(walk: Walk, place: Place, reach: Reach, count_params: bool) -> None:
    """Visit a region that stands alone, from its second activation on by its template."""
    if id(place.region) not in walk.templates:
        walk.templates[id(place.region)] = None
        visit(walk, place, reach, count_params=count_params)
        return
    template = walk.templates[id(place.region)]
    if template is None:
        inner = Walk(names=walk.names, fixed=walk.fixed, varying=walk.varying, dims=walk.dims)
        visit(inner, Place(place.region, PREFIX, "", PREFIX, shared=place.shared), Reach.of(PREFIX), count_params=True)
        template = Template.of(inner.decisions, inner.active, inner.slots, inner.params, inner.macs)
        walk.templates[id(place.region)] = template
    name, conditions = template.renamed(place.prefix)
    own = (place.owner,)
    reached = [reach.through(c, own if asks else ()) for c, asks in zip(conditions, template.asks, strict=True)]
    for relative, decision, when in template.decisions:
        _decision(walk, name(relative), place.owner, decision, reached[when].asked)
    for slot in template.slots:
        _slot(walk, copied(slot, name))
    for when, amount in template.macs:
        _add(walk.macs, reached[when].guard, amount)
    for when, amount in template.params if count_params else ():
        _add(walk.params, reached[when].guard, amount)


def _own(walk: Walk, child: Place, node: CallNode) -> None:
    """Record the owner of a let's or tied's decisions, under its global name."""
    if node.binder is not None and child.owner not in walk.owners:
        binder = Binder(node.binder.kind, child.owner, node.binder.span)
        walk.owners[child.owner] = owner_place(binder, node.region, child.shared)


def tied_params(walk: Walk, place: Place, guard: Cond) -> None:
    """The weights of a tied member, once, wherever any of its uses is; those of tied members inside are their own."""
    inner = Walk(names=walk.names, fixed=walk.fixed, varying=walk.varying, dims=walk.dims, weights_only=True)
    visit(inner, place, Reach.of(place.owner, guard), count_params=True)
    for when, amounts in inner.params.items():
        walk.params.setdefault(when, []).extend(amounts)


def _varies(walk: Walk, region: Region) -> bool:
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


def _fixed(walk: Walk, region: Region) -> tuple[Dim, Dim]:
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


def _decision(walk: Walk, name: str, owner: str, d: DecisionDecl, active: Cond) -> None:
    walk.active.setdefault(name, []).append(active)
    if name not in walk.decisions:
        if len(walk.decisions) == MAX_DECISIONS:
            what = f"the space has over {MAX_DECISIONS:,} decisions"
            raise SpacecError(Diagnostic("E0408", what, d.span, "the limit was passed here"))
        walk.decisions[name] = d, owner


def _slot(walk: Walk, slot: Slot) -> None:
    known = walk.slots.setdefault(slot.id, slot)
    if slot.sized and not known.sized:
        walk.slots[slot.id] = replace(known, sized=True)


def _named(place: Place, s: SlotDecl) -> Slot:
    decision = place.id_of(s.decision) if s.decision else None
    pick = place.id_of(s.pick) if s.pick else None
    weighs = place.id_of(s.weighs) if s.weighs else None
    sized = bool(s.decision and s.decision.sized) or bool(s.pick and s.pick.sized)
    name = place.slot_id(s)
    return Slot(name, s.labels, decision, pick, s.element, s.absent, s.priors, sized, s.edge_weights, weighs)
