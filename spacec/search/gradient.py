"""Base of differentiable strategies: soft masks (:mod:`spacec.search.soft`), trained by Adam on the arch split.

It is first-order DARTS as it stands; a subclass replaces the loss term (:meth:`extra_loss`), the architecture
gradient (:meth:`architecture_gradient`), the masks (:meth:`weights`, :meth:`arch_mask`) or the start (:meth:`init`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.soft import SoftOptions, SoftStrategy
from spacec.search.space_like import Mask
from spacec.search.task import Batch

Gradient = Sequence[Tensor | None]
"""By architecture parameter, in order (one per slot); ``None`` for one that nothing reads."""


@dataclass(frozen=True)
class GradientOptions(SoftOptions):
    """The optimiser of the logits, with DARTS' values."""

    arch_lr: float = option(3e-4, "learning rate of the architecture logits (Adam)", low=0)
    arch_betas: tuple[float, float] = option((0.5, 0.999), "Adam's moment decays for the logits", low=0, below=1)
    arch_weight_decay: float = option(1e-3, "L2 decay of the logits", low=0)


class GradientStrategy(SoftStrategy):
    """See the module. ``self.logits`` and ``self.arch_optimizer`` exist from :meth:`setup` on."""

    Options: ClassVar[type[Options]] = GradientOptions
    options: Any
    """Of :class:`GradientOptions`, but for a subclass that has its own :meth:`init` and :meth:`make_arch_optimizer`."""
    arch_optimizer: torch.optim.Optimizer

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.arch_optimizer = self.make_arch_optimizer()

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        """A fresh optimiser of :meth:`arch_parameters`."""
        options: GradientOptions = self.options
        return torch.optim.Adam(
            self.arch_parameters(),
            lr=options.arch_lr,
            betas=options.arch_betas,
            weight_decay=options.arch_weight_decay,
        )

    def arch_parameters(self) -> list[nn.Parameter]:
        """What the architecture step trains, in the order of :data:`Gradient`; asked for once the logits are there."""
        return self.logits.parameters()

    def arch_mask(self) -> Mask:
        """The mask of the architecture step, with gradient to what it trains."""
        return self.weights()

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        gradient, values = self.architecture_gradient(train_batch, val_batch)
        for parameter, g in zip(self.arch_parameters(), gradient, strict=True):
            parameter.grad = g
        self.arch_optimizer.step()
        return values

    def architecture_gradient(self, train_batch: Batch, val_batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        """Gradient of the architecture step and values to record; first order: dL/dalpha on the arch split."""
        loss, values = self.architecture_loss(val_batch, None)
        return torch.autograd.grad(loss, self.arch_parameters(), allow_unused=True), values

    def architecture_loss(
        self, batch: Batch, weights: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Task loss plus :meth:`extra_loss` on a batch, with ``weights`` in the place of the supernet's; a scalar."""
        out = self.ctx.forward(batch, self.arch_mask(), weights=weights)
        loss = self.ctx.loss(out, batch)
        values = {"arch_loss": float(loss.detach())}
        extra = self.extra_loss(out, "arch")
        if extra is not None:
            values["arch_extra"] = float(extra.detach())
            loss = loss + extra
        return loss, values

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "arch_optimizer": self.arch_optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.arch_optimizer.load_state_dict(state["arch_optimizer"])
