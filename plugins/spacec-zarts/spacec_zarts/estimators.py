"""The three zero-order updates of ZARTS, as functions of a loss and a point: no network, no strategy.

``L`` is any function of the architecture logits ``a``, all slots in one vector ``(d,)``; a *block* is a range of that
vector (a cell type in the paper). Everything is computed in double precision on the CPU, from one generator.

MGS (maximum-likelihood guided parameter search) weighs draws of a proposal ``q`` by a target ``p``::

    p(D) ~ exp(-(L(a + D) - L0) / tau)
    q(D) = (1 - lam) N(D; -g, s^2 I) + lam N(D; 0, s^2 I)              g = dL0/da
    a <- a + sum_i c_i D_i,   c_i = (p/q)(D_i) / sum_j (p/q)(D_j),     D_i ~ q, i = 1..n

RS (random search) estimates the gradient of ``L`` smoothed over a ball (or a Gaussian) of radius ``mu``::

    one-point     g_b = phi_b / mu . mean_i  L(a + mu u_i) u_ib
    multi-point   g_b = phi_b / mu . mean_i [L(a + mu u_i) - L0] u_ib
    antithetic    g_b = phi_b / (2 mu) . mean_i [L(a + mu u_i) - L(a - mu u_i)] u_ib

with ``u_ib`` on the unit sphere of block b and ``phi_b`` its dimension, or standard normal and ``phi = 1``.

GLD (gradientless descent) tries one direction per radius and keeps the best point, or stays::

    a <- argmin over {a, a + R_i u_i},   R_i = R / 2^i,  i = 0..floor(log2(R / r)),   u_i on each block's unit sphere
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log, log2, pi
from typing import Literal

import torch
from torch import Tensor

Loss = Callable[[Tensor], float]
Blocks = Sequence[Sequence[int]]
"""Positions in the vector, by block."""

Proposal = Literal["mixture", "sum"]
Density = Literal["exact", "released"]
Form = Literal["antithetic", "multi-point", "one-point"]
Distribution = Literal["sphere", "gaussian"]


@dataclass(frozen=True)
class Step:
    """What is added to the logits ``(d,)``; ``losses`` are those of the candidates that were rated.

    ``weights`` are MGS' c_i (empty for the others).
    """

    delta: Tensor
    losses: tuple[float, ...]
    weights: tuple[float, ...] = ()

    @property
    def effective(self) -> float:
        """Effective number of samples, 1 / sum c_i^2 (Kish); 0 without weights."""
        return 1.0 / sum(c * c for c in self.weights) if self.weights else 0.0


def mgs(
    loss: Loss,
    at: Tensor,
    gradient: Tensor,
    rng: torch.Generator,
    *,
    samples: int,
    sigma: float,
    tau: float,
    lam: float,
    baseline: float = 0.0,
    proposal: Proposal = "mixture",
    density: Density = "exact",
) -> Step:
    """One step of maximum-likelihood guided search from ``at`` with first-order gradient ``gradient``, both ``(d,)``.

    ``baseline`` is L0; it cancels in the weights. The released code has ``proposal="sum"``, which draws
    (1 - lam) x + lam y with x and y from the two normals, and ``density="released"``, :func:`log_released`. A candidate
    whose loss is not finite has the weight zero; where all are such, nothing moves and there are no weights.
    """
    log_q = log_mixture if density == "exact" else log_released
    drawn, losses, logs = [], [], []
    for _ in range(samples):
        delta = draw(gradient, rng, sigma, lam, proposal)
        value = loss(at + delta)
        drawn.append(delta)
        losses.append(value)
        target = -(value - baseline) / tau if isfinite(value) else float("-inf")
        logs.append(target - log_q(delta, gradient, sigma, lam))
    if all(log == float("-inf") for log in logs):
        return Step(torch.zeros_like(at), tuple(losses))
    weights = torch.tensor(logs, dtype=torch.float64).softmax(0)
    return Step(weights @ torch.stack(drawn), tuple(losses), tuple(weights.tolist()))


def draw(gradient: Tensor, rng: torch.Generator, sigma: float, lam: float, proposal: Proposal) -> Tensor:
    """A candidate step ``(d,)``."""
    if proposal == "sum":
        near, wide = _normal(gradient, rng), _normal(gradient, rng)
        return (1 - lam) * (sigma * near - gradient) + lam * sigma * wide
    around = float(torch.rand((), generator=rng, dtype=torch.float64)) >= lam
    noise = sigma * _normal(gradient, rng)
    return noise - gradient if around else noise


def log_mixture(delta: Tensor, gradient: Tensor, sigma: float, lam: float) -> float:
    """log q(D), with all its constants."""
    constant = -0.5 * delta.numel() * log(2 * pi * sigma * sigma)
    near = -float((delta + gradient).square().sum()) / (2 * sigma * sigma)
    wide = -float(delta.square().sum()) / (2 * sigma * sigma)
    return _log_sum((_log(1 - lam) + near, _log(lam) + wide)) + constant


def log_released(delta: Tensor, gradient: Tensor, sigma: float, lam: float) -> float:
    """The logarithm of what the released code divides by.

    (1 - lam) exp(-|D + g|^2 / (2 s^2)) + lam exp(-|D|^2 / 2 . s^2) + 1e-4: without the normals' constants, with a slip
    of precedence in the second exponent, and with a small term against division by zero.
    """
    near = -float((delta + gradient).square().sum()) / (2 * sigma * sigma)
    wide = -float(delta.square().sum()) / 2 * sigma * sigma
    return _log_sum((_log(1 - lam) + near, _log(lam) + wide, log(1e-4)))


def random_search(
    loss: Loss,
    at: Tensor,
    blocks: Blocks,
    rng: torch.Generator,
    *,
    samples: int,
    mu: float,
    form: Form = "antithetic",
    distribution: Distribution = "sphere",
    phi: float | None = None,
    baseline: float = 0.0,
) -> Step:
    """An estimate of the gradient at ``at``, as the ``delta`` of the result ``(d,)``.

    ``phi`` scales every block; ``None`` is the block's dimension on the sphere and 1 for normals, with which the
    estimate has the smoothed loss' gradient as its mean. ``baseline`` is L0, which the multi-point form subtracts. A
    direction whose difference is not finite adds nothing.
    """
    total, losses = torch.zeros_like(at), []
    for _ in range(samples):
        u = _directions(at, blocks, rng, distribution)
        losses.append(loss(at + mu * u))
        difference = losses[-1]
        if form == "antithetic":
            losses.append(loss(at - mu * u))
            difference = (difference - losses[-1]) / 2
        elif form == "multi-point":
            difference = difference - baseline
        if isfinite(difference):
            total += difference * u
    scale = torch.ones_like(at)
    for block in blocks:
        scale[list(block)] = phi if phi is not None else (len(block) if distribution == "sphere" else 1.0)
    return Step(scale * total / (mu * samples), tuple(losses))


def gradientless(
    loss: Loss, at: Tensor, blocks: Blocks, rng: torch.Generator, *, radius: float, radius_min: float, baseline: float
) -> Step:
    """The best of one candidate per radius and of staying, whose loss is ``baseline``."""
    best, best_loss, losses = torch.zeros_like(at), baseline, []
    for size in radii(radius, radius_min):
        delta = size * _directions(at, blocks, rng, "sphere")
        losses.append(loss(at + delta))
        if losses[-1] < best_loss:
            best, best_loss = delta, losses[-1]
    return Step(best, tuple(losses))


def radii(largest: float, smallest: float) -> list[float]:
    """R / 2^i down to the last that is not below ``smallest``."""
    return [largest / 2**i for i in range(floor(log2(largest / smallest)) + 1)]


def _directions(at: Tensor, blocks: Blocks, rng: torch.Generator, distribution: Distribution) -> Tensor:
    u = _normal(at, rng)
    if distribution == "sphere":
        for block in blocks:
            u[list(block)] /= u[list(block)].norm()
    return u


def _normal(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng, dtype=torch.float64)


def _log(value: float) -> float:
    return log(value) if value > 0 else float("-inf")


def _log_sum(terms: Sequence[float]) -> float:
    return float(torch.tensor(terms, dtype=torch.float64).logsumexp(0))
