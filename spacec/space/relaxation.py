"""Conditions and sizes of a space, seen through the masks of its slots."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import product
from operator import add, mul
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.dims import Atom as SizeAtom
from spacec.ir.dims import Dim, Monomial, Poly, Symbol, evaluate, poly, substitute, symbols
from spacec.space.activity import ConditionPool
from spacec.space.decisions import DecisionTable, Slot
from spacec.space.events import Atom, Distribution, Event, given, joint
from spacec.space.values import number


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
        weights: dict[str, Any] = {}
        for slot in (*self.of_decision.values(), *self.of_element.values()):
            mask = masks.get(slot.id, (1.0 / slot.size,) * slot.size)
            if mask is None or isinstance(mask, int):
                self.settled[slot.id] = mask
            elif len(mask) != slot.size:
                headline = f"{len(mask)} weights for the slot {slot.id}, which has {slot.size} candidates"
                raise SpacecError(Diagnostic("E0607", headline))
            weights[slot.id] = mask
        self.distribution = Distribution(weights)
