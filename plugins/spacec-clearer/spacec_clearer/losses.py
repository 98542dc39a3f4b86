"""CLEARER's two regularisers (Gou et al., NeurIPS 2020), for slots of any number of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import torch
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.space.decisions import Slot


def binary_entropies(logits: Tensor) -> Tensor:
    """``-p log10 p - (1-p) log10 (1-p)`` of each probability of ``softmax(logits)``: ``(n,)`` to ``(n,)``.

    Finite for any logits, with finite gradients: ``log (1-p_k)`` is taken over the other candidates.
    """
    n = logits.shape[0]
    if n == 1:
        return logits * 0.0
    log_p = logits.log_softmax(0)
    itself = torch.eye(n, dtype=torch.bool, device=logits.device)
    log_rest = log_p.expand(n, n).masked_fill(itself, float("-inf")).logsumexp(1)
    return -(log_p.exp() * log_p + log_rest.exp() * log_rest) / log(10.0)


def architecture_loss(logits: Sequence[Tensor]) -> Tensor:
    """L_arch: the mean binary entropy over all entries of all slots; log10 2 at logits of zero. A scalar."""
    return torch.cat([binary_entropies(a) for a in logits]).mean()


def complexity_loss(logits: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    """L_comp: the mean over slots of ``sum_k c_k p_k``, with ``weights`` c by slot. A scalar."""
    return torch.stack([(weights[slot] * a.softmax(0)).sum() for slot, a in logits.items()]).mean()


def complexity_weights(ctx: SearchContext, cost: str, rounded: bool) -> dict[str, Tensor]:
    """Complexity c of every candidate, by slot: its cost summed over all positions, over the total of all kinds.

    Positions with the same candidates are of one kind (CLEARER's twelve columns; all edges of a DARTS cell), and
    normalised together, so each kind's weights sum to one. ``rounded`` keeps one decimal, as the paper prints them.
    """
    own = candidate_costs(ctx, cost)
    totals: dict[tuple[str, ...], Tensor] = {}
    for slot in ctx.slots:
        totals[slot.labels] = totals.get(slot.labels, torch.zeros(slot.size, dtype=torch.float64)) + own[slot.id]
    shares = {labels: t / t.sum() if float(t.sum()) > 0 else t for labels, t in totals.items()}
    if rounded:
        shares = {labels: (10 * t).round() / 10 for labels, t in shares.items()}
    return {slot.id: shares[slot.labels].to(ctx.device, torch.float32) for slot in ctx.slots}


def candidate_costs(ctx: SearchContext, cost: str) -> dict[str, Tensor]:
    """What each candidate adds to the expected cost, by slot: ``(n,)`` of float64.

    It is the derivative of the expected cost by the candidate's gate, where all others are uniform: exact where
    the cost is a sum over slots, the mean over the rest of the architecture elsewhere.
    """
    gates = {slot.id: _uniform(slot) for slot in ctx.slots}
    total = ctx.expected_cost(gates, cost)
    if not total.requires_grad:
        return {slot: torch.zeros_like(g) for slot, g in gates.items()}
    grads = torch.autograd.grad(total, list(gates.values()), allow_unused=True)
    return {s: torch.zeros_like(gates[s]) if g is None else g for s, g in zip(gates, grads, strict=True)}


def _uniform(slot: Slot) -> Tensor:
    return torch.full((slot.size,), 1.0 / slot.size, dtype=torch.float64, requires_grad=True)
