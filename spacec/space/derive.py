"""From slot probabilities to an architecture (language rule 7), and from an architecture to slot indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, log

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.activity import walk
from spacec.space.algebra import algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable, Slot
from spacec.space.sample import no_architecture
from spacec.space.schedule import IN, Step
from spacec.space.values import Value

_SMALLEST = 1e-300
"""Stands for a probability of zero where a logarithm is taken."""


def slots_of(table: DecisionTable, arch: Architecture) -> dict[str, int | None]:
    """The candidate index per slot that selects an architecture in the supernet.

    ``None`` where the slot's decision or pick is inactive, or its element is not picked and the
    slot has no *absent*; and for edge weights, which count in mixtures only.
    """
    found: dict[str, int | None] = {}
    for slot in table.slots:
        if slot.edges:
            found[slot.id] = None
            continue
        own = arch.get(slot.decision) if slot.decision is not None else 0
        if slot.pick is not None:
            picked = arch.get(slot.pick)
            if not isinstance(picked, tuple):
                found[slot.id] = None
                continue
            if slot.element not in picked:
                found[slot.id] = 0 if slot.absent else None
                continue
        found[slot.id] = own + slot.absent if isinstance(own, int) else None
    return found


def derive(table: DecisionTable, probabilities: Mapping[str, Sequence[float]]) -> Architecture:
    """The architecture that slot probabilities stand for.

    A decision takes its most probable present candidate. A pick ranks its elements by their best
    present probability, times their edge weight where the pick has such: exactly k keeps the first
    k; a range keeps those where present beats absent, then clips. Ties go to the first in order.

    If the constraints forbid the outcome, the result is the valid architecture with the largest
    sum of logarithms: of the chosen candidates of its active decisions, of the edge weights of
    picked elements, of the best present probability for those whose body is no choice, and in a
    range of absent for an element not picked (found exactly, on the decision diagram). Raises
    :class:`SpacecError`: E0607 where the probabilities do not fit the slots, E0511 or E0510 where
    no valid architecture is found.
    """
    chances = _Chances.of(table, probabilities)
    chosen = walk(table, chances.choose)
    if not all_satisfied(table, chosen):
        exact = algebra(table)
        if exact.total == 0:
            raise SpacecError(no_architecture(table, "no architecture satisfies the constraints"))
        chosen = exact.best(chances.score(table))
    return architecture_of(table, chosen)


@dataclass(frozen=True)
class _Element:
    """Probabilities of one element of a pick: its best present candidate, and absent (0 without it)."""

    present: float
    absent: float
    has_body: bool
    """Its body is one choice, whose decision carries the probability of the candidate."""
    weight: float = 1.0
    """Of its edge."""


@dataclass(frozen=True)
class _Chances:
    """Probabilities by decision: of the present candidates, or of the elements of a pick."""

    candidates: Mapping[str, tuple[float, ...]]
    elements: Mapping[str, tuple[_Element, ...]]

    @staticmethod
    def of(table: DecisionTable, probabilities: Mapping[str, Sequence[float]]) -> _Chances:
        candidates: dict[str, tuple[float, ...]] = {}
        elements: dict[str, dict[int, _Element]] = {}
        weights: dict[str, tuple[float, ...]] = {}
        for slot in table.slots:
            given = _checked(slot, probabilities.get(slot.id))
            if slot.edges:
                if slot.weighs is not None:
                    weights[slot.weighs] = given
                continue
            present = given[slot.absent :]
            if slot.decision is not None:
                candidates[slot.decision] = present
            if slot.pick is not None:
                element = _Element(max(present), given[0] if slot.absent else 0.0, slot.decision is not None)
                elements.setdefault(slot.pick, {})[slot.element] = element
        default = _Element(1.0, 0.0, False)
        picks = {
            d.id: tuple(
                replace(elements.get(d.id, {}).get(e, default), weight=weights[d.id][e] if d.id in weights else 1.0)
                for e in range(d.size)
            )
            for d in table.decisions
            if d.kind == "subset"
        }
        return _Chances(candidates, picks)

    def choose(self, decision: Decision) -> Value:
        if decision.kind == "subset":
            return self.pick(decision)
        present = self.of_decision(decision)
        return max(range(len(present)), key=present.__getitem__)

    def of_decision(self, decision: Decision) -> tuple[float, ...]:
        """Probabilities of its candidates; all alike where no slot relaxes it."""
        return self.candidates.get(decision.id, (1.0,) * len(decision.labels))

    def pick(self, decision: Decision) -> tuple[int, ...]:
        elements = self.elements[decision.id]
        kept = {e for e in range(decision.size) if elements[e].present > elements[e].absent}
        exact = decision.low == decision.high
        rates = [e.present * e.weight for e in elements]
        ranked = sorted(range(decision.size), key=lambda e: (not exact and e not in kept, -rates[e], e))
        return tuple(sorted(ranked[: min(max(len(kept), decision.low), decision.high)]))

    def score(self, table: DecisionTable) -> Callable[[Step, int], float]:
        """Logarithms per outcome of a step of the decision diagram."""
        logs = {name: tuple(log(max(p, _SMALLEST)) for p in present) for name, present in self.candidates.items()}
        ranges = {d.id for d in table.decisions if d.kind == "subset" and d.low < d.high}

        def score(step: Step, outcome: int) -> float:
            if step.element is None:
                value = step.domain[outcome]
                return logs[step.decision][value] if isinstance(value, int) and step.decision in logs else 0.0
            element = self.elements[step.decision][step.element]
            if outcome == IN:
                edge = log(max(element.weight, _SMALLEST))
                return edge if element.has_body else edge + log(max(element.present, _SMALLEST))
            return log(max(element.absent, _SMALLEST)) if step.decision in ranges else 0.0

        return score


def _checked(slot: Slot, given: Sequence[float] | None) -> tuple[float, ...]:
    if given is None:
        raise SpacecError(Diagnostic("E0607", f"no probabilities for the slot {slot.id}"))
    numbers = tuple(float(p) for p in given)
    if len(numbers) != slot.size:
        headline = f"{len(numbers)} probabilities for the slot {slot.id}, which has {slot.size} candidates"
        raise SpacecError(Diagnostic("E0607", headline, notes=(f"its candidates are {', '.join(slot.labels)}",)))
    if not all(isfinite(p) and p >= 0 for p in numbers):
        raise SpacecError(Diagnostic("E0607", f"the probabilities of the slot {slot.id} are not finite and positive"))
    return numbers
