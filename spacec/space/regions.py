"""Count a space region by region: what many calls share is counted once.

A call is *closed* where nothing inside is asked about from outside and nothing outside is asked about from inside:
no condition crosses it, and no let or tied that others use is used in it. Then the number of ways to decide inside is
a number of the region alone, and the call stands in its caller's diagram as one step that stands for that many ways.
A call that is not closed is written out in its caller; where none is, this is the diagram of the whole space.
Guarantees the number of assignments of the decision table (:mod:`spacec.space.skeleton`) without ``where``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from spacec.ir.conditions import ALWAYS, Cond, either
from spacec.ir.conditions import decisions as asked_by
from spacec.ir.graph import Binder, CallNode, DecisionDecl, DecisionRef, MemberUse, Region, SpaceGraph
from spacec.ir.naming import ROOT_OWNER, Place, name_singles, root_place
from spacec.ir.reach import Reach
from spacec.space.components import components
from spacec.space.constraints import LinearLimit, linear_parts, needed
from spacec.space.decisions import Decision, Need
from spacec.space.diagram import DEAD, LIMIT, Diagram, Meter, TooManyStates
from spacec.space.explore import explore
from spacec.space.impose import impose
from spacec.space.planner import plan
from spacec.space.shorter import shorter
from spacec.space.skeleton import in_order, of_uses


@dataclass(frozen=True)
class RegionCounts:
    """What is known of a space without its table, and before constraints."""

    total: int
    """Architectures."""
    owners: Mapping[str, int]
    """Ways of the lets and tieds that are worlds of their own, by name; others are not listed."""


def count_by_regions(graph: SpaceGraph, limit: int = LIMIT) -> RegionCounts | None:
    """The counts of a space before constraints.

    ``None`` where they take more than ``limit`` steps: there the table's own diagram may count.
    """
    try:
        return _Counter(graph, Meter(limit)).counts()
    except TooManyStates:
        return None


@dataclass
class _Problem:
    """The decisions of one region, those of the calls that are written out, and closed calls as decisions of one way.

    Names are global ids relative to the region.
    """

    decisions: dict[str, DecisionDecl | None] = field(default_factory=dict)
    """``None`` stands for a closed call."""
    active: dict[str, list[Cond]] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    """Ways of each closed call."""
    members: dict[MemberUse, tuple[Place, list[Cond]]] = field(default_factory=dict)
    """Members that run once for all their calls, and when each call is there."""
    entered: dict[str, set[Cond]] = field(default_factory=dict)
    """When each let or tied that is written out is used."""

    def enters(self, owner: str, when: Cond) -> bool:
        """Whether a use says anything new of when the owner is asked: every use yields the same decisions."""
        known = self.entered.setdefault(owner, set())
        new = ALWAYS not in known and when not in known
        known.add(when)
        return new

    def add(self, name: str, declared: DecisionDecl | None, active: Cond) -> None:
        self.decisions.setdefault(name, declared)
        self.active.setdefault(name, []).append(active)

    def listed(self) -> tuple[Decision, ...]:
        """The decisions, each after those that it depends on."""
        active = {name: of_uses(name, found) if len(found) > 1 else found[0] for name, found in self.active.items()}
        sizes = {name: len(d.labels) if d else 1 for name, d in self.decisions.items()}
        found: dict[str, Decision] = {}
        for name, d in self.decisions.items():
            when = shorter(active[name], sizes, active)
            if d is None:
                found[name] = Decision(name, ROOT_OWNER, "op", ("call",), active=when)
            else:
                shape = (d.labels, d.values, None, d.low, d.high, d.size)
                found[name] = Decision(name, ROOT_OWNER, d.kind, *shape, active=when)
        return in_order(found)


class _Counter:
    def __init__(self, graph: SpaceGraph, meter: Meter) -> None:
        self.graph, self.meter = graph, meter
        self.regions = graph.regions()
        self.merged = frozenset(graph.merged)
        self.crossed = _Crossed.of(self.graph, self.regions)
        self.ways: dict[int, int] = {}

    def counts(self) -> RegionCounts:
        for region in self.regions[:-1]:  # callees first, the root last
            if region.searches and self.crossed.closed(region):
                place = name_singles(Place(region, "", "", "").with_local_binders())
                problem = _Problem()
                self.collect(problem, place, Reach.of(place.owner))
                self.ways[id(region)] = self.product(problem, [])
        root = root_place(self.graph.root)
        outputs = zip(self.graph.outputs, self.graph.root.outputs, strict=True)
        needs = [Need(p.name, root.absolute(o.presence)) for p, o in outputs if o.presence != ALWAYS]
        problem = _Problem()
        self.collect(problem, root, Reach.of(root.owner))
        for use in self.graph.merged:  # callers first
            if use in problem.members:
                place, entries = problem.members[use]
                self.collect(problem, place, Reach.of(place.owner, start=either(*entries)))
        return RegionCounts(self.product(problem, [needed(n) for n in needs]), self.owners())

    def owners(self) -> dict[str, int]:
        """Ways of the top-level binders whose decisions are all of one owner."""
        bound: set[int] = set()
        found: dict[str, int] = {}
        for region in self.regions:
            calls = [n for n in region.nodes if isinstance(n, CallNode) and n.region.searches]
            if any(call.binder is not None or id(call.region) in bound for call in calls):
                bound.add(id(region))
        for call in (n for region in self.regions for n in region.nodes if isinstance(n, CallNode)):
            alone = id(call.region) in self.ways and id(call.region) not in bound
            if alone and call.binder is not None and not call.binder.local:
                found[call.binder.name] = self.ways[id(call.region)]
        return found

    def product(self, problem: _Problem, limits: list[LinearLimit]) -> int:
        return prod(self.paths(*part, problem.weights) for part in components(problem.listed(), limits))

    def collect(self, problem: _Problem, place: Place, reach: Reach) -> None:
        for decision in place.region.decisions:
            problem.add(place.id_of(decision), decision, reach.under(place, decision.condition).asked)
        for node in place.region.nodes:
            if not isinstance(node, CallNode) or not node.region.searches:
                continue
            child = place.child(node)
            inside = reach.under(place, node.guard).into(node, child)
            if self.crossed.written_out(node):
                use = (child.owner, id(node.region))
                if use in self.merged:
                    problem.members.setdefault(use, (child, []))[1].append(inside.entry)
                elif node.binder is None or problem.enters(child.owner, inside.entry):
                    self.collect(problem, child, inside)
            else:
                # its decisions are no part of this problem, so that their names leave this one free
                name = f"{child.prefix}()"
                problem.add(name, None, inside.asked)
                problem.weights[name] = self.ways[id(node.region)]

    def paths(self, decisions: list[Decision], limits: list[LinearLimit], weights: dict[str, int]) -> int:
        if len(decisions) == 1 and decisions[0].active == ALWAYS and not limits:
            return weights.get(decisions[0].id, decisions[0].cardinality)
        diagram = explore(plan(decisions, [part for each in limits for part in linear_parts(each)]), self.meter)
        for each in limits:
            diagram = impose(diagram, each, self.meter)
        return weighted(diagram, weights)


def weighted(diagram: Diagram, weights: dict[str, int]) -> int:
    """Paths to the end, where a step of a decision with a weight counts that many times."""
    counts = [1]
    for step, children in zip(diagram.steps[1:], diagram.children[1:], strict=True):
        assert step is not None
        ways = sum(counts[child] for kind in step.classes if (child := children[kind]) != DEAD)
        counts.append(ways * weights.get(step.decision, 1))
    return 0 if diagram.root == DEAD else counts[diagram.root]


# ------------------------------------------------------- what conditions cross


@dataclass(frozen=True)
class _Crossed:
    """Calls that are looked into from outside, and regions that are no world of their own."""

    steps: frozenset[int]
    """Identities of the steps of calls that some condition looks into; passes make calls anew and keep their steps."""
    binders: frozenset[int | str]
    """Lets and tieds that some condition looks into, by :func:`_key`."""
    regions: frozenset[int]
    """Identities of regions that ask about decisions elsewhere, or are asked, or use what others use too."""

    @staticmethod
    def of(graph: SpaceGraph, regions: list[Region]) -> _Crossed:
        steps: set[int] = set()
        binders: set[int | str] = set()
        elsewhere: set[int] = set()
        for region in regions:
            own = {id(d) for d in region.decisions}
            for ref in _asked(region, region is graph.root):
                steps |= {id(c.step) for c in ref.calls}
                binders |= {_key(c.binder) for c in ref.calls if c.binder is not None}
                if not ref.calls and id(ref.decision) not in own:
                    elsewhere.add(id(ref.decision))
        open_: set[int] = set()
        free: dict[int, frozenset[int | str]] = {}
        for region in regions:
            mentioned = {id(ref.decision) for ref in _asked(region, region is graph.root)}
            mentioned |= {id(d) for d in region.decisions}
            inner = [n for n in region.nodes if isinstance(n, CallNode)]
            used = frozenset(_key(n.binder) for n in inner if n.binder is not None and n.region.searches)
            used |= frozenset().union(*(free[id(n.region)] for n in inner))
            free[id(region)] = used - {_key(b) for b in region.binders}
            if (
                mentioned & elsewhere
                or free[id(region)]
                or any(id(n.region) in open_ and n.binder is None for n in inner)
            ):
                open_.add(id(region))
        return _Crossed(frozenset(steps), frozenset(binders), frozenset(open_))

    def closed(self, region: Region) -> bool:
        return id(region) not in self.regions

    def written_out(self, call: CallNode) -> bool:
        if id(call.step) in self.steps or not self.closed(call.region):
            return True
        return call.binder is not None and _key(call.binder) in self.binders


def _key(binder: Binder) -> int | str:
    """What two uses of one binder have in common: a local one is one object, a top-level one is elaborated anew for
    other arguments."""
    return id(binder) if binder.local else binder.name


def _asked(region: Region, root: bool) -> Iterator[DecisionRef]:
    """The decisions that activity inside a region asks about, and for the root its outputs."""
    conditions = [d.condition for d in region.decisions]
    conditions += [n.guard for n in region.nodes if isinstance(n, CallNode) and n.region.searches]
    conditions += [o.presence for o in region.outputs] if root else []
    for condition in conditions:
        for ref in asked_by(condition):
            assert isinstance(ref, DecisionRef)
            yield ref
