"""A policy that decides each decision by itself.

Logits theta_d by decision d: an active decision takes candidate k with probability softmax(theta_d)_k; a subset picks
each element e by a coin of sigmoid(theta_de), given its bounds. Under constraints, on what is valid (the set V):

    log pi(a | V) = sum over active d of log pi(a_d) - log P(V)

P(V) and the gradient of its logarithm are exact, from the decision diagram of the space (:mod:`spacec.space.chances`).
Where the constraints couple too much for one, architectures are drawn by rejection and that term is left out, which
biases the gradient (Yang et al., TabNAS, NeurIPS 2022, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from spacec.diagnostics.model import SpacecError
from spacec.search.policies.policy import Policy
from spacec.search.seeds import generator
from spacec.space.activity import walk
from spacec.space.algebra import algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.chances import Chances
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable, Slot
from spacec.space.factorised import factorised, factors, own_chances
from spacec.space.sample import TRIES, UNCOUNTED, accepted, none_accepted
from spacec.space.schedule import Step
from spacec.space.values import Value

Logits = Mapping[str, Tensor]
"""By decision: one number per candidate, or per element of a subset; float64 leaves."""

_SMALLEST = 1e-300
"""Stands for a probability of zero where a logarithm is taken."""


class FactorisedPolicy(Policy):
    """The distribution of ``logits``, which may change between calls. ``exact``: P(V) is known."""

    def __init__(self, table: DecisionTable, logits: Logits) -> None:
        self.table = table
        self.logits = logits
        self.exact = _counted(table)
        self._known: tuple[tuple[int, ...], Chances] | None = None

    def parameters(self) -> list[Tensor]:
        return list(self.logits.values())

    def of_decisions(self) -> dict[str, list[float]]:
        """By decision: probabilities of its candidates, or of the coins of a subset's elements."""
        return {d.id: _probabilities(d, self.logits[d.id].detach()).tolist() for d in self.table.decisions}

    def probabilities(self) -> dict[str, list[float]]:
        """By mask slot, what its decisions give it by themselves, constraints apart."""
        distribution = factorised(self.table, self.of_decisions(), exact=False)
        own = {d.id: [float(p) for p in own_chances(d, distribution)] for d in self.table.decisions}
        return {slot.id: of_slot(slot, own) for slot in self.table.slots}

    def draw(self, rng: Random) -> Architecture:
        if self.exact:
            return self.chances.sample(1, rng.getrandbits(31))[0]
        return architecture_of(self.table, accepted(self.table, lambda: self._walked(rng)))

    def propose(self, rng: Random) -> Architecture:
        """An architecture drawn decision by decision, whatever the constraints say of it."""
        return architecture_of(self.table, self._walked(rng))

    def valid(self, arch: Architecture) -> bool:
        """Whether ``arch`` satisfies the constraints."""
        return all_satisfied(self.table, arch.values)

    def log_probability(self, arch: Architecture) -> Tensor:
        found = self.log_drawn(arch)
        return found - self.log_feasible() if self.exact and self.limited else found

    def log_drawn(self, arch: Architecture) -> Tensor:
        """log of the probability that ``arch`` is drawn, constraints apart: a scalar with gradient."""
        total = torch.zeros((), dtype=torch.float64)
        for d in self.table.decisions:
            if (value := arch.get(d.id)) is not None:
                total = total + self._log_chance(d, value)
        return total

    def log_feasible(self) -> Tensor:
        """log P(V), exactly: a scalar with gradient, which has no further derivative.

        Raises :class:`SpacecError` E0510 where it is not known (:attr:`exact`), E0511 where P(V) is 0.
        """
        found: Tensor = _LogFeasible.apply(self.chances, tuple(self.logits), *self.logits.values())  # type: ignore[no-untyped-call]  # torch's
        return found

    def entropy(self, arch: Architecture) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for d in self.table.decisions:
            if d.id in arch:
                total = total + self._own_entropy(d)
        return total

    def best(self) -> Architecture:
        """The most probable valid architecture; where P(V) is not known, the most probable of :data:`TRIES` draws."""
        if not self.exact:
            return self._best_drawn()
        distribution = self.chances.distribution

        def score(step: Step, outcome: int) -> float:
            return log(max(float(distribution.weights(step)[outcome]), _SMALLEST))

        return architecture_of(self.table, algebra(self.table).best(score))

    def state_dict(self) -> dict[str, Any]:
        return {name: t.detach().clone() for name, t in self.logits.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for name, t in self.logits.items():
                t.copy_(state[name])

    @property
    def limited(self) -> bool:
        """Whether anything that can be drawn may be invalid."""
        return bool(self.table.constraints or self.table.needs)

    @property
    def chances(self) -> Chances:
        """What the constraints make of it, as the logits are now."""
        versions = tuple(t._version for t in self.logits.values())
        if self._known is None or self._known[0] != versions:
            distribution = factorised(self.table, self.of_decisions(), exact=False)
            self._known = versions, Chances(self.table, distribution)
        return self._known[1]

    def _log_chance(self, decision: Decision, value: Value) -> Tensor:
        logits = self.logits[decision.id]
        if not isinstance(value, tuple):
            return F.log_softmax(logits, 0)[value]
        signs = torch.full_like(logits, -1.0).detach()
        signs[list(value)] = 1.0
        return F.logsigmoid(signs * logits).sum() + self._log_bounds(decision, value)

    def _log_bounds(self, decision: Decision, value: tuple[int, ...]) -> Tensor:
        """What a subset's bounds add to the logarithm of its coins: - log of the chance that they are met."""
        *_, over = factors(decision, value, self._of_tensors(decision))
        return torch.as_tensor(over, dtype=torch.float64).log()

    def _of_tensors(self, decision: Decision) -> Any:
        """The distribution whose vector of a subset decision carries the gradient."""
        return factorised(self.table, {decision.id: tuple(self.logits[decision.id].sigmoid())}, exact=False)

    def _own_entropy(self, decision: Decision) -> Tensor:
        """-E[log p] of one decision, constraints apart."""
        logits = self.logits[decision.id]
        if decision.kind != "subset":
            logs = F.log_softmax(logits, 0)
            return -(logs.exp() * logs).sum()
        if not decision.size:
            return torch.zeros((), dtype=torch.float64)
        distribution = self._of_tensors(decision)
        taken = torch.stack([torch.as_tensor(p) for p in own_chances(decision, distribution)])
        logs = taken * F.logsigmoid(logits) + (1 - taken) * F.logsigmoid(-logits)
        met = torch.as_tensor(distribution.bounded.get(decision.id, 1.0), dtype=torch.float64)
        return met.log() - logs.sum()

    def _walked(self, rng: Random) -> dict[str, Value]:
        given = self.of_decisions()

        def value(decision: Decision) -> Value:
            vector = given[decision.id]
            if decision.kind != "subset":
                return rng.choices(range(len(vector)), weights=vector)[0]
            for _ in range(TRIES):
                picked = tuple(e for e, p in enumerate(vector) if rng.random() < p)
                if decision.low <= len(picked) <= decision.high:
                    return picked
            raise SpacecError(none_accepted(self.table))

        return walk(self.table, value)

    def _best_drawn(self) -> Architecture:
        rng = Random(0)
        drawn = {self.draw(rng): None for _ in range(DRAWN)}
        with torch.no_grad():
            return max(drawn, key=lambda arch: float(self.log_drawn(arch)))


DRAWN = 1000
"""Draws whose most probable stands for the best where the constraints cannot be counted."""


def fresh_logits(table: DecisionTable, deviation: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Logits, normal around 0: nearly uniform."""
    return {
        d.id: (deviation * torch.randn(_length(d), generator=generator, dtype=torch.float64)).requires_grad_()
        for d in table.decisions
    }


def fresh_policy(table: DecisionTable, deviation: float, seed: int) -> FactorisedPolicy:
    """The policy that a search of this seed starts from, with :func:`fresh_logits`."""
    return FactorisedPolicy(table, fresh_logits(table, deviation, generator(seed, "controller")))


class _LogFeasible(Function):
    """log P(V) in the logits, whose gradient the diagram gives."""

    @staticmethod
    def forward(ctx: Any, chances: Chances, names: Sequence[str], *logits: Tensor) -> Tensor:
        probability = chances.probability
        gradient = chances.log_gradient  # raises where P(V) is 0
        ctx.gradient = tuple(torch.as_tensor(gradient[name], dtype=torch.float64) for name in names)
        return torch.tensor(log(probability), dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, *up: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(up[0] * g for g in ctx.gradient)


def _length(decision: Decision) -> int:
    return decision.size if decision.kind == "subset" else len(decision.labels)


def _probabilities(decision: Decision, logits: Tensor) -> Tensor:
    return logits.sigmoid() if decision.kind == "subset" else logits.softmax(0)


def of_slot(slot: Slot, given: Mapping[str, Sequence[float]]) -> list[float]:
    """Probabilities of a slot's candidates from those of the decisions that it relaxes."""
    if slot.edges:
        return [1.0 / slot.size] * slot.size
    own = given[slot.decision] if slot.decision is not None else [1.0]
    if not slot.absent:
        return list(own)
    coin = given[slot.pick][slot.element] if slot.pick is not None else 1.0
    return [1.0 - coin, *(coin * p for p in own)]


def _counted(table: DecisionTable) -> bool:
    try:
        algebra(table)
    except SpacecError as error:
        if error.diagnostics[0].code in UNCOUNTED:
            return False
        raise
    return True
