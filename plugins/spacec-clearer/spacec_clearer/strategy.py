"""CLEARER (Gou et al., NeurIPS 2020): first-order search whose logits are pushed to decide, and to decide cheaply.

    L(alpha) = L_task + 0.01 L_arch + 0.1 L_comp         (weights w: L_task only)

L_arch is a binary entropy (base 10) of the candidates' probabilities, L_comp their expected complexity, with weights
computed from the space's own costs (for CLEARER's space 0.68126 and 0.31874, which the paper rounds to 0.7 and 0.3).
The architecture step runs in eval mode, on running statistics, from the eleventh epoch on. Departures of the released
code are options: it has no complexity term (``complexity=false``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.gradient import Gradient, GradientOptions, GradientStrategy
from spacec.search.options import option
from spacec.search.strategy import Phase
from spacec.search.task import Batch, OutLike
from spacec_clearer.losses import architecture_loss, complexity_loss, complexity_weights


@dataclass(frozen=True)
class ClearerOptions(GradientOptions):
    arch_weight: float = option(0.01, "weight of the binarisation loss L_arch", low=0)
    comp_weight: float = option(0.1, "weight of the complexity loss L_comp", low=0)
    complexity: bool = option(True, "whether L_comp is used; false is the released code")
    cost: str = option("params", "the space's cost that complexity weights are computed from")
    rounded: bool = option(False, "round complexity weights to one decimal, as the paper prints them (0.7 and 0.3)")
    arch_mode: Literal["eval", "train"] = option("eval", "mode of the network in the architecture step")


class Clearer(GradientStrategy):
    """See the module."""

    name = "clearer"
    help = "CLEARER: binarisation and complexity losses (Gou et al., NeurIPS 2020)"
    Options = ClearerOptions
    options: ClearerOptions
    config = {"epochs": 200, "steps": 50, "batch_size": 32, "arch_from": 10}  # noqa: RUF012  # ClassVar in the base
    complexities: Mapping[str, Tensor]

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.complexities = complexity_weights(ctx, self.options.cost, self.options.rounded)

    def architecture_gradient(self, train_batch: Batch, val_batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        with self.ctx.mode(self.options.arch_mode == "train"):
            return super().architecture_gradient(train_batch, val_batch)

    def extra_loss(self, out: OutLike, phase: Phase) -> Tensor | None:
        if phase == "weights":
            return None
        loss = self.options.arch_weight * architecture_loss(self.logits.parameters())
        if self.options.complexity:
            loss = loss + self.options.comp_weight * complexity_loss(self.logits, self.complexities)
        return loss

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        return {
            "l_arch": float(architecture_loss(self.logits.parameters()).detach()),
            "l_comp": float(complexity_loss(self.logits, self.complexities).detach()),
        }
