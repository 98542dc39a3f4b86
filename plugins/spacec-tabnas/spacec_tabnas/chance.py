"""P(V), the probability that a policy draws a valid architecture, from draws of its own.

TabNAS (Yang et al., NeurIPS 2022, section 4) draws z_1 … z_N from q, the policy with its gradient stopped, and takes

    P(V) ~ 1/N * sum over k of p(z_k) / q(z_k) * 1(z_k in V)

whose value is the share of valid draws, and whose gradient is the mean of grad p(z_k)/q(z_k) over all draws: both are
unbiased. The authors' toy notebook sums p(z_k) over the valid draws instead (``released``), which weighs draws by their
probability once more.
"""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from spacec.search.policies.factorised import FactorisedPolicy


def estimated_log_feasible(policy: FactorisedPolicy, draws: int, rng: Random, released: bool = False) -> Tensor | None:
    """log of the estimate of P(V): a scalar with gradient. ``None`` where none of the ``draws`` is valid."""
    drawn = (policy.propose(rng) for _ in range(draws))
    logs = [policy.log_drawn(arch) for arch in drawn if policy.valid(arch)]
    if not logs:
        return None
    taken = torch.stack(logs)
    if released:
        return taken.logsumexp(0)
    return (taken - taken.detach()).exp().sum().log() - torch.tensor(float(draws), dtype=torch.float64).log()
