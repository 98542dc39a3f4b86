"""Find the members of ``tied`` families whose calls run as one (language, rule 10).

Assumes a graph whose dead code is gone. A member is merged where at most one of its calls is active in any
architecture, and where no call needs what another gives. Both are proved from the graph, conservatively: calls
that are not shown to exclude each other stay separate calls with shared weights.

Guarantees: every merged member is called from two places or more; in the order of the result every caller
that is itself merged comes before what it calls; walking the graph with merged members entered once ends, within
:data:`MAX_WRITTEN` nodes or an ``E0408``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from spacec.diagnostics.model import Diagnostic, Label, Sink
from spacec.ir.conditions import Cond, contradict, decisions
from spacec.ir.graph import CallNode, ChooseNode, DecisionRef, MemberUse, Region, SpaceGraph, SwitchNode
from spacec.ir.naming import Place, root_place
from spacec.ir.reach import Reach

MAX_WRITTEN = 200_000
"""Nodes of the whole space with every call written out: what naming, costs and networks walk over."""

_ROOT: MemberUse = ("", 0)


@dataclass(frozen=True)
class MergeCalls:
    """The pass; ``limit`` bounds the nodes of the space once its calls are written out."""

    limit: int = MAX_WRITTEN

    def apply(self, graph: SpaceGraph, sink: Sink) -> SpaceGraph:
        """The graph with its merged members; a space that stays too large is reported (``E0408``)."""
        families = _Families()
        if not families.inside(graph.root):
            return graph
        apart: set[MemberUse] = set()
        single: set[MemberUse] = set()
        while True:
            survey = _Survey(families, apart | single, self.limit)
            survey.run(graph.root)
            if survey.passed_at is not None:
                sink.add(_too_large(survey.passed_at, apart, self.limit))
                return graph
            refused = survey.refused()
            once = {unit for unit, calls in survey.calls.items() if len(calls) == 1}
            if not refused and not once:
                return replace(graph, merged=survey.order()[1:])
            apart |= refused
            single |= once


def _too_large(call: CallNode, apart: set[MemberUse], limit: int) -> Diagnostic:
    headline = f"the space has over {limit:,} nodes once its definitions are written out"
    binder = call.binder
    if binder is None or not any(name == binder.name for name, _ in apart):
        return Diagnostic("E0408", headline, call.span, "the limit was passed here")
    return Diagnostic(
        "E0408",
        headline,
        call.span,
        f"each call of `{binder.name}` is written out",
        (Label(binder.span, "the family"),),
        ("calls of one member run as one only where no architecture has two of them active",),
    )


@dataclass
class _Families:
    """Which regions hold calls of members of tied families, at any depth."""

    known: dict[int, bool] = field(default_factory=dict)

    def inside(self, region: Region) -> bool:
        if id(region) not in self.known:
            calls = [n for n in region.nodes if isinstance(n, CallNode)]
            self.known[id(region)] = any(is_member(n) or self.inside(n.region) for n in calls)
        return self.known[id(region)]


def is_member(call: CallNode) -> bool:
    """Whether a call is of a member of a tied family."""
    return call.binder is not None and call.binder.member and call.binder.kind == "tied"


@dataclass(frozen=True, eq=False)
class _Call:
    """A call of a member: in which unit, under what since the unit began, and on whose values it depends."""

    unit: MemberUse
    guard: Cond
    needs: int
    asked: frozenset[Hashable]
    """The decisions that the guard asks."""


@dataclass(frozen=True)
class _At:
    """Where the survey stands; ``member`` is the call of a member that is being written out."""

    unit: MemberUse
    place: Place
    reach: Reach
    valued: bool = False
    """Something on the way hangs on a value."""
    member: CallNode | None = None

    def below(self, call: CallNode) -> _At:
        asked = (ref for ref in decisions(call.guard) if isinstance(ref, DecisionRef))
        valued = self.valued or any(ref.decision.single for ref in asked)
        reach = self.reach.under(self.place, call.guard)
        return replace(self, place=self.place.child(call), reach=reach, valued=valued)


@dataclass
class _Survey:
    """The root and every member that may be merged, each walked once; these are the units.

    ``needs`` are sets of units as bits: bit ``2k`` is the input of unit ``k``, bit ``2k + 1`` its result.
    """

    families: _Families
    apart: set[MemberUse]
    limit: int
    numbers: dict[MemberUse, int] = field(default_factory=dict)
    calls: dict[MemberUse, list[_Call]] = field(default_factory=dict)
    callees: dict[MemberUse, list[MemberUse]] = field(default_factory=dict)
    results: dict[MemberUse, int] = field(default_factory=dict)
    valued: set[MemberUse] = field(default_factory=set)
    """Members with a call that hangs on a value: masks of values are read apart from those of choices."""
    passed_at: CallNode | None = None
    _written: int = 0
    _waiting: list[tuple[MemberUse, Place]] = field(default_factory=list)
    _exclusive: dict[tuple[int, int], bool] = field(default_factory=dict)

    def run(self, root: Region) -> None:
        self._meet(_ROOT, root_place(root))
        while self._waiting and self.passed_at is None:
            unit, place = self._waiting.pop()
            own = 1 << 2 * self.numbers[unit]
            outputs = self._walk(_At(unit, place, Reach.of(place.owner)), [own] * len(place.region.inputs))
            self.results[unit] = own | _union(outputs)

    def _meet(self, unit: MemberUse, place: Place) -> None:
        self.numbers[unit] = len(self.numbers)
        self.callees[unit] = []
        self._waiting.append((unit, place))

    def _walk(self, at: _At, inputs: list[int]) -> list[int]:
        """What each output of an activation depends on."""
        values = [[i] for i in inputs]
        region = at.place.region
        self._written += len(region.nodes)
        for node in region.nodes:
            match node:
                case CallNode():
                    values.append(self._call(at, node, [values[r.node][r.out] for r in node.inputs]))
                case ChooseNode() | SwitchNode():
                    read = [r for r in node.alternatives if r is not None]
                    values.append([_union(values[r.node][r.out] for r in read)])
                case _:
                    values.append([_union(values[r.node][r.out] for r in node.inputs)])
        return [values[out.ref.node][out.ref.out] for out in region.outputs]

    def _call(self, at: _At, node: CallNode, inputs: list[int]) -> list[int]:
        below = at.below(node)
        count = len(node.region.outputs)
        if is_member(node):
            use = (below.place.owner, id(node.region))
            if use not in self.apart:
                if use not in self.numbers:
                    self._meet(use, below.place)
                if below.valued:
                    self.valued.add(use)
                guard = below.reach.guard
                self.calls.setdefault(use, []).append(_Call(at.unit, guard, _union(inputs), decisions(guard)))
                self.callees[at.unit].append(use)
                return [1 << 2 * self.numbers[use] + 1] * count
            below = replace(below, member=node)
        if self.families.inside(node.region) and self.passed_at is None:
            outputs = self._walk(below, inputs)
        else:
            self._written += node.region.expanded
            outputs = [_union(inputs)] * count
        if self._written > self.limit and self.passed_at is None:
            self.passed_at = below.member or node
        return outputs

    def order(self) -> tuple[MemberUse, ...]:
        """The units, layer by layer: each after all its callers, and no later than it must."""
        done: dict[MemberUse, None] = {}
        stack: list[tuple[MemberUse, bool]] = [(_ROOT, False)]
        while stack:
            unit, closed = stack.pop()
            if closed:
                done.setdefault(unit)
            elif unit not in done:
                stack.append((unit, True))
                stack.extend((u, False) for u in self.callees[unit])
        callers_first = list(done)[::-1]
        layer = dict.fromkeys(callers_first, 0)
        for unit in callers_first:
            for callee in self.callees[unit]:
                layer[callee] = max(layer[callee], layer[unit] + 1)
        return tuple(sorted(callers_first, key=layer.__getitem__))

    def refused(self) -> set[MemberUse]:
        """Units whose calls are not shown to exclude each other, or wait for one another."""
        place = {unit: k for k, unit in enumerate(self.order())}
        found: set[MemberUse] = set()
        for unit in place:
            calls = self.calls.get(unit, [])
            if any(c.unit in found for c in calls):
                continue  # judged once these callers are written out
            pairs = ((a, b) for k, a in enumerate(calls) for b in calls[:k])
            if unit in self.valued or not all(self.exclusive(a, b, place) for a, b in pairs):
                found.add(unit)
        return found or self._waiting_for_themselves()

    def exclusive(self, a: _Call, b: _Call, place: dict[MemberUse, int]) -> bool:
        """Whether no architecture has both: their conditions contradict, or those of all calls that lead to one do."""
        key = (id(a), id(b)) if id(a) < id(b) else (id(b), id(a))
        if key not in self._exclusive:
            if not a.asked.isdisjoint(b.asked) and contradict(a.guard, b.guard):
                self._exclusive[key] = True
            elif a.unit == b.unit:
                self._exclusive[key] = False
            else:
                early, late = (a, b) if place[a.unit] < place[b.unit] else (b, a)
                self._exclusive[key] = all(self.exclusive(early, c, place) for c in self.calls[late.unit])
        return self._exclusive[key]

    def _waiting_for_themselves(self) -> set[MemberUse]:
        """Units on a circle of needs: one's input needs another's result, which needs the first's."""
        needs = {2 * k: _union(c.needs for c in self.calls.get(unit, ())) for unit, k in self.numbers.items()}
        needs.update({2 * k + 1: self.results[unit] for unit, k in self.numbers.items()})
        left = _union(1 << point for point in needs)
        before = 0
        while left != before:
            before = left
            for point, needed in needs.items():
                if not needed & left:  # nothing that it waits for
                    left &= ~(1 << point)
            left &= _union(needed for point, needed in needs.items() if left & 1 << point)  # nothing waits for the rest
        return {unit for unit, k in self.numbers.items() if left >> 2 * k & 3}


def _union(sets: Iterable[int]) -> int:
    found = 0
    for one in sets:
        found |= one
    return found
