"""Probabilities of conditions when slots take their candidates independently.

An event is a condition over slots. Its probability is exact: parts without a common slot are
independent, parts that exclude each other add up, others are told apart by the candidates of a slot that they
share. Weights are whatever
can be added and multiplied with each other and with floats, so tensors pass through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add, mul
from typing import Any


@dataclass(frozen=True)
class Atom:
    """The slot takes one of these candidates."""

    slot: str
    candidates: frozenset[int]


@dataclass(frozen=True)
class Joint:
    """All (``conjunction``) or any of two or more parts; atoms among them have different slots."""

    conjunction: bool
    parts: frozenset[Event]


Event = bool | Atom | Joint


def joint(conjunction: bool, parts: Iterable[Event]) -> Event:
    """The simplest event that is all, or any, of the parts."""
    atoms: dict[str, frozenset[int]] = {}
    rest: set[Event] = set()
    queue = list(parts)
    while queue:
        part = queue.pop()
        if isinstance(part, bool):
            if part != conjunction:
                return part
        elif isinstance(part, Atom):
            known = atoms.get(part.slot, part.candidates)
            atoms[part.slot] = known & part.candidates if conjunction else known | part.candidates
        elif part.conjunction == conjunction:
            queue.extend(part.parts)
        else:
            rest.add(part)
    if conjunction and not all(atoms.values()):
        return False
    rest |= {Atom(slot, candidates) for slot, candidates in atoms.items()}
    if len(rest) < 2:
        return next(iter(rest)) if rest else conjunction
    return Joint(conjunction, frozenset(rest))


def given(event: Event, slot: str, candidate: int) -> Event:
    """The event once a slot has taken a candidate."""
    match event:
        case Atom():
            return candidate in event.candidates if event.slot == slot else event
        case Joint():
            return joint(event.conjunction, (given(p, slot, candidate) for p in event.parts))
        case _:
            return event


@dataclass
class Distribution:
    """Independent slots with their weights, which are taken to sum to one."""

    weights: Mapping[str, Sequence[Any]]
    _known: dict[Event, Any] = field(default_factory=dict)
    _slots: dict[Event, frozenset[str]] = field(default_factory=dict)
    _apart: dict[tuple[Event, Event], bool] = field(default_factory=dict)

    def probability(self, event: Event) -> Any:
        """How probable the event is."""
        if isinstance(event, bool):
            return float(event)
        if event not in self._known:
            self._known[event] = self._atom(event) if isinstance(event, Atom) else self._joint(event)
        return self._known[event]

    def slots(self, event: Event) -> frozenset[str]:
        """The slots that an event depends on."""
        if isinstance(event, bool):
            return frozenset()
        if event not in self._slots:
            own = frozenset((event.slot,)) if isinstance(event, Atom) else union(map(self.slots, event.parts))
            self._slots[event] = own
        return self._slots[event]

    def over(self, slot: str, candidates: Iterable[int], value: Callable[[int], Any]) -> Any:
        """The weighted sum of ``value`` over candidates of a slot."""
        return reduce(add, (self.weights[slot][k] * value(k) for k in candidates), 0.0)

    def _atom(self, event: Atom) -> Any:
        return reduce(add, (self.weights[event.slot][k] for k in sorted(event.candidates)), 0.0)

    def _joint(self, event: Joint) -> Any:
        groups = self._independent(event)
        if len(groups) > 1:
            chances = [self.probability(joint(event.conjunction, g)) for g in groups]
            if event.conjunction:
                return reduce(mul, chances)
            return 1.0 - reduce(mul, (1.0 - c for c in chances))
        if not event.conjunction and self._all_apart(event.parts):
            return reduce(add, (self.probability(p) for p in sorted(event.parts, key=self._order)))
        shared = Counter(slot for part in event.parts for slot in self.slots(part))
        slot = min(shared, key=lambda s: (-shared[s], s))
        return self._told_apart(event, slot)

    def _told_apart(self, event: Joint, slot: str) -> Any:
        """By the candidates of one slot, those of one consequence together."""
        outcomes: dict[Event, list[int]] = {}
        for k in range(len(self.weights[slot])):
            outcomes.setdefault(given(event, slot, k), []).append(k)
        cases = ((Atom(slot, frozenset(ks)), left) for left, ks in outcomes.items() if left is not False)
        return reduce(add, (self._atom(case) * self.probability(left) for case, left in cases), 0.0)

    def _order(self, event: Event) -> tuple[list[str], list[tuple[str, list[int]]]]:
        """A key that does not depend on hashes, so that sums round alike in every run."""
        atoms = [p for p in _parts(event) if isinstance(p, Atom)]
        return sorted(self.slots(event)), sorted((a.slot, sorted(a.candidates)) for a in atoms)

    def _all_apart(self, parts: Iterable[Event]) -> bool:
        """Whether at most one of the parts occurs, as far as that is seen from what they ask of single slots."""
        known = list(parts)
        return all(self.apart(a, b) for k, a in enumerate(known) for b in known[:k])

    def apart(self, a: Event, b: Event) -> bool:
        """Whether two events are seen to exclude each other."""
        if isinstance(a, bool) or isinstance(b, bool):
            return a is False or b is False
        if (a, b) not in self._apart:
            self._apart[a, b] = self._seen_apart(a, b)
        return self._apart[a, b]

    def _seen_apart(self, a: Atom | Joint, b: Atom | Joint) -> bool:
        if isinstance(a, Joint) and not a.conjunction:
            return all(self.apart(p, b) for p in a.parts)
        if isinstance(b, Joint) and not b.conjunction:
            return all(self.apart(a, p) for p in b.parts)
        atoms = {p.slot: p.candidates for p in _parts(a) if isinstance(p, Atom)}
        asked = (p for p in _parts(b) if isinstance(p, Atom))
        if any(not p.candidates & atoms.get(p.slot, p.candidates) for p in asked):
            return True
        inner_a = [p for p in _parts(a) if isinstance(p, Joint)]
        inner_b = [p for p in _parts(b) if isinstance(p, Joint)]
        return (
            any(self.apart(p, q) for p in inner_a for q in inner_b)
            or any(self.apart(p, b) for p in inner_a)
            or any(self.apart(a, q) for q in inner_b)
        )

    def _independent(self, event: Joint) -> list[list[Event]]:
        """The parts in groups without a common slot, in a stable order."""
        groups: list[tuple[frozenset[str], list[Event]]] = []
        for part in sorted(event.parts, key=self._order):
            slots, members = self.slots(part), [part]
            apart = [g for g in groups if not g[0] & slots]
            for own, others in groups:
                if own & slots:
                    slots, members = slots | own, others + members
            groups = [*apart, (slots, members)]
        return [members for _, members in groups]


def _parts(event: Event) -> Iterable[Event]:
    return event.parts if isinstance(event, Joint) else (event,)


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)
