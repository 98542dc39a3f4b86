"""Global names out of relative ones: ids of decisions, keys of weights, owners of shared decisions.

A :class:`Place` is one activation of a region. Walking calls gives child places; a place knows the
prefix of its decision ids, the prefix of its weight keys, and the owner prefix of every binder that
is in scope. The same code names decisions for the algebra, for digests and for the back end.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from spacec.ir.conditions import ALWAYS, Cond, both, rename, text
from spacec.ir.dims import Dim, Poly, Symbol, poly
from spacec.ir.graph import (
    Binder,
    CallNode,
    ChooseNode,
    DecisionDecl,
    DecisionRef,
    Mention,
    OpNode,
    Region,
    SlotDecl,
    Step,
    SwitchNode,
)
from spacec.ir.sizes import substitute
from spacec.ir.types import TensorType

ROOT_OWNER = "net"
OUTSIDE = "outside"
"""Owner, in the text of a part of a space, of decisions that are not of this part."""
DECISION = "decision"
"""``ref`` of the size symbol of a decision that is known by its global id."""


def decision_path(step: Step) -> str:
    """The path of a step inside its finished region, in decision ordinals: ``pick[2].edge[1]``."""
    if step.decision_path is None:
        above = decision_path(step.parent) if step.parent is not None else ""
        step.decision_path = joined(above, f"{step.name}[{step.decision_ordinal}]") if step.name else ""
    return step.decision_path


def state_path(step: Step) -> str:
    """The path of a step in state ordinals, identifier-safe: ``pick_2.edge_1``."""
    if step.state_path is None:
        above = state_path(step.parent) if step.parent is not None else ""
        step.state_path = joined(above, f"{step.name}_{step.state_ordinal}") if step.name else ""
    return step.state_path


def is_frozen(step: Step | None) -> bool:
    """Whether a step, or one that it was entered from, freezes its weights."""
    while step is not None:
        if step.frozen:
            return True
        step = step.parent
    return False


def joined(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if prefix and path else prefix or path


def binder_key(name: str) -> str:
    """A binder's name as an identifier: ``walk[1,0]`` becomes ``walk_1_0``."""
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name).strip("_")


@dataclass(eq=False)  # never changed; freezing would make it five times as dear, and there is one for each activation
class Place:
    """One activation of a region."""

    region: Region
    prefix: str
    """Of decision ids."""
    key: str
    """Of weight keys."""
    owner: str
    """The let, tied or ``net`` that owns the decisions here."""
    binders: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Owner and weight key of every local binder in scope, by the binder's identity."""
    shared: dict[int, str] = field(default_factory=dict)
    """Ids of the decisions and slots that their declaration alone names; see :func:`name_singles`."""
    frozen: bool = False
    """Inside a call whose weights are not trained."""

    def with_local_binders(self) -> Place:
        """The place with the binders that its region declares in scope."""
        if not self.region.binders:
            return self
        known = dict(self.binders)
        for binder in self.region.binders:
            home = decision_path(binder.home) if binder.home else ""
            owner = joined(joined(self.prefix, home), binder.name)
            known[id(binder)] = (owner, joined(self.key, binder_key(binder.name)))
        return replace(self, binders=known)

    def child(self, call: CallNode) -> Place:
        """The activation that a call makes."""
        key = joined(self.key, state_path(call.step))
        frozen = self.frozen or is_frozen(call.step)
        if call.binder is None:
            prefix = joined(self.prefix, decision_path(call.step))
            return Place(call.region, prefix, key, self.owner, self.binders, self.shared, frozen).with_local_binders()
        owner, weights = self.binders.get(id(call.binder), (call.binder.name, binder_key(call.binder.name)))
        if call.binder.kind == "tied":
            key = weights
        return Place(call.region, owner, key, owner, self.binders, self.shared, frozen).with_local_binders()

    def id_of(self, decision: DecisionDecl) -> str:
        return joined(self.prefix, decision_path(decision.step)) or ROOT_OWNER

    def slot_id(self, slot: SlotDecl) -> str:
        """The global id of a mask slot that is declared here, or that its declaration alone names."""
        known = self.shared.get(id(slot))
        return known if known is not None else joined(self.prefix, decision_path(slot.step)) or self.owner

    def resolve(self, ref: Hashable) -> str:
        """The global id of a decision that is named from here."""
        if not isinstance(ref, DecisionRef):
            raise TypeError(f"{ref!r} is not a place in a region")
        known = self.shared.get(id(ref.decision))
        if known is not None:
            return known
        if ref.decision.single:
            return f"{OUTSIDE}.{ref.decision.name}"
        return self.home(ref).id_of(ref.decision)

    def home(self, ref: DecisionRef) -> Place:
        """The activation that declares a decision which is named from here, unless its declaration alone names it."""
        place = self
        for call in ref.calls:
            place = place.child(call)
        return place

    def absolute(self, condition: Cond) -> Cond:
        return condition if condition == ALWAYS else rename(condition, self.resolve)


def root_place(region: Region) -> Place:
    return name_singles(Place(region, ROOT_OWNER, "", ROOT_OWNER).with_local_binders())


def owner_place(binder: Binder, region: Region, shared: dict[int, str]) -> Place:
    """The body of a let on its own, as its digest sees it; ``shared`` is the whole space's."""
    return Place(region, binder.name, "", binder.name, shared=shared).with_local_binders()


def name_singles(place: Place) -> Place:
    """The place, with the ids of all decisions at and below it that their declaration alone names.

    Activations of a let have one id, and the sizes of all of them are symbols of the first.
    """
    seen: set[tuple[int, str]] = set()
    stack, mentions = [place], list[tuple[Place, Mention]]()
    while stack:
        at = stack.pop()
        if not at.region.singles or (id(at.region), at.prefix) in seen:
            continue
        seen.add((id(at.region), at.prefix))
        for decision in at.region.decisions:
            if decision.single:
                at.shared[id(decision)] = at.id_of(decision)
            if decision.symbol is not None:
                at.shared.setdefault(id(decision.symbol.ref), at.id_of(decision))
        for slot in at.region.slots:
            if slot.pick is not None and slot.pick.single:
                at.shared[id(slot)] = joined(at.prefix, decision_path(slot.step)) or at.owner
        mentions += [(at, mention) for mention in at.region.mentions]
        stack.extend(at.child(node) for node in at.region.nodes if isinstance(node, CallNode))
    for at, mention in mentions:
        at.shared[id(mention)] = at.resolve(mention.ref)
    return place


def own_decisions(place: Place, guard: Cond = ALWAYS) -> Iterator[tuple[str, DecisionDecl, Cond]]:
    """Decisions of this place's owner, in text order, with conditions relative to the place.

    Lets of the whole space are other owners and are left out; local ones belong to the activation.
    """
    calls: set[int] = set()
    local: set[int] = set()
    for node in place.region.nodes:
        if not isinstance(node, CallNode) or not node.region.searches:
            continue
        if node.binder is None:
            calls.add(id(node))
        elif node.binder.local and id(node.binder) not in local:
            local.add(id(node.binder))
            calls.add(id(node))
    for decision in place.region.decisions:
        yield place.id_of(decision), decision, both(guard, place.absolute(decision.condition))
    for node in place.region.nodes:
        if id(node) in calls and isinstance(node, CallNode):
            yield from own_decisions(place.child(node), both(guard, place.absolute(node.guard)))


def decision_text(name: str, decision: DecisionDecl, condition: Cond) -> str:
    """One line of a skeleton: what digests are made of (changing it changes every digest)."""
    if decision.kind == "subset":
        candidates = f"{decision.low}..{decision.high} of {decision.size}"
    else:
        candidates = " | ".join(decision.labels)
    elastic = " elastic" if decision.elastic else ""
    return f"{name}: {decision.kind}{elastic} {candidates} when {text(condition)}"


def skeleton_text(region: Region, name: str = "let") -> str:
    """The decisions of a region as text, relative to it."""
    place = name_singles(Place(region, name, "", name).with_local_binders())
    return "\n".join(decision_text(i, d, c) for i, d, c in own_decisions(place))


def global_size(dim: Dim, ids: Mapping[int, str]) -> Dim:
    """A size with its decisions called by their global ids; see :func:`name_singles`."""

    def named(symbol: Symbol) -> Dim:
        if not isinstance(symbol.ref, DecisionDecl | Mention):
            return poly(symbol)
        name = ids.get(id(symbol.ref))
        if name is None and isinstance(symbol.ref, Mention):
            name = ids[id(symbol.ref.ref.decision)]  # mentioned by a constraint alone
        return poly(replace(symbol, name=name or ids[id(symbol.ref)], ref=DECISION))

    return substitute(dim, named) if isinstance(dim, Poly) else dim


def known_global_size(dim: Dim, ids: Mapping[int, str], known: dict[Dim, Dim]) -> Dim:
    """:func:`global_size`, found once for each size: few sizes stand in many places, and ``known`` keeps them."""
    if isinstance(dim, int):
        return dim
    found = known.get(dim)
    if found is None:
        found = known[dim] = global_size(dim, ids)
    return found


Layer = tuple[str, tuple[str, ...]]
"""An op with state, and what decides its weights: channels of its inputs, attributes."""


def weights_of(region: Region, known: dict[int, tuple[tuple[str, Layer], ...]]) -> tuple[tuple[str, Layer], ...]:
    """Key and layer of everything with state in a region, relative to it; tied members inside have their own.

    ``known`` keeps what was found of regions.
    """
    if id(region) not in known:
        types: list[tuple[TensorType, ...]] = [(t,) for t in region.inputs]
        found: list[tuple[str, Layer]] = []
        for node in region.nodes:
            match node:
                case OpNode():
                    if node.spec.state and node.step is not None:
                        given = (f"{types[r.node][r.out].channels} channels in" for r in node.inputs)
                        attrs = (f"{k} = {v}" for k, v in node.attrs.items())
                        found.append((state_path(node.step), (node.spec.name, (*given, *attrs))))
                    types.append((node.result.type,))
                case CallNode():
                    if node.binder is None or node.binder.kind == "let":
                        inner = weights_of(node.region, known)
                        found.extend((joined(state_path(node.step), key), layer) for key, layer in inner)
                    types.append(tuple(out.type for out in node.region.outputs))
                case ChooseNode() | SwitchNode():
                    types.append((node.type,))
        known[id(region)] = tuple(found)
    return known[id(region)]
