r"""The top eigenvalue of the validation loss's Hessian in the architecture logits (Zela et al., ICLR 2020).

For a strategy whose mask on a slot is w = (w_1…w_n), the logits are a = log w, with

    w = s softmax(a),   s = sum_k w_k    (1, but for slots that are weighed otherwise, too)
    lambda = the largest eigenvalue of d2 L_val / da2

Logits that differ by a constant have the same softmax, so this is the eigenvalue in the strategy's own logits, if it
has any; for a strategy without, the uniform mask's. It is found by Lanczos' iteration on Hessian-vector products
(:mod:`spacec.search.curvature`), on one batch and in train mode, as RobustDARTS does. Slots that decide sizes have no
mixture; their mask stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spacec.search.curvature import PRODUCTS, top_eigenvalue
from spacec.search.figure import Figure
from spacec.search.options import option
from spacec.search.probe import Probe, ProbeOptions, Reading
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Strategy


@dataclass(frozen=True)
class HessianOptions(ProbeOptions):
    """Which eigenvalue, and how closely."""

    which: Literal["largest", "magnitude"] = option("largest", "the largest, or the largest in magnitude")
    split: Literal["weights", "arch"] = option("arch", "split of the batch")
    products: int = option(PRODUCTS, "most Hessian-vector products", low=1)
    tolerance: float = option(1e-4, "accuracy, relative", low=0)


class Hessian(Probe):
    """See the module."""

    name = "hessian"
    help = "top eigenvalue of the validation loss's Hessian in the architecture logits"
    Options = HessianOptions
    options: HessianOptions
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("Top eigenvalue of the Hessian in the architecture logits", "eigenvalue", ("eigenvalue",)),
    )

    def unsupported(self, space: SpaceLike, strategy: Strategy) -> str:
        if all(slot.sized for slot in space.slots):
            return "no slot of it can be mixed softly, so there are no logits to differentiate by"
        return ""

    def on_epoch_end(self, epoch: int) -> Reading:
        ctx, mask = self.ctx, self.mask()
        (batch,) = self.batches(self.options.split, 1, epoch)
        logits = soft_logits(mask)

        def loss() -> Tensor:
            return ctx.loss(ctx.forward(batch, mask | mixed(mask, logits)), batch)

        found = top_eigenvalue(
            loss,
            list(logits.values()),
            self.options.which,
            tolerance=self.options.tolerance,
            products=self.options.products,
            module=ctx.supernet,
        )
        return {
            "eigenvalue": found.value,
            "residual": found.residual,
            "products": found.products,
            "exact": float(found.exact),
        }


def soft_logits(mask: dict[str, Any]) -> dict[str, Tensor]:
    """Leaves log w ``(n,)`` of the slots that have a soft mask with some weight; -inf for a candidate without any."""
    vectors = {slot: w for slot, w in mask.items() if isinstance(w, Tensor) and float(w.sum()) > 0}
    return {slot: torch.log(w.detach()).requires_grad_() for slot, w in vectors.items()}


def mixed(mask: dict[str, Any], logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mask that the logits make, with gradient to them."""
    return {slot: mask[slot].sum() * a.softmax(0) for slot, a in logits.items()}
