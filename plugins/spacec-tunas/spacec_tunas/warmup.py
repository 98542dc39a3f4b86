"""Warm-up of shared weights: candidates that are drawn late by chance have learnt nothing yet when rewards begin.

In the first steps of the search each choice, by itself and with a probability p that falls linearly to 0, runs all of
its candidates and gives the mean of their results; each elastic decision, with a probability of its own, takes the
value at which sizes are largest, so that all of its shared weights are trained (Bender et al., CVPR 2020; in their
code ``increase_ops_probability`` and ``increase_filters_probability``). Rewards count only after it.

A choice that decides sizes (:attr:`~spacec.space.decisions.Slot.sized`) has no mean, and keeps the candidate that was
drawn; which elements a pick takes is no choice between operations, and stays as drawn too.
"""

from __future__ import annotations

from random import Random

import torch

from spacec.search.space_like import Mask, SpaceLike
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, Slot
from spacec.space.values import Value, number, value_at


def falling(step: int, steps: float) -> float:
    """The probability at ``step``: 1 at the first, and 0 from ``steps`` on. Linear (``linear_decay`` in their code)."""
    return max(0.0, 1.0 - step / steps) if steps > 0 else 0.0


def warm_mask(
    space: SpaceLike, arch: Architecture, rng: Random, ops: float, sizes: float, device: torch.device | str = "cpu"
) -> Mask:
    """The mask of ``arch`` in which choices run whole, each with probability ``ops``, and elastic decisions are at
    their largest, each with probability ``sizes``.

    Decisions that ``arch`` leaves out are drawn uniformly: a choice that runs whole asks what is nested in all of its
    candidates. Not meant to obey the space's constraints, as what it runs is no architecture.
    """
    values: dict[str, Value] = {}
    whole: set[str] = set()
    for decision in space.table.decisions:
        raised = rng.random() < (sizes if decision.elastic else ops)
        value = arch[decision.id] if decision.id in arch else value_at(decision, rng.randrange(decision.cardinality))
        values[decision.id] = largest(decision) if raised and decision.elastic and decision.grows is not None else value
        if raised and not decision.elastic and decision.kind != "subset":
            whole.add(decision.id)
    mask = {}
    for slot in space.slots:
        place = _place(slot, values)
        if place is not None and slot.decision in whole and not slot.sized and not (slot.absent and place == 0):
            candidates = tuple(range(int(slot.absent), slot.size))
            weights = torch.full((len(candidates),), 1.0 / len(candidates), device=device)
            mask[slot.id] = space.paths(candidates, weights)
        else:
            mask[slot.id] = place
    return mask


def largest(decision: Decision) -> int:
    """The candidate of an elastic decision at which the sizes that mention it are largest."""
    take = min if decision.grows is False else max
    return take(range(len(decision.labels)), key=lambda k: number(decision, k))


def _place(slot: Slot, values: dict[str, Value]) -> int | None:
    """The index that ``values`` gives a slot; ``None`` where nothing of it runs, and for edge weights."""
    if slot.edges:
        return None
    picked = values[slot.pick] if slot.pick is not None else None
    if isinstance(picked, tuple) and slot.element not in picked:
        return 0 if slot.absent else None
    value = values[slot.decision] if slot.decision is not None else 0
    assert isinstance(value, int), "a slot relaxes a decision that takes one candidate"
    return value + slot.absent
