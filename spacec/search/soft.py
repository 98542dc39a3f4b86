"""Base of strategies that hold one logit vector per slot and run every candidate, weighed by a softmax over it.

How the logits learn is the subclass's matter: :class:`spacec.search.gradient.GradientStrategy` gives them Adam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.logits import Logits
from spacec.search.options import Options, option
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path, Strategy
from spacec.space.architecture import Architecture
from spacec.space.decisions import Slot


@dataclass(frozen=True)
class SoftOptions(Options):
    """How the logits start."""

    arch_init: float = option(1e-3, "deviation of the normal that the logits start from", low=0)


class SoftStrategy(Strategy):
    """See the module. ``self.logits`` exists from :meth:`setup` on."""

    Options: ClassVar[type[Options]] = SoftOptions
    options: Any
    """Of :class:`SoftOptions`, but for a subclass that has its own :meth:`init`."""
    logits: Logits

    def unsupported(self, space: SpaceLike) -> str:
        if why := without_slots(space):
            return why
        sized = next((slot for slot in space.slots if slot.sized), None)
        return "" if sized is None else f"what slot '{sized.id}' takes decides sizes, so it cannot be mixed softly"

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.logits = ctx.logits(self.init)

    def init(self, slot: Slot, rng: torch.Generator) -> Tensor:
        """The first logits of a slot ``(n,)``."""
        options: SoftOptions = self.options
        return options.arch_init * torch.randn(slot.size, generator=rng)

    def weights(self) -> Mapping[str, Tensor]:
        """The soft mask, with gradient to the logits."""
        return self.logits.softmax()

    def masks(self, step: int) -> Sequence[Path]:
        return [Path({slot: w.detach() for slot, w in self.weights().items()})]

    def derive(self) -> Architecture:
        return self.ctx.derive(self.probabilities())

    def probabilities(self) -> Mapping[str, Sequence[float]]:
        with torch.no_grad():
            return {slot: w.detach().double().cpu().tolist() for slot, w in self.weights().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.logits.load_state_dict(state["logits"])


def without_slots(space: SpaceLike) -> str:
    """Why there are no logits to learn on ``space``; empty if it has slots."""
    return "" if space.slots else "it has no choice between candidates, so there are no logits to learn"
