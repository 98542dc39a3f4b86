"""Decisions as Optuna's parameters, and back.

==================================  =======================================================================
decision                            parameter
==================================  =======================================================================
operation                           categorical over its labels (or, by option, the integer of its place)
value, depth: numbers               integer with a step where they have one, else the integer of their place
subset with at most 64 values       categorical over them, written ``0+2``
subset with more                    one categorical ``yes``/``no`` for each element
==================================  =======================================================================

Only active decisions are suggested, in the table's order: a decision's condition is over earlier ones. What is
suggested may break a constraint (``where``), leave an output absent, or pick too many elements; :meth:`repaired` is the
valid architecture that agrees with most of the decisions, found on the decision diagram.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from spacec.search.space_like import SpaceLike
from spacec.space.activity import walk
from spacec.space.algebra import algebra
from spacec.space.architecture import EMPTY, Architecture, architecture_of, spelling_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision
from spacec.space.diagram import TooManyStates
from spacec.space.schedule import Step
from spacec.space.values import Value, is_value, position_of, value_at, values
from spacec.space.variation import agrees

MOST = 64
"""Values of a subset decision that are one categorical parameter."""
YES, NO = "yes", "no"


class Parameters:
    """Of one space. ``ordinal``: operations are integers too, for samplers that know nothing else."""

    def __init__(self, space: SpaceLike, ordinal: bool = False) -> None:
        self.space = space
        self.table = space.table
        self.distributions: dict[str, dict[str, BaseDistribution]] = {
            d.id: self._distributions(d, ordinal) for d in self.table.decisions
        }
        """Parameters of a decision by name; none of one that has a single value."""

    def suggest(self, trial: optuna.Trial) -> dict[str, Value]:
        """Values of the active decisions, as the trial's sampler suggests them; perhaps not valid."""

        def choose(decision: Decision) -> Value:
            told = {name: _suggested(trial, name, d) for name, d in self.distributions[decision.id].items()}
            return self._value(decision, told)

        return walk(self.table, choose)

    def params(self, arch: Architecture) -> dict[str, Any]:
        """The parameters whose suggestion is ``arch``."""
        found: dict[str, Any] = {}
        for name, value in arch.choices:
            found |= self._told(self.table.by_id[name], value)
        return found

    def all_of(self, arch: Architecture) -> dict[str, BaseDistribution]:
        """The distributions of :meth:`params`."""
        return {name: d for decision in arch for name, d in self.distributions[decision].items()}

    def valid(self, chosen: Mapping[str, Value]) -> Architecture | None:
        """The architecture of these values, if they are one of the space."""
        fits = all(is_value(self.table.by_id[name], value) for name, value in chosen.items())
        return architecture_of(self.table, chosen) if fits and all_satisfied(self.table, chosen) else None

    def repaired(self, chosen: Mapping[str, Value], rng: Random) -> Architecture:
        """The valid architecture that agrees with most of ``chosen`` (of a subset, with most elements).

        Where the space has no decision diagram of bearable size, one drawn uniformly from ``rng``. Raises
        :class:`SpacecError` (E0511) where there is none.
        """

        def score(step: Step, outcome: int) -> float:
            return float(step.decision in chosen and agrees(step, outcome, chosen[step.decision]))

        try:
            exact = algebra(self.table)
        except TooManyStates:
            return self.space.sample(1, seed=rng.getrandbits(31))[0]
        if exact.total == 0:
            return self.space.sample(1)[0]  # says that there is none, and why
        return architecture_of(self.table, exact.best(score))

    def _distributions(self, decision: Decision, ordinal: bool) -> dict[str, BaseDistribution]:
        if decision.cardinality < 2:
            return {}
        if decision.kind == "subset" and decision.cardinality > MOST:
            return {f"{decision.id} has {e}": CategoricalDistribution((NO, YES)) for e in range(decision.size)}
        if decision.kind == "subset":
            return {decision.id: CategoricalDistribution(tuple(map(_token, values(decision))))}
        if (step := _step(decision)) is not None:
            return {decision.id: IntDistribution(decision.values[0], decision.values[-1], step=step)}  # type: ignore[arg-type]  # integers, as _step found
        if ordinal or _ascending(decision):
            return {decision.id: IntDistribution(0, decision.cardinality - 1)}
        return {decision.id: CategoricalDistribution(spelling_of(self.table).candidates[decision.id])}

    def _value(self, decision: Decision, told: Mapping[str, Any]) -> Value:
        if not told:
            return value_at(decision, 0)
        if len(told) > 1:
            return tuple(e for e, said in enumerate(told.values()) if said == YES)
        ((name, said),) = told.items()
        found = self.distributions[decision.id][name]
        if isinstance(found, CategoricalDistribution):
            return value_at(decision, found.choices.index(said))
        assert isinstance(found, IntDistribution)
        return (int(said) - found.low) // found.step

    def _told(self, decision: Decision, value: Value) -> dict[str, Any]:
        found = self.distributions[decision.id]
        if len(found) > 1:
            assert isinstance(value, tuple)
            return {name: YES if e in value else NO for e, name in enumerate(found)}
        told: dict[str, Any] = {}
        for name, d in found.items():
            place = position_of(decision, value)
            told[name] = d.choices[place] if isinstance(d, CategoricalDistribution) else d.low + place * d.step  # type: ignore[attr-defined]  # the other kind is IntDistribution
        return told


def _suggested(trial: optuna.Trial, name: str, found: BaseDistribution) -> Any:
    if isinstance(found, CategoricalDistribution):
        return trial.suggest_categorical(name, found.choices)
    assert isinstance(found, IntDistribution)
    return trial.suggest_int(name, found.low, found.high, step=found.step)


def _token(value: Value) -> str:
    assert isinstance(value, tuple)
    return "+".join(map(str, value)) or EMPTY


def _ascending(decision: Decision) -> bool:
    numbers = [v for v in decision.values if isinstance(v, int | float) and not isinstance(v, bool)]
    return len(numbers) == len(decision.labels) and all(a < b for a, b in pairwise(numbers))


def _step(decision: Decision) -> int | None:
    """The step between its values, where they are whole numbers a step apart."""
    numbers = [v for v in decision.values if isinstance(v, int)]
    steps = {b - a for a, b in pairwise(numbers)}
    return steps.pop() if _ascending(decision) and len(numbers) == len(decision.labels) and len(steps) == 1 else None
