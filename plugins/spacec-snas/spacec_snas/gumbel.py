"""Gumbel noise, the concrete distribution, and what is known of the noise once its largest entry is."""

from __future__ import annotations

import torch
from torch import Tensor


def exponential(like: Tensor, rng: torch.Generator) -> Tensor:
    """Draws of the unit exponential distribution, in the shape, dtype and device of ``like``, drawn on the CPU."""
    drawn = torch.empty(like.shape, dtype=like.dtype).exponential_(generator=rng)
    return drawn.clamp_min(torch.finfo(like.dtype).tiny).to(like.device)


def gumbel(like: Tensor, rng: torch.Generator) -> Tensor:
    """Draws of the standard Gumbel distribution, ``-log E`` with E unit exponential."""
    return -exponential(like, rng).log()


def concrete(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """``softmax((logits + noise) / temperature)``: a draw of the concrete distribution ``(n,)``, with gradient."""
    return ((logits + noise) / temperature).softmax(0)


def noise_given(logits: Tensor, drawn: int, rng: torch.Generator) -> Tensor:
    """Gumbel noise ``(n,)`` given that ``logits + noise`` is largest at ``drawn``; no gradient.

    With p = softmax(logits) and E unit exponentials, the largest of ``log p + noise`` is ``-log E_0`` whichever it is,
    and the others are ``-log(E_0 + E_k / p_k)`` (the top-down construction of Maddison, Tarlow & Minka, A* Sampling,
    NIPS 2014). So noise can follow a candidate that was drawn by other means, with the law that it has under argmax.
    """
    log_p = logits.detach().log_softmax(0)
    waits = exponential(log_p, rng)
    others = waits * (-log_p).exp()
    others[drawn] = 0.0
    return -(waits[drawn] + others).log() - log_p


def falling(start: float, end: float, epoch: int, epochs: int) -> float:
    """A temperature that falls linearly from ``start`` at epoch 0 towards ``end`` at epoch ``epochs``."""
    return end + (start - end) * max(0.0, 1.0 - epoch / max(1, epochs))
