"""The cost expected under a factorised distribution: each active decision by itself, as architectures are drawn.

Beside :func:`spacec.space.cost.expected_cost`, which is about the masks of a supernet's slots: here every decision
that is asked takes a candidate by its own probabilities, a subset keeps its bounds, and what is not asked adds
nothing. Exact; constraints are not looked at. Numbers may be tensors, whose gradients flow through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import mul
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import All, Cond, Has, Is
from spacec.ir.dims import Dim, Symbol, symbols
from spacec.space.cost import check_sizes, compiled_cost
from spacec.space.decisions import Decision, DecisionTable, Slot
from spacec.space.events import Distribution, Event, joint
from spacec.space.factorised import Factorised, Probabilities, factorised
from spacec.space.relaxation import Relaxation
from spacec.space.values import values

MOST_SUBSETS = 5_000
"""Subsets of a decision with bounds that are told apart."""


def mean_cost(
    table: DecisionTable, name: str, probabilities: Probabilities | None = None, sizes: Mapping[str, int] | None = None
) -> Any:
    """The cost expected where every active decision is drawn by its ``probabilities``, by id; uniform without.

    Probabilities are those of the candidates in order, or of the elements of a subset: coins, on the condition
    that its bounds are met (:mod:`spacec.space.factorised`). Raises :class:`SpacecError` (E0512) as costs do, E0607
    where probabilities do not fit, E0510 where a subset with bounds has too many values.
    """
    check_sizes(table, name, sizes or {})
    compiled = compiled_cost(table, name)
    drawn = _Drawn(table, factorised(table, probabilities, exact=False), sizes or {})
    events = drawn.events(compiled.pool)
    total: Any = 0.0
    for place, constant, polys in compiled.groups:
        if constant:
            total = total + drawn.distribution.probability(events[place]) * float(constant)
        for amount in polys:
            total = total + drawn.expected(drawn.asked(events[place], amount), amount)
    return total


class _Drawn(Relaxation):
    """Decisions as slots of their own, which hold only where they are asked."""

    def __init__(self, table: DecisionTable, chances: Factorised, sizes: Mapping[str, int]) -> None:
        self.table, self.sizes = table, sizes
        self.settled: dict[str, int | None] = {}
        self._known: dict[tuple[Event, Dim], Any] = {}
        self.of_decision = {}
        self.of_element = {}
        self.subsets: dict[str, list[tuple[int, ...]]] = {}
        """Of subset decisions whose elements depend on each other, every value."""
        self.slots_of_subsets: dict[str, Slot] = {}
        self._active: dict[str, Event] = {}
        weights: dict[str, tuple[Any, ...]] = {}
        for d in table.decisions:
            vector = chances.vectors[d.id]
            if d.kind != "subset":
                self.of_decision[d.id] = Slot(d.id, d.labels, d.id)
                weights[d.id] = vector
            elif d.id in chances.bounded:
                weights[d.id] = self.bounded(d, vector, chances.bounded[d.id])
            else:
                for e, coin in enumerate(vector):
                    slot = Slot(f"{d.id}#{e}", ("absent", "present"), None, d.id, e, True)
                    self.of_element[d.id, e] = slot
                    weights[slot.id] = (1 - coin, coin)
        self.distribution = Distribution(weights)

    def bounded(self, d: Decision, vector: tuple[Any, ...], met: Any) -> tuple[Any, ...]:
        """The probability of each subset of a decision whose bounds bind."""
        if d.cardinality > MOST_SUBSETS:
            headline = f"{d.id} has {d.cardinality:,} subsets, too many to average over"
            raise SpacecError(Diagnostic("E0510", headline, d.span))
        subsets = self.subsets[d.id] = [v for v in values(d) if isinstance(v, tuple)]
        self.slots_of_subsets[d.id] = Slot(d.id, tuple(map(str, subsets)))
        sides = [(1 - coin, coin) for coin in vector]
        return tuple(reduce(mul, (sides[e][e in s] for e in range(d.size)), 1.0) / met for s in subsets)

    def active(self, name: str) -> Event:
        """The event that a decision is asked."""
        if name not in self._active:
            self._active[name] = self.event(self.table.by_id[name].active)
        return self._active[name]

    def event(self, condition: Cond) -> Event:
        match condition:
            case Is():
                return self.chosen(str(condition.decision), condition.candidates)
            case Has():
                return self.picked(str(condition.decision), condition.element)
            case _:
                return joint(isinstance(condition, All), map(self.event, condition.parts))

    def asked(self, event: Event, amount: Dim) -> Event:
        """The event with that of every size in an amount: it counts only where all of them are decided."""
        named = sorted({s.name for s in symbols(amount) if s.part is None and s.name in self.table.by_id})
        return joint(True, [event, *map(self.active, named)])

    def chosen(self, decision: str, candidates: Iterable[int]) -> Event:
        if decision not in self.of_decision:
            return False
        return joint(True, [super().chosen(decision, candidates), self.active(decision)])

    def picked(self, decision: str, element: int) -> Event:
        known = self.table.by_id.get(decision)
        if known is None or known.kind != "subset" or element >= known.size:
            return False
        if decision not in self.subsets:
            return joint(True, [super().picked(decision, element), self.active(decision)])
        slot = self.slots_of_subsets[decision]
        return joint(True, [self.takes(slot, self.containing(decision, element)), self.active(decision)])

    def containing(self, decision: str, element: int) -> set[int]:
        return {k for k, subset in enumerate(self.subsets[decision]) if element in subset}

    def slot_of(self, symbol: Symbol) -> Slot:
        return self.slots_of_subsets[symbol.name] if symbol.name in self.subsets else super().slot_of(symbol)

    def places(self, symbol: Symbol) -> set[int]:
        if symbol.name not in self.subsets:
            return super().places(symbol)
        return self.containing(symbol.name, symbol.part or 0)

    def holds(self, symbol: Symbol) -> Event:
        return joint(True, [super().holds(symbol), self.active(symbol.name)])

    def cases(self, event: Event, symbol: Symbol) -> dict[tuple[Event, Any], Any]:
        if symbol.name not in self.subsets:
            return super().cases(event, symbol)
        slot = self.slots_of_subsets[symbol.name]
        found: dict[tuple[Event, Any], Any] = {}
        for k, subset in enumerate(self.subsets[symbol.name]):
            key = self.after(event, slot, k), len(subset)
            found[key] = found.get(key, 0.0) + self.weight(slot, k)
        return found
