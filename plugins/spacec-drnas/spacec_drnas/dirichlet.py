"""The Dirichlet distribution of a slot's weights, by its logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Dirichlet
from torch.distributions.kl import kl_divergence

from spacec.search.logits import checked_rates

_SEEDS = 2**62


def concentration(logits: Tensor) -> Tensor:
    """elu(a) + 1, which is positive: exp(a) up to 0, a + 1 above; written so that small values keep their digits.

    Not below the smallest normal number, which a logit of -88 would give in single precision: a Dirichlet has no zeros.
    """
    return (logits.clamp(max=0).exp() + logits.relu()).clamp_min(torch.finfo(logits.dtype).tiny)


def mean(logits: Tensor) -> Tensor:
    """E[w] = b / sum b."""
    b = concentration(logits)
    return b / b.sum(-1, keepdim=True)


def sample(logits: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """Weights by slot, with the pathwise gradient to the logits (implicit reparameterisation).

    Drawn on the CPU from ``rng``, so that a seed gives the same weights on every device; the ambient generator is left
    as it was. Raises :class:`SpacecError` (E0607) for logits that are not finite.
    """
    for slot, a in logits.items():
        checked_rates(slot, concentration(a))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(_SEEDS, (1,), generator=rng)))
        return {slot: Dirichlet(concentration(a).cpu()).rsample().to(a.device) for slot, a in logits.items()}


def divergence(logits: Tensor) -> Tensor:
    """KL(Dir(b) || Dir(1)), a scalar."""
    b = concentration(logits)
    found: Tensor = kl_divergence(Dirichlet(b), Dirichlet(torch.ones_like(b)))
    return found
