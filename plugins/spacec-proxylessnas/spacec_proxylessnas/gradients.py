"""Gradients of logits from those of binary gates, and from rewards.

With p = softmax(alpha), a gate g_j of candidate j (one of them 1, the others 0) and h_j = dL/dg_j = <dL/do, O_j(x)>::

    dL/dalpha_k = sum_j h_j p_j (delta_jk - p_k) = p_k (h_k - sum_j p_j h_j)

In costs c_j = p_j h_j it is that of DARTS, c_k - p_k sum_j c_j, at binary gates. Two paths use it over the two alone.
"""

from __future__ import annotations

import torch
from torch import Tensor


def through_softmax(h: Tensor, p: Tensor) -> Tensor:
    """``sum_j h_j p_j (delta_jk - p_k)`` for all k: ``(n,)`` from ``(n,)``."""
    return p * (h - (p * h).sum())


def of_pair(h: Tensor, logits: Tensor, pair: tuple[int, ...]) -> Tensor:
    """The gradient ``(n,)`` of two sampled candidates, p being a softmax over the two; zero for the others.

    ``h`` has an entry for each of ``pair``.
    """
    index = torch.tensor(pair, device=logits.device)
    found = through_softmax(h, logits.detach()[index].softmax(0))
    return torch.zeros_like(logits).index_put((index,), found)


def rescaled(new: Tensor, old: Tensor, pair: tuple[int, ...]) -> Tensor:
    """``new`` with the logits of the pair shifted, so that they have the mass (sum of exponentials) that they had.

    The probabilities of all other candidates then stay as they were.
    """
    index = torch.tensor(pair, device=new.device)
    shift = new[index].logsumexp(0) - old[index].logsumexp(0)
    return new.index_put((index,), new[index] - shift)


def score(p: Tensor, drawn: int) -> Tensor:
    """``d log p_drawn / d alpha`` ``(n,)``."""
    found = -p
    found[drawn] = found[drawn] + 1.0
    return found
