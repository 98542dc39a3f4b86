"""Conditions and sizes of a space, seen through the masks of its slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add, mul
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.cases import order_of
from spacec.ir.dims import Apply, Cases, Dim, Monomial, Poly, Symbol, poly, symbols
from spacec.ir.sizes import settled, substitute
from spacec.space.activity import ConditionPool
from spacec.space.decisions import DecisionTable, Slot
from spacec.space.events import Atom, Distribution, Event, given, joint
from spacec.space.values import Number, number

_Cases = dict[tuple[Event, Number], Any]
"""What is left of an event once a symbol has a value, that value, and the weight of the case."""


_ALWAYS = Slot("", ("present",))
"""Stands for the slot of an element that nothing relaxes."""


class Relaxation:
    """Masks over the slots of a table; ``sizes`` are those of the inputs.

    A mask that is an index settles its slot; ``None`` settles that nothing of the slot is there. A
    decision without a slot is uniform over its candidates; an element without one is present.
    """

    def __init__(self, table: DecisionTable, masks: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        self.table, self.sizes = table, sizes
        self.of_decision = {s.decision: s for s in table.slots if s.decision is not None}
        self.of_element = {(s.pick, s.element): s for s in table.slots if s.pick is not None}
        for decision in table.decisions:
            if decision.kind != "subset" and decision.id not in self.of_decision:
                self.of_decision[decision.id] = Slot(decision.id, decision.labels, decision.id)
        self.settled: dict[str, int | None] = {}
        self._known: dict[tuple[Event, Dim], Any] = {}
        weights: dict[str, Sequence[Any]] = {}
        for slot in (*self.of_decision.values(), *self.of_element.values()):
            mask = masks.get(slot.id, (1.0 / slot.size,) * slot.size)
            if mask is None or isinstance(mask, int):
                self.settled[slot.id] = mask
                mask = [float(k == mask) for k in range(slot.size)]
            if len(mask) != slot.size:
                headline = f"{len(mask)} weights for the slot {slot.id}, which has {slot.size} candidates"
                raise SpacecError(Diagnostic("E0607", headline))
            weights[slot.id] = mask
        self.distribution = Distribution(weights)

    def events(self, pool: ConditionPool) -> list[Event]:
        """The event of every condition of a pool."""
        found: list[Event] = []
        for node in pool.nodes:
            match node.kind:
                case "is":
                    found.append(self.chosen(node.decision, node.candidates))
                case "has":
                    found.append(self.picked(node.decision, node.element))
                case _:
                    found.append(joint(node.kind == "all", (found[c] for c in node.children)))
        return found

    def chosen(self, decision: str, candidates: Iterable[int]) -> Event:
        """The event that a decision takes one of these candidates."""
        slot = self.of_decision.get(decision)
        return slot is not None and self.takes(slot, {c + slot.absent for c in candidates})

    def picked(self, decision: str, element: int) -> Event:
        """The event that a subset decision picks an element."""
        slot = self.of_element.get((decision, element))
        return slot is None or self.takes(slot, set(range(slot.absent, slot.size)))

    def takes(self, slot: Slot, candidates: set[int]) -> Event:
        if slot.id in self.settled:
            return self.settled[slot.id] in candidates
        return Atom(slot.id, frozenset(candidates))

    def expected(self, event: Event, amount: Dim) -> Any:
        """The expectation of ``amount`` where the event occurs; nothing where it mentions what is not there."""
        mentioned = (self.of_decision.get(s.name) for s in symbols(amount) if s.part is None)
        if event is False or any(slot and self.settled.get(slot.id, 0) is None for slot in mentioned):
            return 0.0
        if isinstance(amount, int):
            return self.distribution.probability(event) * float(amount)
        if any(s.part is not None for s in amount.symbols):
            return reduce(add, (self.with_presence(event, m, c) for m, c in amount.terms), 0.0)
        slots = self.distribution.slots(event)
        for symbol in sorted(amount.symbols, key=lambda s: s.name):
            if symbol.name in self.sizes and symbol.name not in self.table.by_id:
                return self.expected(event, _set(amount, symbol, self.sizes[symbol.name]))
            slot = self.of_decision.get(symbol.name)
            if slot is None or slot.id in slots or slot.id in self.settled or not _plain(amount, symbol):
                cases = self.cases(event, symbol).items()
                parts = (weight * self.expected(left, _set(amount, symbol, n)) for (left, n), weight in cases)
                return reduce(add, parts, 0.0)
        moments = (self.moments(monomial) * float(coefficient) for monomial, coefficient in amount.terms)
        return self.distribution.probability(event) * reduce(add, moments, 0.0)

    def with_presence(self, event: Event, monomial: Monomial, coefficient: Number) -> Any:
        """The expectation of one term in which presence occurs: a factor that is 0 or 1 is part of the event."""
        factors = [(a, power) for a, power in monomial if not (isinstance(a, Symbol) and a.part is not None)]
        present = [self.holds(a) for a, _ in monomial if isinstance(a, Symbol) and a.part is not None]
        joined = joint(True, [event, *present])
        rest = Poly(((tuple(factors), coefficient),)) if factors else _constant(coefficient)
        open_ = next((s for a, _ in factors if not isinstance(a, Symbol) for s in _presences(a)), None)
        return self.expected(joined, rest) if open_ is None else self.told_apart(joined, rest, open_)

    def told_apart(self, event: Event, amount: Dim, symbol: Symbol) -> Any:
        """The expectation by the candidates of the slot that settles a presence, which then settle all of its slot."""
        key = event, amount
        if event is False:
            return 0.0
        if key not in self._known:
            slot = self.slot_of(symbol)
            own = [s for s in symbols(amount) if s.part is not None and self.slot_of(s) is slot]
            total: Any = 0.0
            for k, weight in self.outcomes(slot):
                values = {s: int(k is not None and k in self.places(s)) for s in own}
                left = event if k is None else self.after(event, slot, k)
                total = total + weight * self.expected(left, settled(amount, values))
            self._known[key] = total
        return self._known[key]

    def outcomes(self, slot: Slot) -> list[tuple[int | None, Any]]:
        """The candidates that a slot may take, with their weights; ``None`` where nothing of it is there."""
        if slot.id in self.settled:
            return [(self.settled[slot.id], 1.0)]
        return [(k, self.weight(slot, k)) for k in range(slot.size)]

    def slot_of(self, symbol: Symbol) -> Slot:
        """The slot that settles a presence; one of its own where nothing relaxes it."""
        if self.table.by_id[symbol.name].kind != "subset":
            return self.of_decision[symbol.name]
        return self.of_element.get((symbol.name, symbol.part or 0), _ALWAYS)

    def places(self, symbol: Symbol) -> set[int]:
        """The candidates of its slot that make a presence hold."""
        slot = self.slot_of(symbol)
        if self.table.by_id[symbol.name].kind == "subset":
            return set(range(slot.absent, slot.size))
        return {(symbol.part or 0) + slot.absent}

    def holds(self, symbol: Symbol) -> Event:
        """The event that a presence holds."""
        slot = self.slot_of(symbol)
        return True if not slot.id else self.takes(slot, self.places(symbol))

    def cases(self, event: Event, symbol: Symbol) -> _Cases:
        """What a symbol may be: the number of a decision's candidate, or how many elements of a pick are present."""
        decision = self.table.by_id[symbol.name]
        if decision.kind != "subset":
            slot = self.of_decision[decision.id]
            own: _Cases = {}
            for k in range(slot.absent, slot.size):
                _put(own, (self.after(event, slot, k), number(decision, k - slot.absent)), self.weight(slot, k))
            return own
        cases: _Cases = {(event, 0): 1.0}
        for element in range(decision.size):
            slot_of = self.of_element.get((decision.id, element), Slot("", ("present",)))
            more: _Cases = {}
            for (left, count), weight in cases.items():
                for k in range(slot_of.size):
                    key = (self.after(left, slot_of, k), count + (k >= slot_of.absent))
                    _put(more, key, weight * self.weight(slot_of, k))
                if self.settled.get(slot_of.id, 0) is None:
                    _put(more, (left, count), weight)
            cases = more
        return cases

    def after(self, event: Event, slot: Slot, candidate: int) -> Event:
        return event if slot.id in self.settled or not slot.id else given(event, slot.id, candidate)

    def weight(self, slot: Slot, candidate: int) -> Any:
        return self.distribution.weights[slot.id][candidate] if slot.id else 1.0

    def moments(self, monomial: Monomial) -> Any:
        """The expectation of a product of powers of independent symbols."""
        factors: list[Any] = []
        for symbol, power in monomial:
            assert isinstance(symbol, Symbol)
            decision, slot = self.table.by_id[symbol.name], self.of_decision[symbol.name]
            present = range(slot.absent, slot.size)
            powers = (self.weight(slot, k) * float(number(decision, k - slot.absent) ** power) for k in present)
            factors.append(reduce(add, powers, 0.0))
        return reduce(mul, factors, 1.0)


def _presences(atom: Apply | Cases) -> list[Symbol]:
    """The presence in an opaque atom, in order."""
    found = atom.symbols if isinstance(atom, Cases) else frozenset().union(*map(symbols, atom.args))
    return sorted((s for s in found if s.part is not None), key=order_of)


def _plain(amount: Poly, symbol: Symbol) -> bool:
    """Whether a symbol occurs in powers only, never inside an opaque function."""
    atoms = (atom for monomial, _ in amount.terms for atom, _ in monomial)
    return not any(isinstance(a, Apply) and any(symbol in symbols(d) for d in a.args) for a in atoms)


def _set(amount: Poly, symbol: Symbol, value: Number) -> Dim:
    """The amount with a symbol replaced by a number."""
    total: Dim = 0
    for monomial, coefficient in amount.terms:
        factors = substitute(Poly(((monomial, 1),)), lambda s: _constant(value) if s == symbol else poly(s))
        total = total + factors * _constant(coefficient)
    return total


def _constant(value: Number) -> Dim:
    return value if isinstance(value, int) else Poly((((), value),))


def _put(cases: _Cases, key: tuple[Event, Number], weight: Any) -> None:
    cases[key] = cases[key] + weight if key in cases else weight
