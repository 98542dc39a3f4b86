"""DARTS (Liu, Simonyan & Yang, ICLR 2019): softmax-weighted candidates, logits trained on held-out data.

First order (eq. 7 with xi = 0) is :class:`spacec.search.gradient.GradientStrategy` as it stands. Second order
differentiates through one virtual step of the weights::

    w'      = w - xi (m b + dL_train(w, a)/dw + d w)                  momentum m, buffer b, decay d, rate xi
    dL/da   = dL_val(w', a)/da - xi d/da <dL_train(w, a)/dw, v>       v = dL_val(w', a)/dw'     (eq. 7)
    finite:   d/da <…, v> = [dL_train(w + e v, a)/da - dL_train(w - e v, a)/da] / 2e,  e = 0.01 / ||v||   (eq. 8)

``hvp=exact`` computes the last line by differentiating twice. As in the released code, the virtual step is that of the
weight optimiser (SGD with momentum and decay), and xi its present rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spacec.search.gradient import Gradient, GradientOptions, GradientStrategy
from spacec.search.options import option
from spacec.search.task import Batch

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class DARTSOptions(GradientOptions):
    order: Literal[1, 2] = option(1, "order of the architecture gradient")
    hvp: Literal["finite", "exact"] = option("finite", "how order 2 gets its Hessian-vector product")
    epsilon: float = option(0.01, "step of the finite difference, divided by the norm of its direction", low=1e-12)


class DARTS(GradientStrategy):
    """See the module."""

    name = "darts"
    help = "DARTS: first and second order (Liu et al., ICLR 2019)"
    Options = DARTSOptions
    options: DARTSOptions
    config = {"batch_size": 64}  # noqa: RUF012  # declared ClassVar by the base

    def architecture_gradient(self, train_batch: Batch, val_batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        if self.options.order == 1:
            return super().architecture_gradient(train_batch, val_batch)
        with self.ctx.statistics_kept():
            return self._second_order(train_batch, val_batch)

    def _second_order(self, train_batch: Batch, val_batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        weights = dict(self.ctx.supernet.named_parameters())
        ahead = self._virtual_step(weights, train_batch)
        loss, values = self.architecture_loss(val_batch, ahead)
        alphas = self.arch_parameters()
        grads = torch.autograd.grad(loss, [*alphas, *ahead.values()], allow_unused=True)
        direct, v = grads[: len(alphas)], _by_name(ahead, grads[len(alphas) :])
        rates = {name: hyper.lr for name, hyper in self.ctx.weight_hypers().items()}
        scaled = {name: rates[name] * t for name, t in v.items() if name in rates}
        implicit = (self._finite if self.options.hvp == "finite" else self._exact)(weights, scaled, train_batch)
        return [_minus(d, i) for d, i in zip(direct, implicit, strict=True)], values

    def _virtual_step(self, weights: Weights, batch: Batch) -> dict[str, Tensor]:
        """w', as leaves that require grad."""
        loss = self._train_loss(batch, None, {slot: w.detach() for slot, w in self.weights().items()})
        grads = _by_name(weights, torch.autograd.grad(loss, list(weights.values()), allow_unused=True))
        hypers = self.ctx.weight_hypers()
        ahead = {}
        for name, w in weights.items():
            hyper, new = hypers.get(name), w.detach().clone()
            if hyper is not None and name in grads:
                step = grads[name] + hyper.weight_decay * w.detach()
                if hyper.buffer is not None:
                    step = step + hyper.momentum * hyper.buffer
                new -= hyper.lr * step
            ahead[name] = new.requires_grad_()
        return ahead

    def _finite(self, weights: Weights, direction: Weights, batch: Batch) -> Gradient:
        """Central difference of dL_train/da along ``direction``."""
        norm = torch.sqrt(sum((t.square().sum() for t in direction.values()), torch.zeros((), device=self.ctx.device)))
        if float(norm) == 0.0:
            return [None] * len(self.arch_parameters())
        step = self.options.epsilon / norm
        sides = []
        for sign in (1, -1):
            moved = {n: w.detach() + sign * step * direction[n] if n in direction else w for n, w in weights.items()}
            loss = self._train_loss(batch, moved, self.weights())
            sides.append(torch.autograd.grad(loss, self.arch_parameters(), allow_unused=True))
        return [None if p is None or m is None else (p - m) / (2 * step) for p, m in zip(*sides, strict=True)]

    def _exact(self, weights: Weights, direction: Weights, batch: Batch) -> Gradient:
        """The same derivative by differentiating the gradient."""
        loss = self._train_loss(batch, None, self.weights())
        grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
        found = [(g, direction[n]) for n, g in _by_name(weights, grads).items() if n in direction and g.requires_grad]
        if not found:
            return [None] * len(self.arch_parameters())
        outputs, vectors = zip(*found, strict=True)
        return torch.autograd.grad(outputs, self.arch_parameters(), vectors, allow_unused=True)

    def _train_loss(self, batch: Batch, weights: Weights | None, mask: Weights) -> Tensor:
        return self.ctx.loss(self.ctx.forward(batch, mask, weights=weights), batch)


def _by_name(names: Weights, values: Sequence[Tensor | None]) -> dict[str, Tensor]:
    return {name: t for name, t in zip(names, values, strict=True) if t is not None}


def _minus(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if b is None:
        return a
    return -b if a is None else a - b
