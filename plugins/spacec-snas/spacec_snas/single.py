"""What SNAS and DSNAS share: one level, so that weights and logits learn from the same backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.gradient import GradientOptions, GradientStrategy
from spacec.search.options import Options, option
from spacec.search.space_like import Mask
from spacec.search.strategy import StepReport, Strategy
from spacec.space.architecture import Architecture
from spacec.space.decisions import Slot
from spacec_snas.resource import resource_by_slot


@dataclass(frozen=True)
class SingleLevelOptions(GradientOptions):
    arch_mean: float = option(1.0, "mean of the normal that the logits start from")
    arch_init: float = option(0.01, "deviation of the normal that the logits start from", low=0)
    arch_clip: float = option(0.0, "largest norm of the logits' gradient; 0 for no clipping (released code: 10)", low=0)
    resource: float = option(1.5e-3, "weight of the resource term; 0 for none", low=0)
    resource_form: Literal["log", "linear"] = option("log", "logarithms of the slots' costs, or the costs themselves")
    cost: str = option("params", "the cost of the space that the resource term counts")
    per_cell: bool = option(False, "cells that share a slot sample it each (released code: --resample_layer)")


class SingleLevel(GradientStrategy):
    """See the module. A subclass fills the logits' gradients in :meth:`learn`."""

    Options: ClassVar[type[Options]] = SingleLevelOptions
    options: SingleLevelOptions
    config: ClassVar[Mapping[str, object]] = {"epochs": 150, "batch_size": 64}
    tiny: ClassVar[Mapping[str, object]] = {"cost": "nodes"}
    """Every space has it, and where sizes follow what is picked, weights take seconds to expect."""
    arch_step = Strategy.arch_step
    """There is none: nothing reads the other half of the data."""

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        if self.options.resource != 0.0:
            ctx.require_cost(self.options.cost)

    def init(self, slot: Slot, rng: torch.Generator) -> Tensor:
        return self.options.arch_mean + self.options.arch_init * torch.randn(slot.size, generator=rng)

    def learn(self) -> Mapping[str, float]:
        """Add to ``.grad`` of the logits what the weights' backward did not; values to record."""
        raise NotImplementedError

    def after_backward(self, report: StepReport) -> Mapping[str, float]:
        values = self.learn()
        if self.options.arch_clip > 0:
            nn.utils.clip_grad_norm_(self.arch_parameters(), self.options.arch_clip)
        self.arch_optimizer.step()
        self.arch_optimizer.zero_grad()
        return values

    def resources(self, mask: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weighted resource terms by slot; none where the weight is zero."""
        options = self.options
        if options.resource == 0.0:
            return {}
        found = resource_by_slot(self.ctx, mask, options.cost, options.resource_form)
        return {slot: options.resource * r for slot, r in found.items()}

    def instances(self, slot: str) -> tuple[str, ...]:
        """The activations of a slot that are sampled apart; one nameless activation where they are not."""
        return (self.ctx.supernet.instances[slot] or ("",)) if self.options.per_cell else ("",)

    def subject(self) -> Mask | Architecture:
        return self.derive()
