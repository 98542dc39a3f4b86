"""L(a) = L_val(w*(a), a): the loss of an architecture after a short training of a copy of the weights for it.

w*(a) are the weights after M steps of SGD on L_train(., a) from the supernet's present ones, a fixed. The copy is a set
of tensors that a forward pass is given in the place of the supernet's own, buffers included, so weights, running
statistics, gradients and optimiser of the supernet stay as they are. All points of one update see the same M training
batches, the same validation batches, and (where the network draws noise) the same noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.seeds import own_randomness
from spacec.search.space_like import Mask
from spacec.search.task import Batch

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class InnerSGD:
    """The optimiser of the inner training: fresh at every point."""

    lr: float
    momentum: float
    weight_decay: float
    clip: float


@dataclass(frozen=True)
class Objective:
    """L as a function of a soft mask. ``train`` are the M batches of the inner training, ``val`` those it is judged on.

    ``seed`` is where the network's own noise starts at each point. The supernet's present mode holds throughout.
    """

    ctx: SearchContext
    train: Sequence[Batch]
    val: Sequence[Batch]
    sgd: InnerSGD
    seed: int

    def __call__(self, mask: Mask) -> float:
        """L at ``mask``, a scalar: the mean over the validation batches, samples weighted equally."""
        with own_randomness(self.ctx.device):
            torch.manual_seed(self.seed)
            return self._judged(mask, self.trained(mask))

    def untrained(self, mask: Mask) -> float:
        """L_val(w, a): the loss with the supernet's present weights."""
        with own_randomness(self.ctx.device):
            torch.manual_seed(self.seed)
            return self._judged(mask, buffers(self.ctx))

    def gradient(self, mask: Mapping[str, Tensor], at: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        """L_val(w, a) and its gradient with respect to ``at``, from which ``mask`` was made: zero where unused."""
        with own_randomness(self.ctx.device):
            torch.manual_seed(self.seed)
            weights, count = buffers(self.ctx), sum(batch.size for batch in self.val)
            total = torch.zeros((), device=self.ctx.device)
            for batch in self.val:
                total = total + self._loss(batch, mask, weights) * (batch.size / count)
            grads = torch.autograd.grad(total, list(at), allow_unused=True)
        zeroed = [torch.zeros_like(a) if g is None else g for a, g in zip(at, grads, strict=True)]
        return float(total.detach()), zeroed

    def trained(self, mask: Mask) -> Tensors:
        """w*(a), and the buffers that came about with it, by name."""
        state = buffers(self.ctx)
        if not self.train:
            return state
        own = {n: p for n, p in self.ctx.supernet.named_parameters() if p.requires_grad}
        leaves = {n: p.detach().clone().requires_grad_() for n, p in own.items()}
        sgd = self.sgd
        optimizer = torch.optim.SGD(leaves.values(), lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay)
        for batch in self.train:
            loss = self._loss(batch, mask, {**state, **leaves})
            grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            for leaf, grad in zip(leaves.values(), grads, strict=True):
                leaf.grad = grad
            if sgd.clip > 0:
                nn.utils.clip_grad_norm_(leaves.values(), sgd.clip)
            optimizer.step()
        return {**state, **{n: t.detach() for n, t in leaves.items()}}

    @torch.no_grad()
    def _judged(self, mask: Mask, weights: Tensors) -> float:
        count = sum(batch.size for batch in self.val)
        return sum(float(self._loss(batch, mask, weights)) * batch.size for batch in self.val) / count

    def _loss(self, batch: Batch, mask: Mask, weights: Mapping[str, Tensor]) -> Tensor:
        return self.ctx.loss(self.ctx.forward(batch, mask, weights=weights), batch)


def buffers(ctx: SearchContext) -> Tensors:
    """Copies of the supernet's buffers, so that running statistics move there and not in the supernet."""
    return {name: b.detach().clone() for name, b in ctx.supernet.named_buffers()}
