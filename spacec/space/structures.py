"""The structures of one body: its networks up to isomorphism, with operations left open as labels.

Assumes bodies (:mod:`spacec.space.bodies`) and a compiled algebra. The body is read from its outputs; a decision is
branched on when it is read and not before, so what is dead is never decided. That some way to decide the rest is valid
is asked of the decision diagrams. An operation decision is left open among the candidates that are vertices of their
own (:mod:`spacec.space.forms`); its other candidates are branched on.

A picked element that turns out to be absent need not be looked at where it may just as well not be picked: no size
and no condition but its own gate asks about it, and constraints only gain by leaving it out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush

from spacec.ir.conditions import ALWAYS, All, Any, Cond, Has, Is, Lookup, both, either, holds
from spacec.ir.ops import DROPS_ABSENT
from spacec.space.algebra import Algebra
from spacec.space.bodies import Body, CallCode, ChooseCode, InputCode, NotOpen, OpCode, Open, OutCode, SwitchCode
from spacec.space.components import concerns
from spacec.space.constraints import Linear, LinearLimit, linear_parts
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.diagram import DEAD, Diagram, Meter
from spacec.space.forms import Normaliser
from spacec.space.holes import hole_of
from spacec.space.schedule import IN, OUT
from spacec.space.values import Value, values
from spacec.space.workshop import ABSENT, Form

Chosen = Mapping[str, "Value | Open | None"]
"""Decisions that were read, with their values or what is left open; ``None``: it is inactive."""

PRICE = 50
"""Nodes of a body that are read for one step of work."""


@dataclass(frozen=True)
class Structure:
    """One network with open operations, and a way to come to it."""

    form: Form
    chosen: Chosen


@dataclass(eq=False)
class Completions:
    """Whether values of some decisions leave a valid assignment."""

    algebra: Algebra
    by_id: Mapping[str, Decision]
    of: dict[str, Diagram] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for diagram in self.algebra.diagrams:
            for step in diagram.steps:
                if step is not None:
                    self.of[step.decision] = diagram

    def any(self, chosen: Chosen, decision: str) -> bool:
        """Whether one is left among the decisions that are coupled with one."""
        diagram = self.of.get(decision)
        return diagram is None or self.leaves(diagram, chosen)

    def all(self, chosen: Chosen) -> bool:
        """Whether one is left of all decisions."""
        return all(self.leaves(diagram, chosen) for diagram in self.algebra.diagrams)

    def leaves(self, diagram: Diagram, chosen: Chosen) -> bool:
        """Whether a path agrees with what is chosen, and asks it."""
        asked = [name for name, value in chosen.items() if isinstance(value, int | tuple)]
        if any(self.of.get(name) is diagram and self.by_id[name].active != ALWAYS for name in asked):
            return self._asks(diagram, chosen)
        seen, stack = {diagram.root}, [diagram.root]
        while stack:
            node = stack.pop()
            if node == DEAD:
                continue
            step = diagram.steps[node]
            if step is None:
                return True
            children = diagram.children[node]
            for child in children if chosen.get(step.decision) is None else _agreeing(diagram, node, chosen):
                if child not in seen:
                    seen.add(child)
                    stack.append(child)
        return False

    @staticmethod
    def _asks(diagram: Diagram, chosen: Chosen) -> bool:
        """The same where decisions may be inactive: the most steps that a path agrees with are all there are."""
        steps = {id(s): s for s in diagram.steps if s is not None and isinstance(chosen.get(s.decision), int | tuple)}
        most = [0]
        for node in range(1, len(diagram.steps)):
            step = diagram.steps[node]
            assert step is not None, "only the first node asks nothing"
            free = chosen.get(step.decision) is None
            children = diagram.children[node] if free else _agreeing(diagram, node, chosen)
            best = max((most[c] for c in children if c != DEAD), default=-1)
            most.append(best + (id(step) in steps) if best >= 0 else -1)
        return diagram.root != DEAD and most[diagram.root] == len(steps)


def _agreeing(diagram: Diagram, node: int, chosen: Chosen) -> Iterable[int]:
    step, children = diagram.steps[node], diagram.children[node]
    assert step is not None, "the end asks nothing"
    value = chosen[step.decision]
    if step.element is not None:
        picked = isinstance(value, tuple) and step.element in value
        return (children[step.classes[IN if picked else OUT]],)
    if isinstance(value, Open):
        wanted = value.candidates or range(len(step.domain))
        return {children[step.classes[step.domain.index(k)]] for k in wanted}
    assert isinstance(value, int | tuple), "what is inactive agrees with all"
    return (children[step.classes[step.domain.index(value)]],)


@dataclass(frozen=True)
class Sums:
    """Constraints that add up amounts for what is taken, and so can be seen to fail before all is decided.

    Per constraint its constant, and by decision the amounts with the condition on that decision alone. ``told``:
    decisions that no other constraint concerns.
    """

    parts: tuple[tuple[int, Mapping[str, tuple[tuple[Is | Has, int], ...]]], ...]
    told: frozenset[str]
    known: dict[tuple[int, str, Value], int] = field(default_factory=dict, compare=False)
    """What a value adds to a sum."""

    def may_hold(self, chosen: Chosen) -> bool:
        """Whether no sum is too large already."""
        for k, (constant, terms) in enumerate(self.parts):
            total = constant
            for name in terms.keys() & chosen.keys():
                value = chosen[name]
                if not isinstance(value, int | tuple):
                    continue
                found = self.known.get((k, name, value))
                if found is None:
                    found = sum(amount for when, amount in terms[name] if holds(when, _is(value)))
                    self.known[k, name, value] = found
                total += found
            if total > 0:
                return False
        return True


def _is(value: Value) -> Lookup:
    """Every decision that is asked about has this value."""
    return lambda _: value


def sums_of(limits: Iterable[LinearLimit], table: DecisionTable) -> Sums:
    """The constraints among the limits that are such sums."""
    parts, told, other = [], set[str](), set[str]()
    for limit in limits:
        concerned = concerns(limit, table.by_id)
        found = _sum_of(limit)
        if found is None:
            other.update(concerned)
        else:
            parts.append(found)
            told.update(concerned)
    return Sums(tuple(parts), frozenset(told - other))


def _sum_of(limit: LinearLimit) -> tuple[int, Mapping[str, tuple[tuple[Is | Has, int], ...]]] | None:
    if not isinstance(limit, Linear) or limit.op != "<=" or limit.mentioned:
        return None
    constant, amounts = 0, dict[str, list[tuple[Is | Has, int]]]()
    for term in limit.terms:
        if not isinstance(term.amount, int):
            return None
        if term.when == ALWAYS:
            constant += term.amount
        elif isinstance(term.when, Is | Has) and term.amount >= 0:
            amounts.setdefault(str(term.when.decision), []).append((term.when, term.amount))
        else:
            return None
    return constant, {name: tuple(found) for name, found in amounts.items()}


@dataclass(eq=False)
class Structures:
    """Finds the structures of a body. ``coupled``: decisions that constraints are about, which are never left open."""

    normaliser: Normaliser
    body: Body
    table: DecisionTable
    completions: Completions
    coupled: frozenset[str]
    removable: frozenset[str]
    """Subset decisions of which an absent element need not be picked."""
    meter: Meter
    sums: Sums
    closed: frozenset[str] = frozenset()
    """Decisions that are not left open: a caller found that their candidates spell each other."""
    uses: Mapping[str, int] = field(default_factory=dict)
    """What stands for the decisions of an owner that the body uses, and how many values it has."""
    pure: bool = True
    """Whether candidates without weights are left open too, where they can."""
    menus: dict[str, tuple[int, ...]] = field(default_factory=dict)
    sources: dict[tuple[int, object], int] = field(default_factory=dict)
    orders: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    price: int = 1

    def __post_init__(self) -> None:
        for index, code in enumerate(self.body.nodes):
            if isinstance(code, ChooseCode) and code.decision not in self.coupled | self.closed | {None}:
                self.menus[str(code.decision)] = tuple(self._openable(index, code))
        self.price = 1 + len(self.body.nodes) // PRICE

    def _openable(self, index: int, code: ChooseCode) -> Iterator[int]:
        """The candidates of a choice that are vertices of their own."""
        for k in range(len(code.alternatives) - code.shift):
            try:
                found = hole_of(self.body, index, self.normaliser.sizes, lambda _, k=k: Open((k,)))  # type: ignore[misc]  # the default binds it now
            except NotOpen:
                continue
            if self.pure or not found.pure:
                yield k

    def find(self) -> Iterator[Structure]:
        """Every structure once. Raises :class:`TooManyStates` where the work passes the limit of the meter."""
        found: set[object] = set()
        stack = [Progress.of(self.body)]
        while stack:
            reading = stack.pop()
            self.meter.spend(self.price)
            try:
                decision = reading.on(self.body, self)
                if decision in self.removable and reading.idles(self.body, self.removable):
                    continue
                if decision is not None:
                    stack.extend(map(reading.having, self.branch(reading.chosen, decision)))
                    continue
                wrong = {d for d, v in reading.chosen.items() if v is None and self.is_active(d, reading.chosen)}
                if wrong:  # taken for inactive before what makes it active was read
                    kept = {d: v for d, v in reading.chosen.items() if d not in wrong}
                    stack.append(Progress.again(self.body, kept))
                    continue
                self.meter.spend(4 * self.price)  # a form costs several readings
                form = self.normaliser.form(self.body, reading.chosen.get)
            except NotOpen as error:
                closer = self.closer(reading.chosen, *error.args)
                stack.extend(Progress.again(self.body, chosen) for chosen in closer)
                continue
            key = (form.certificate, form.results)
            if key not in found and ABSENT not in form.results and self.completions.all(reading.chosen):
                found.add(key)
                yield Structure(form, reading.chosen)

    def branch(self, chosen: dict[str, Value | Open | None], name: str) -> Iterator[dict[str, Value | Open | None]]:
        if name in self.uses:
            yield from ({**chosen, name: k} for k in range(self.uses[name]))
            return
        for value in self.values(self.table.by_id[name]):
            after = {**chosen, name: value}
            free = isinstance(value, Open) or name in self.sums.told
            if self.sums.may_hold(after) and (free or self.completions.any(after, name)):
                yield after

    def values(self, decision: Decision) -> Iterator[Value | Open]:
        menu = self.menus.get(decision.id, ())
        if menu:
            yield Open(menu)
        yield from (v for v in values(decision) if v not in menu)

    def closer(
        self, chosen: dict[str, Value | Open | None], name: str, groups: Iterable[tuple[int, ...]] = ()
    ) -> Iterator[dict[str, Value | Open | None]]:
        """What was left open, told apart further: candidates without weights first, then all."""
        value = chosen[name]
        assert isinstance(value, Open), "only what is open is not open"
        pure = {k for k in value.candidates if self._is_pure(name, k)}
        kept = tuple(k for k in value.candidates if k not in pure)
        if not pure or not kept:
            yield from ({**chosen, name: k} for k in value.candidates)
            return
        yield {**chosen, name: Open(kept)}
        yield from ({**chosen, name: k} for k in sorted(pure))

    def opened(self, index: int, code: ChooseCode, value: Open) -> tuple[int, ...]:
        """The nodes that an open choice reads."""
        return (self.source(index, value),)

    def source(self, index: int, value: object) -> int:
        """What a hole reads."""
        if (index, value) not in self.sources:
            found = hole_of(self.body, index, self.normaliser.sizes, lambda _: value)  # type: ignore[arg-type,return-value]  # what is open
            self.sources[index, value] = found.source
        return self.sources[index, value]

    def _is_pure(self, name: str, candidate: int) -> bool:
        for index, code in enumerate(self.body.nodes):
            if isinstance(code, ChooseCode) and code.decision == name:
                return hole_of(self.body, index, self.normaliser.sizes, lambda _: Open((candidate,))).pure
        return False

    def asked(self, body: Body) -> tuple[str, ...]:
        """What must be known of a body that is used."""
        use = f"use {body.owner}"
        return (use,) if use in self.uses else self.in_order(body.mentions)

    def in_order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Decisions after those that their conditions mention."""
        if names not in self.orders:
            self.orders[names] = tuple(sorted(names, key=list(self.table.by_id).index))
        return self.orders[names]

    def is_active(self, name: str, chosen: Chosen) -> bool:
        """Whether a decision is asked in architectures that are read so; what other owners decide counts as met."""
        if name in self.uses:
            return True
        own = self.body.askers

        def value(other: Hashable) -> int | tuple[int, ...] | None:
            found = chosen.get(str(other))
            return found.candidates[0] if isinstance(found, Open) else found

        return holds(assumed(self.table.by_id[name].active, lambda other: str(other) not in own), value)


def assumed(condition: Cond, met: Callable[[Hashable], bool]) -> Cond:
    """A condition without what is met in any case."""
    match condition:
        case Is() | Has():
            return ALWAYS if met(condition.decision) else condition
        case All():
            return both(*(assumed(p, met) for p in condition.parts))
        case Any():
            return either(*(assumed(p, met) for p in condition.parts))


@dataclass(eq=False)
class Progress:
    """How far a body is read from its outputs: nodes of which the sources are known, and those that wait."""

    chosen: dict[str, Value | Open | None]
    order: list[int]
    taken: dict[int, int | None]
    """Of choices that were read."""
    waiting: list[int]
    reached: set[int]

    @staticmethod
    def of(body: Body) -> Progress:
        ends = set(body.outputs)
        waiting = [-e for e in ends]
        heapify(waiting)
        return Progress({}, [], {}, waiting, ends)

    def having(self, chosen: dict[str, Value | Open | None]) -> Progress:
        """As far read, with one more decision."""
        return Progress(chosen, self.order[:], dict(self.taken), self.waiting[:], set(self.reached))

    @staticmethod
    def again(body: Body, chosen: dict[str, Value | Open | None]) -> Progress:
        """Read from the start: what was read is decided otherwise."""
        return replace(Progress.of(body), chosen=chosen)

    def on(self, body: Body, of: Structures) -> str | None:
        """Read on, up to a decision that is not made; ``None`` where all is read."""
        while self.waiting:
            index = -self.waiting[0]
            found = self.sources(index, body, of)
            if isinstance(found, str):
                return found
            heappop(self.waiting)
            self.order.append(index)
            for source in found:
                if source not in self.reached:
                    self.reached.add(source)
                    heappush(self.waiting, -source)
        return None

    def sources(self, index: int, body: Body, of: Structures) -> tuple[int, ...] | str:
        """What a node reads, or the decision on which that depends."""
        code = body.nodes[index]
        match code:
            case InputCode():
                return ()
            case OutCode():
                return (code.call,)
            case OpCode() | CallCode():
                asked = of.in_order(code.mentions) if isinstance(code, OpCode) else of.asked(code.body)
                return self.missing(asked, of) or code.inputs
            case SwitchCode():
                missing = self.missing(of.in_order(code.mentions), of)
                if missing is not None:
                    return missing
                switched = code.taken(self.chosen.get)
                taken = switched if isinstance(switched, int) else None
            case ChooseCode():
                if code.pick is not None:
                    if code.pick not in self.chosen:
                        return code.pick
                    picked = self.chosen[code.pick]
                    if not isinstance(picked, tuple) or code.element not in picked:
                        self.taken[index] = None
                        return ()
                if code.decision is not None and code.decision not in self.chosen:
                    return code.decision
                found = code.taken(self.chosen.get)
                if isinstance(found, Open):
                    read = of.opened(index, code, found)
                    self.taken[index] = read[0]
                    return read
                taken = found
        self.taken[index] = taken
        return () if taken is None else (taken,)

    def missing(self, asked: Iterable[str], of: Structures) -> str | None:
        """The first decision that is asked and not made; one that is inactive has no value."""
        for name in asked:
            if name not in self.chosen:
                if of.is_active(name, self.chosen):
                    return name
                self.chosen[name] = None
        return None

    def idles(self, body: Body, removable: frozenset[str]) -> bool:
        """Whether an element is picked that is absent and need not be picked."""
        gone: set[int] = set()
        for index in reversed(self.order):
            code = body.nodes[index]
            if isinstance(code, OpCode) and code.inputs:
                rule = all if code.op.spec.name in DROPS_ABSENT else any
                if rule(i in gone for i in code.inputs):
                    gone.add(index)
            elif index in self.taken:
                taken = self.taken[index]
                if taken is None or taken in gone:
                    gone.add(index)
                if taken in gone and isinstance(code, ChooseCode) and code.pick in removable:
                    return True
        return False


def removable(body: Body, table: DecisionTable, limits: Iterable[LinearLimit]) -> frozenset[str]:
    """Subset decisions of a body of which an absent element may as well not be picked."""
    gates: dict[str, int] = {}
    for code in body.nodes:
        if isinstance(code, ChooseCode) and code.pick is not None:
            gates[code.pick] = gates.get(code.pick, 0) + 1
    found = {d for d, count in gates.items() if body.askers[d] == count and table.by_id[d].low == 0}
    for limit in limits:
        concerned = set(concerns(limit, found))
        if not all(_gains(part, concerned) for part in linear_parts(limit)):
            found -= concerned
    return frozenset(found)


def _gains(part: Linear, subsets: set[str]) -> bool:
    """Whether a comparison that holds still holds when less is picked: conditions are monotone."""
    amounts = [term.amount for term in part.terms if term.when != ALWAYS]
    return (
        part.op in ("<=", "<")
        and subsets.isdisjoint(part.mentioned)
        and all(isinstance(a, int) and a >= 0 for a in amounts)
    )
