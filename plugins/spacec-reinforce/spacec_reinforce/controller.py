"""A distribution over the valid architectures of a space that decides each decision by itself.

Logits theta_d by decision d: an active decision takes candidate k with probability softmax(theta_d)_k; a subset picks
each element e by a coin of sigmoid(theta_de), given its bounds. Under constraints, on what is valid (the set V):

    log pi(a | V) = sum over active d of log pi(a_d) - log P(V)

:meth:`Controller.score` is its exact gradient in the logits, the term of log P(V) included, from the decision diagram
of the space (:mod:`spacec.space.chances`). Where the constraints couple too much for one, architectures are drawn by
rejection and that term is left out, which biases the gradient (Yang et al., TabNAS, NeurIPS 2022, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import torch
from torch import Tensor

from spacec.diagnostics.model import SpacecError
from spacec.space.activity import walk
from spacec.space.algebra import algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.chances import Chances
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.factorised import Factorised, factorised, own_chances
from spacec.space.sample import UNCOUNTED, accepted
from spacec.space.values import Value

Logits = dict[str, Tensor]
"""By decision: one number per candidate, or per element of a subset; float64."""


class Controller:
    """The distribution of ``logits``, which may change between calls. ``exact``: the term of log P(V) is known."""

    def __init__(self, table: DecisionTable, logits: Logits) -> None:
        self.table = table
        self.logits = logits
        self.exact = _counted(table)

    def probabilities(self) -> dict[str, list[float]]:
        """By decision: of its candidates, or of the coins of a subset's elements."""
        return {d.id: _probabilities(d, self.logits[d.id]).tolist() for d in self.table.decisions}

    def draw(self, rng: Random) -> Architecture:
        """A valid architecture, by its probability."""
        distribution = factorised(self.table, self.probabilities(), exact=False)
        if self.exact:
            return Chances(self.table, distribution).sample(1, rng.getrandbits(31))[0]
        return _rejected(self.table, distribution, rng)

    def score(self, arch: Architecture) -> Logits:
        """The gradient of log pi(arch | V) in the logits, by decision."""
        distribution = factorised(self.table, self.probabilities(), exact=False)
        if self.exact:
            found: Mapping[str, object] = Chances(self.table, distribution).score(arch)
        else:
            found = {d.id: _own_score(d, arch.get(d.id), distribution) for d in self.table.decisions}
        return {name: torch.as_tensor(vector, dtype=torch.float64) for name, vector in found.items()}


def fresh_logits(table: DecisionTable, deviation: float, generator: torch.Generator) -> Logits:
    """Normal around 0: nearly uniform."""
    return {
        d.id: deviation * torch.randn(_length(d), generator=generator, dtype=torch.float64) for d in table.decisions
    }


def _length(decision: Decision) -> int:
    return decision.size if decision.kind == "subset" else len(decision.labels)


def _probabilities(decision: Decision, logits: Tensor) -> Tensor:
    return logits.sigmoid() if decision.kind == "subset" else logits.softmax(0)


def _counted(table: DecisionTable) -> bool:
    try:
        algebra(table)
    except SpacecError as error:
        if error.diagnostics[0].code in UNCOUNTED:
            return False
        raise
    return True


def _own_score(decision: Decision, value: Value | None, distribution: Factorised) -> list[float]:
    chances = [float(p) for p in own_chances(decision, distribution)]
    if value is None:
        return [0.0] * len(chances)
    taken = set(value) if isinstance(value, tuple) else {value}
    return [float(k in taken) - p for k, p in enumerate(chances)]


def _rejected(table: DecisionTable, distribution: Factorised, rng: Random) -> Architecture:
    """Decisions drawn one by one, until all constraints hold; E0511 where they never do."""

    def value(decision: Decision) -> Value:
        vector = [float(p) for p in distribution.vectors[decision.id]]
        if decision.kind != "subset":
            return rng.choices(range(len(vector)), weights=vector)[0]
        while True:
            picked = tuple(e for e, p in enumerate(vector) if rng.random() < p)
            if decision.low <= len(picked) <= decision.high:
                return picked

    return architecture_of(table, accepted(table, lambda: walk(table, value)))
