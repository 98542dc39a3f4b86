"""Resource terms: what a sampled architecture costs, slot by slot.

A cost of the space (``params``, ``macs``, a measured latency) is multilinear in independent masks Z, so slot s adds
``<Z_s, c_s>`` with ``c_s = dC/dZ_s``; in a cell without nested choices c_s are the candidates' own costs::

    linear   R_s = <Z_s, c_s>                  sum_s R_s has the gradient of C(Z)             (the paper's)
    log      R_s = log max(<Z_s, c_s>, floor)  what the released code adds by --log_penalty

The floor is 1, as in the released code, or the smallest positive cost of a candidate where that is below 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from spacec.search.context import SearchContext

Form = Literal["log", "linear"]


def resource_by_slot(ctx: SearchContext, mask: Mapping[str, Tensor], name: str, form: Form) -> dict[str, Tensor]:
    """R_s by slot, scalars with gradient to ``mask`` (probabilities, or samples, ``(n,)`` by slot).

    Slots whose candidates all cost nothing are left out.
    """
    gates = {slot: m.detach().clone().requires_grad_() for slot, m in mask.items()}
    total = ctx.expected_cost(gates, name)
    if not total.requires_grad:
        return {}
    costs = torch.autograd.grad(total, list(gates.values()), allow_unused=True)
    known = {s: c.to(mask[s]) for s, c in zip(gates, costs, strict=True) if c is not None}
    return {s: _resource(mask[s], c, form) for s, c in known.items() if bool((c != 0).any())}


def _resource(weights: Tensor, costs: Tensor, form: Form) -> Tensor:
    amount = (weights * costs).sum()
    if form == "linear":
        return amount
    positive = costs[costs > 0]
    floor = min(1.0, float(positive.min())) if len(positive) else 1.0
    return amount.clamp_min(floor).log()
