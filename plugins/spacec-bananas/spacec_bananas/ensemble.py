"""An ensemble of small fully connected networks that learns to predict one number from an encoding.

All members are trained at once: a layer of ``M`` members is one batched product of shape ``[M, rows, width]``. The
derivatives of a chain of ReLU layers are written out, and Adam (Kingma and Ba, 2015) works on one flat vector: at these
sizes the calls cost more than the arithmetic, and training is several times faster so than through autograd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor

BETAS = (0.9, 0.99)
EPS = 1e-8


@dataclass(frozen=True)
class Fit:
    """How an ensemble is trained."""

    members: int = 5
    layers: int = 10
    width: int = 20
    epochs: int = 150
    batch_size: int = 32
    lr: float = 0.01


class Ensemble:
    """Weights and biases of all members, views of one flat vector. ``inputs``: columns of the encoding."""

    def __init__(self, inputs: int, fit: Fit, generator: torch.Generator) -> None:
        """Weights are uniform in the bounds of Glorot and Bengio (2010), biases zero: each member has its own draw."""
        sizes = [inputs, *[fit.width] * fit.layers, 1]
        shapes = [s for a, b in pairwise(sizes) for s in ((fit.members, a, b), (fit.members, 1, b))]
        self.flat, self.parts = _flat(shapes)
        self.grad, self.grads = _flat(shapes)
        self.fit = fit
        for weight in self.parts[::2]:
            bound = sqrt(6 / (weight.shape[1] + weight.shape[2]))
            weight.uniform_(-bound, bound, generator=generator)

    def predict(self, rows: Tensor) -> Tensor:
        """Of rows ``[n, inputs]``, a prediction by each member: ``[members, n]``."""
        return self._forward(rows.expand(self.fit.members, *rows.shape))[-1].squeeze(-1)

    def train(self, rows: Tensor, targets: Tensor, weights: Tensor, generator: torch.Generator) -> None:
        """Adam on the mean of ``weights · |prediction - target|``; each member meets the rows in an order of its own.

        ``rows`` ``[n, inputs]``, ``targets`` and ``weights`` ``[n]``.
        """
        fit, n = self.fit, len(rows)
        first, second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        step = 0
        for _ in range(fit.epochs):
            order = torch.rand((fit.members, n), generator=generator).argsort(dim=1)
            for start in range(0, n, fit.batch_size):
                at = order[:, start : start + fit.batch_size]
                self._backward(rows[at], targets[at], weights[at])
                step += 1
                first.lerp_(self.grad, 1 - BETAS[0])
                second.mul_(BETAS[1]).addcmul_(self.grad, self.grad, value=1 - BETAS[1])
                size = fit.lr * sqrt(1 - BETAS[1] ** step) / (1 - BETAS[0] ** step)
                self.flat.addcdiv_(first, second.sqrt().add_(EPS), value=-size)

    def _forward(self, rows: Tensor) -> list[Tensor]:
        """What enters each layer, and last what comes out of the last one."""
        found = [rows]
        last = len(self.parts) // 2 - 1
        for layer in range(last + 1):
            out = torch.baddbmm(self.parts[2 * layer + 1], found[-1], self.parts[2 * layer])
            found.append(out if layer == last else out.relu_())
        return found

    def _backward(self, rows: Tensor, targets: Tensor, weights: Tensor) -> None:
        """Gradients of the members' losses, into :attr:`grad`. Rows ``[M, b, inputs]``, targets ``[M, b]``."""
        entering = self._forward(rows)
        error = (entering[-1] - targets.unsqueeze(-1)).sign_().mul_(weights.unsqueeze(-1)).div_(targets.shape[1])
        for layer in reversed(range(len(self.parts) // 2)):
            torch.bmm(entering[layer].transpose(1, 2), error, out=self.grads[2 * layer])
            torch.sum(error, dim=1, keepdim=True, out=self.grads[2 * layer + 1])
            if layer:
                error = torch.bmm(error, self.parts[2 * layer].transpose(1, 2)).mul_(entering[layer] > 0)


def _flat(shapes: Sequence[tuple[int, ...]]) -> tuple[Tensor, list[Tensor]]:
    """A vector of zeros, and tensors of these shapes that are parts of it."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    flat = torch.zeros(sum(sizes))
    return flat, [part.view(shape) for part, shape in zip(torch.split(flat, sizes), shapes, strict=True)]
