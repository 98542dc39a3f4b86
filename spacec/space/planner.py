"""Plan a decision diagram: the order of the steps, and the bits and registers of the state.

Assumes decisions whose conditions mention earlier ones. Elements of a subset that later conditions
mention are settled just before the first of these: from there to the next, only their number is
remembered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from spacec.ir.conditions import Cond, Has, Is, both
from spacec.ir.dims import Dim, Poly, Symbol, symbols
from spacec.ir.sizes import evaluate
from spacec.space.activity import ConditionPool
from spacec.space.constraints import Linear
from spacec.space.decisions import Decision
from spacec.space.diagram import Meter
from spacec.space.schedule import IN, OUT, Action, Addition, Bounds, Push, Read, Schedule, Step
from spacec.space.values import Number, number, values

_Term = tuple[int, Dim, int]
"""Constraint, amount, place of the condition in the pool."""


PLANNING = 8
"""Steps of work that a decision is counted as, and an amount of a constraint, where planning is metered."""


def plan(decisions: Sequence[Decision], constraints: Sequence[Linear], meter: Meter | None = None) -> Schedule:
    """Plan a diagram. Atoms about decisions that are not among ``decisions`` are taken to be true.

    Under constraints planning itself takes work, which ``meter`` counts.
    Raises :class:`TooManyStates` beyond its limit.
    """
    if meter is not None and constraints:
        amounts = sum(len(each.terms) for each in constraints)
        meter.spend(PLANNING * (len(decisions) + amounts), constraints[0].text)
    return _Planner(decisions, constraints).plan()


class _Planner:
    """The stages of one plan, in the order of the methods; each fills tables that the later ones read."""

    def __init__(self, decisions: Sequence[Decision], constraints: Sequence[Linear]) -> None:
        self.decisions = decisions
        self.constraints = constraints
        self.by_id = {d.id: d for d in decisions}
        self.pool = ConditionPool()
        self.roots: dict[str, int] = {}
        self.order: list[tuple[Decision, int | None]] = []
        self.settled: dict[tuple[str, int | None], int] = {}
        self.first: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.ready: list[int] = []
        """Per condition, the step that settles it, or -1 for a constant (which ``constant`` gives)."""
        self.constant: list[bool] = []
        self.parents: list[list[int]] = []
        self.atoms: dict[int, list[int]] = defaultdict(list)
        self.closing: dict[int, list[int]] = defaultdict(list)
        self.constants: list[Number] = [0] * len(constraints)
        self.terms: dict[int, list[_Term]] = defaultdict(list)
        self.wanted: dict[str, int] = {}
        """Last use of each number that an amount needs."""
        self.bits: dict[int, int] = {}
        self.clear: dict[int, int] = defaultdict(int)
        self.registers: dict[str, int] = {}
        self.parts: dict[str, int] = {}
        """Places of the conditions that presence in amounts stands for, by the symbol's key."""
        self.release: dict[int, list[int]] = defaultdict(list)
        self.width = 1

    def plan(self) -> Schedule:
        self.place_steps()
        terms = [
            (j, amount, self.pool.add(when))
            for j, c in enumerate(self.constraints)
            for t in c.terms
            for when, amount in told_apart(t.when, t.amount, self.by_id)
        ]
        for _, amount, _ in terms:
            for symbol in symbols(amount):
                if symbol.part is not None:
                    self.parts[symbol.key] = self.pool.add(self.holds(symbol))
        self.settle_conditions()
        self.place_terms(terms)
        self.allocate_bits()
        self.allocate_registers()
        actions = tuple(self.action(t, decision, element) for t, (decision, element) in enumerate(self.order))
        return Schedule(actions, self.width, tuple(self.constraints), tuple(self.constants))

    def holds(self, symbol: Symbol) -> Cond:
        """When a presence is 1."""
        assert symbol.part is not None, "it is presence"
        known = self.by_id.get(symbol.name)
        if known is not None and known.kind == "subset":
            return Has(symbol.name, symbol.part)
        return Is(symbol.name, frozenset((symbol.part,)))

    def place_steps(self) -> None:
        fresh: list[list[tuple[str, int]]] = []
        for decision in self.decisions:
            start = len(self.pool.nodes)
            self.roots[decision.id] = self.pool.add(decision.active)
            found = [(n.decision, n.element) for n in self.pool.nodes[start:] if n.kind == "has"]
            fresh.append(sorted((name, e) for name, e in found if self.is_element(name, e)))
        waited = {atom for atoms in fresh for atom in atoms}
        for decision, atoms in zip(self.decisions, fresh, strict=True):
            for name, element in atoms:
                self.append(self.by_id[name], element)
            if decision.kind != "subset" or decision.size == 0:
                self.append(decision, None)
                continue
            for element in range(decision.size):
                if (decision.id, element) not in waited:
                    self.append(decision, element)

    def is_element(self, name: str, element: int) -> bool:
        decision = self.by_id.get(name)
        return decision is not None and decision.kind == "subset" and element < decision.size

    def append(self, decision: Decision, element: int | None) -> None:
        t = len(self.order)
        self.order.append((decision, element))
        self.settled[decision.id, element] = t
        self.first.setdefault(decision.id, t)
        self.last[decision.id] = t

    def settle_conditions(self) -> None:
        for place, node in enumerate(self.pool.nodes):
            self.ready.append(-1)
            self.constant.append(True)
            self.parents.append([])
            if node.kind in ("is", "has"):
                self.settle_atom(place)
                continue
            conjunction = node.kind == "all"
            moving = [c for c in node.children if self.ready[c] >= 0]
            decided = any(self.constant[c] != conjunction for c in node.children if self.ready[c] < 0)
            if decided or not moving:
                self.constant[place] = conjunction != decided
                continue
            self.ready[place] = max(self.ready[c] for c in moving)
            self.closing[self.ready[place]].append(place)
            for c in moving:
                self.parents[c].append(place)

    def settle_atom(self, place: int) -> None:
        node = self.pool.nodes[place]
        if node.decision not in self.by_id:
            return
        is_subset = self.by_id[node.decision].kind == "subset"
        t = self.settled.get((node.decision, node.element if is_subset else None))
        if is_subset != (node.kind == "has") or t is None:
            self.constant[place] = False  # a question that this kind of decision never answers with yes
            return
        self.ready[place] = t
        self.atoms[t].append(place)

    def place_terms(self, terms: list[_Term]) -> None:
        """Add each term as soon as its condition and its numbers are settled; plain numbers are merged first."""
        numbers: dict[tuple[int, int], int] = defaultdict(int)
        for j, amount, place in terms:
            if isinstance(amount, int):
                numbers[j, place] += amount
            else:
                self.place_term(j, amount, place)
        for (j, place), amount in numbers.items():
            self.place_term(j, amount, place)

    def place_term(self, j: int, amount: Dim, place: int) -> None:
        names = {s.name for s in symbols(amount) if s.part is None}
        parts = [self.parts[s.key] for s in symbols(amount) if s.part is not None]
        t = max([self.ready[place], *(self.ready[p] for p in parts), *(self.last[n] for n in names)])
        if amount == 0 or (self.ready[place] < 0 and not self.constant[place]):
            return
        if t < 0:
            self.constants[j] += evaluate(amount, lambda s: int(self.constant[self.parts[s.key]]))
            return
        self.terms[t].append((j, amount, place))
        for name in names:
            self.wanted[name] = max(t, self.wanted.get(name, t))

    def allocate_bits(self) -> None:
        """One bit per remembered condition, from its first settled part to its last use."""
        until: dict[int, int] = {}
        for name, root in self.roots.items():
            until[root] = max(until.get(root, -1), self.first[name])
        for t, listed in self.terms.items():
            for _, amount, place in listed:
                for wanted in (place, *(self.parts[s.key] for s in symbols(amount) if s.part is not None)):
                    until[wanted] = max(until.get(wanted, -1), t)
        since: dict[int, int] = {}
        for place, ready in enumerate(self.ready):
            if ready < 0:
                continue
            for parent in self.parents[place]:
                since[parent] = min(since.get(parent, ready), ready)
            if place in until:
                since.setdefault(place, ready)
            if place in since:
                until[place] = max(until.get(place, -1), ready)
        opening: dict[int, list[int]] = defaultdict(list)
        for place, t in since.items():
            opening[t].append(place)
        ending: dict[int, list[int]] = defaultdict(list)
        free: list[int] = []
        width = 0
        for t in range(len(self.order)):
            for place in opening[t]:
                if not free:
                    free, width = [width], width + 1
                self.bits[place] = 1 << heappop(free)
                ending[until[place]].append(self.bits[place])
            for bit in ending.pop(t, ()):
                self.clear[t] |= bit
                heappush(free, bit.bit_length() - 1)

    def allocate_registers(self) -> None:
        until = {d.id: self.last[d.id] for d in self.decisions if self.last[d.id] > self.first[d.id]}
        until.update(self.wanted)
        ending: dict[int, list[int]] = defaultdict(list)
        free: list[int] = []
        for t, (decision, _) in enumerate(self.order):
            if decision.id in until and self.first[decision.id] == t:
                if not free:
                    free, self.width = [self.width], self.width + 1
                self.registers[decision.id] = heappop(free)
                ending[until[decision.id]].append(self.registers[decision.id])
            for register in ending.pop(t, ()):
                self.release[t].append(register)
                heappush(free, register)

    def action(self, t: int, decision: Decision, element: int | None) -> Action:
        keys: list[tuple[int, Number]]
        if element is None:
            domain = tuple(values(decision))
            wanted = decision.id in self.wanted
            keys = [(self.mask(t, v), number(decision, v) if wanted else 0) for v in domain]
        else:
            domain = ()
            keys = [(self.mask(t, outcome), outcome) for outcome in (IN, OUT)]
        classes = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        return Action(
            step=Step(decision.id, element, domain, tuple(classes[k] for k in keys)),
            active=self.read(self.roots[decision.id]),
            bounds=None if element is None else self.bounds(t, decision),
            first=self.first[decision.id] == t,
            voids=tuple(j for j, c in enumerate(self.constraints) if decision.id in c.mentioned),
            register=self.registers.get(decision.id, 0),
            numbers=tuple(n for _, n in classes),
            masks=tuple(mask for mask, _ in classes),
            mask_inactive=self.mask(t, None),
            pushes=tuple(self.push(place) for place in self.closing[t] if self.parents[place]),
            additions=tuple(
                Addition(
                    j,
                    self.read(place),
                    amount,
                    {s.name: self.registers[s.name] for s in symbols(amount) if s.part is None},
                    {s.key: self.read(self.parts[s.key]) for s in symbols(amount) if s.part is not None},
                )
                for j, amount, place in self.terms[t]
            ),
            clear=self.clear[t],
            release=tuple(self.release[t]),
        )

    def bounds(self, t: int, decision: Decision) -> Bounds:
        left = sum(self.settled[decision.id, e] > t for e in range(decision.size))
        return Bounds(decision.low, decision.high, left, decision.id in self.wanted)

    def mask(self, t: int, outcome: object) -> int:
        """The bits that an outcome of step ``t`` sets directly; ``None``: the decision is inactive."""
        bits = 0
        for place in self.atoms[t]:
            node = self.pool.nodes[place]
            holds = outcome in node.candidates if node.kind == "is" else outcome == IN
            bits |= self.consequence(place, holds)
            if holds:
                bits |= self.bits.get(place, 0)
        return bits

    def consequence(self, place: int, holds: bool) -> int:
        """The bits that a settled condition sets in those that it is part of."""
        bits = 0
        for parent in self.parents[place]:
            if holds != (self.pool.nodes[parent].kind == "all"):
                bits |= self.bits[parent]
        return bits

    def push(self, place: int) -> Push:
        return Push(self.read(place), self.consequence(place, True), self.consequence(place, False))

    def read(self, place: int) -> Read:
        if self.ready[place] < 0:
            return Read(0, self.constant[place])
        return Read(self.bits[place], self.pool.nodes[place].kind == "all")


def told_apart(when: Cond, amount: Dim, known: Mapping[str, Decision]) -> list[tuple[Cond, Dim]]:
    """An amount as terms of their own, so that each is added as soon as what it mentions is settled.

    All of an amount counts, or nothing where it mentions an inactive decision: so each part waits for all of them to be
    active. Presence that multiplies a part is part of its condition.
    """
    if isinstance(amount, int):
        return [(when, amount)]
    whole = both(
        when, *(known[n].active for n in sorted({s.name for s in amount.symbols if s.part is None}) if n in known)
    )
    found: list[tuple[Cond, Dim]] = []
    for monomial, coefficient in amount.terms:
        present = [a for a, _ in monomial if isinstance(a, Symbol) and a.part is not None and a.limits[2] != 1]
        rest = tuple((a, power) for a, power in monomial if a not in present)
        term: Dim = Poly(((rest, coefficient),)) if rest or not isinstance(coefficient, int) else coefficient
        found.append((both(whole, *(Has(a.name, a.part or 0) for a in present)), term))
    return found
