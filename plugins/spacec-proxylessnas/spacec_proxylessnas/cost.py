"""ProxylessNAS' cost terms over the expected cost E of the masks' probabilities, and the reward of a sample.

    mul      loss = alpha L (log E / log ref)^beta         alpha 0.2, beta 0.3
    add      loss = L + lambda (E - ref) / ref             lambda 0.1
    reward   score (ref / cost)^w                          w 0.1

``E`` is any cost of the space: ``params``, ``macs``, or the milliseconds of a latency table.
"""

from __future__ import annotations

from math import log
from typing import Literal

from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError

Term = Literal["mul", "add"]
_ABOVE_ONE = 1.0 + 1e-6
"""An expected cost below is taken for this: the logarithm must be positive for its power to have a gradient."""


def check_reference(owner: str, reference: float | None, term: Term) -> None:
    """Raise E0703 for a reference that a logarithm cannot be divided by."""
    low = 1.0 if term == "mul" else 0.0
    if reference is not None and reference <= low:
        headline = f"option 'reference' of {owner} is {reference:g}, expected more than {low:g} with cost_term={term}"
        raise SpacecError(Diagnostic("E0703", headline))


def with_cost(loss: Tensor, expected: Tensor, reference: float, term: Term, scale: float, power: float) -> Tensor:
    """The task's ``loss`` and the cost term; ``scale`` is alpha or lambda, ``power`` beta. A scalar."""
    if term == "add":
        return loss + scale * (expected - reference) / reference
    return scale * loss * (expected.clamp_min(_ABOVE_ONE).log() / log(reference)) ** power


def reward(measured: float, cost: float | None, reference: float | None, power: float) -> float:
    """What a sample that ``measured`` so much is worth at its ``cost``."""
    if reference is None or not cost:
        return measured
    return measured * float((reference / cost) ** power)
