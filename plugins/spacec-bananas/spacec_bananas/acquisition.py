"""Which candidates are rated next, by what an ensemble predicts of them: less is better.

With predictions f_m of M members, their mean f and deviation s (over M - 1), and the least value so far y (White,
Neiswanger and Savani, BANANAS, AAAI 2021, section 4):

===========  ==========================================================================
``its``      independent Thompson sampling: a draw from N(f, s²), anew for each candidate
``ts``       Thompson sampling: the prediction of one member, the same for all candidates
``ucb``      f - s/2
``ei``       minus the expected improvement, -E[max(y - z, 0)] for z from N(f, s²)
``pi``       minus the probability of improvement, -P(z < y)
``mean``     f
===========  ==========================================================================
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Literal

import torch
from torch import Tensor

Acquisition = Literal["its", "ts", "ucb", "ei", "pi", "mean"]
EXPLORE = 0.5
"""The factor of the deviation in ``ucb``, as the authors' code has it."""
SMALLEST = 1e-9
"""A deviation of zero (of one member, or of members that agree) is taken as this."""


def scores(predictions: Tensor, least: float, how: Acquisition, generator: torch.Generator) -> Tensor:
    """Predictions ``[M, n]`` to scores ``[n]``; the candidates with the least are taken."""
    mean = predictions.mean(dim=0)
    if how == "mean":
        return mean
    if how == "ts":
        return predictions[int(torch.randint(len(predictions), (1,), generator=generator))]
    spread = predictions.std(dim=0) if len(predictions) > 1 else torch.zeros_like(mean)
    spread = spread.clamp_min(SMALLEST)
    if how == "its":
        return torch.normal(mean, spread, generator=generator)
    if how == "ucb":
        return mean - EXPLORE * spread
    gap: Tensor = (least - mean) / spread
    below: Tensor = torch.special.ndtr(gap)
    if how == "pi":
        return -below
    return -spread * (gap * below + torch.exp(-gap * gap / 2) / sqrt(2 * pi))
