"""Paths drawn by given probabilities: every decision by itself, among the valid architectures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spacec.search.policies.factorised import FactorisedPolicy
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable


def favoured(table: DecisionTable, prior: Sequence[float]) -> FactorisedPolicy:
    """``prior`` for each choice between as many candidates; what else is decided is uniform."""
    rates = torch.tensor(prior, dtype=torch.float64)

    def logits(decision: Decision) -> Tensor:
        return (rates / rates.sum()).log() if _fits(decision, prior) else _uniform(decision)

    return FactorisedPolicy(table, {d.id: logits(d) for d in table.decisions})


def favours(table: DecisionTable, prior: Sequence[float]) -> bool:
    """Whether ``prior`` is of any choice."""
    return any(_fits(decision, prior) for decision in table.decisions)


def as_often_as(table: DecisionTable, archs: Sequence[Architecture]) -> FactorisedPolicy:
    """Candidates, and elements of a subset, as often as among ``archs``; what none of these asks is uniform."""

    def logits(decision: Decision) -> Tensor:
        values = [value for arch in archs if (value := arch.get(decision.id)) is not None]
        if not values:
            return _uniform(decision)
        taken = [set(value) if isinstance(value, tuple) else {value} for value in values]
        counts = [sum(k in each for each in taken) for k in range(_length(decision))]
        rates = torch.tensor(counts, dtype=torch.float64) / len(taken)
        return rates.logit() if decision.kind == "subset" else rates.log()

    return FactorisedPolicy(table, {d.id: logits(d) for d in table.decisions})


def _uniform(decision: Decision) -> Tensor:
    return torch.zeros(_length(decision), dtype=torch.float64)


def _length(decision: Decision) -> int:
    return decision.size if decision.kind == "subset" else len(decision.labels)


def _fits(decision: Decision, prior: Sequence[float]) -> bool:
    return decision.kind != "subset" and len(decision.labels) == len(prior)
