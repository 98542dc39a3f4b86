"""Switches under a mask: which candidates of a determined choice run, and with what weight.

Where every decision that its conditions mention has an index, exactly one candidate runs, as in the
stand-alone network. Otherwise each is weighed by the probability of its condition, slots taken to
be independent; at a one-hot mask that is the one that holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.ir.conditions import All, Any, Cond, Has, Is, decisions
from spacec.ir.flat import FlatGraph, FlatSwitch
from spacec.lower import errors
from spacec.lower.masks import Selection
from spacec.space.activity import ConditionPool
from spacec.space.decisions import DecisionTable
from spacec.space.events import Atom, Distribution, Event, joint
from spacec.space.values import Value


@dataclass(frozen=True, eq=False)
class Switches:
    """The switches of a graph, by node index."""

    nodes: Mapping[int, FlatSwitch]
    table: DecisionTable

    @staticmethod
    def of(flat: FlatGraph, table: DecisionTable) -> Switches:
        return Switches({i: n for i, n in enumerate(flat.nodes) if isinstance(n, FlatSwitch)}, table)

    @cached_property
    def slots(self) -> dict[str, str]:
        """Decision to slot, for all that a condition mentions."""
        mentioned = {str(d) for n in self.nodes.values() for c in n.conditions for d in decisions(c)}
        slots = {s.decision: s.id for s in self.table.slots if s.pick is None and s.decision is not None}
        return {d: slots.get(d, d) for d in sorted(mentioned)}

    def taken(self, chosen: Mapping[str, Value]) -> dict[int, tuple[int, ...]]:
        """What each switch takes in one architecture: one candidate, or none where its decisions are inactive."""
        pool = ConditionPool()
        places = {i: [pool.add(c) for c in n.conditions] for i, n in self.nodes.items()}
        truths: list[bool] = []
        pool.extend(truths, len(pool.nodes), chosen)
        return {i: tuple(k for k, p in enumerate(found) if truths[p]) for i, found in places.items()}

    def decided(self, selections: Mapping[tuple[str, str], Selection]) -> dict[str, Selection]:
        """The selection of every decision that a condition mentions.

        Raises :class:`SpacecError` (E0904) where the instances of its slot have masks of their own.
        """
        found: dict[str, Selection] = {}
        wanted = {slot: decision for decision, slot in self.slots.items()}
        for (slot, _), selection in selections.items() if wanted else ():
            decision = wanted.get(slot)
            if decision is not None and found.setdefault(decision, selection) is not selection:
                headline = f"`{slot}` decides more than the candidates of one place, so its instances share one mask"
                raise errors.lowering_error(errors.MASK, headline)
        return found

    def read(self, decided: Mapping[str, Selection]) -> dict[int, Selection]:
        """The candidates that may run under a mask, and their probabilities where more than one may."""
        return _Reading(decided).read(self.nodes)


@dataclass
class _Reading:
    """One mask: the selections of the decisions that conditions mention."""

    of: Mapping[str, Selection]
    _events: dict[Cond, Event] = field(default_factory=dict)

    def read(self, nodes: Mapping[int, FlatSwitch]) -> dict[int, Selection]:
        known: dict[tuple[Cond, ...], Selection] = {}
        for node in nodes.values():
            if node.conditions not in known:
                known[node.conditions] = self._selection(node.conditions)
        return {i: known[n.conditions] for i, n in nodes.items()}

    def _selection(self, conditions: tuple[Cond, ...]) -> Selection:
        events = [self.event(c) for c in conditions]
        run = tuple(k for k, e in enumerate(events) if e is not False)
        if all(events[k] is True for k in run):
            return Selection(len(conditions), run)
        weights = torch.stack([self._probability(events[k]) for k in run])
        return Selection(len(conditions), run, weights)

    @cached_property
    def _distribution(self) -> Distribution:
        soft = {d: s for d, s in self.of.items() if s.weights is not None}
        return Distribution({d: s.vector(s.weights).unbind() for d, s in soft.items() if s.weights is not None})

    def _probability(self, event: Event) -> Tensor:
        found = self._distribution.probability(event)
        return found if isinstance(found, Tensor) else torch.tensor(float(found))

    def event(self, condition: Cond) -> Event:
        if condition not in self._events:
            self._events[condition] = self._event(condition)
        return self._events[condition]

    def _event(self, condition: Cond) -> Event:
        match condition:
            case Is():
                selection = self.of[str(condition.decision)]
                possible = condition.candidates.intersection(selection.run)
                if selection.weights is None or not possible:
                    return bool(possible)
                return Atom(str(condition.decision), frozenset(possible))
            case Has():
                raise AssertionError("a switch depends on values, not on what is picked")
            case All() | Any():
                return joint(isinstance(condition, All), map(self.event, condition.parts))


def fitted(value: Tensor, channels: int) -> Tensor:
    """``value`` with this many channels: those beyond are masked wherever the candidate counts, missing ones zero."""
    surplus = value.shape[1] - channels
    if surplus > 0:
        return value.narrow(1, 0, channels)
    return value if surplus == 0 else F.pad(value, [0, 0] * (value.dim() - 2) + [0, -surplus])
