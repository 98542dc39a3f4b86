"""GDAS (Dong & Yang, CVPR 2019): hard Gumbel-softmax masks, two levels::

    k   = argmax(log p + G),           p = softmax(alpha),  G Gumbel noise
    h   = softmax((log p + G) / tau),  tau from 10 to 0.1
    Z   = onehot(k) - stop(h) + h      value one-hot, gradient that of h

Only the candidate k runs. So dL/dZ is zero for the others and dL/dalpha = dL/dZ_k dh_k/dalpha. In the released code
each other candidate adds its zero weight to the output (``sum(w * op(x) if i == k else w)``), which gives it the
gradient sum(dL/dy) instead: ``zero_weights=true``. Weights learn on one sampled path, on the other half of the data.

Sharing is by slot: one draw serves all cells of a kind. The weights of a pick's edges are no choice, but a softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from spacec.lower.masks import OneHot
from spacec.search.context import SearchContext
from spacec.search.gradient import GradientOptions, GradientStrategy
from spacec.search.options import option
from spacec.search.soft import without_slots
from spacec.search.space_like import Mask, SpaceLike
from spacec.search.strategy import Path
from spacec.space.architecture import Architecture
from spacec_snas.gumbel import falling, noise_given


@dataclass(frozen=True)
class GDASOptions(GradientOptions):
    tau: float = option(10.0, "temperature of the Gumbel-softmax at first", low=1e-6)
    tau_end: float = option(0.1, "temperature in the last epoch; it falls linearly", low=1e-6)
    zero_weights: bool = option(False, "zero weights are added to outputs, for their gradients (released code)")


class GDAS(GradientStrategy):
    """See the module."""

    name = "gdas"
    help = "GDAS: hard Gumbel-softmax, one path runs (Dong & Yang, CVPR 2019)"
    Options = GDASOptions
    options: GDASOptions
    config = {"epochs": 250, "batch_size": 64}  # noqa: RUF012  # declared ClassVar by the base

    def unsupported(self, space: SpaceLike) -> str:
        return without_slots(space)

    @property
    def heat(self) -> float:
        """The temperature of this epoch: ``tau`` in the first one, ``tau_end`` in the last."""
        return falling(self.options.tau, self.options.tau_end, self.ctx.epoch, self.ctx.epochs - 1)

    def masks(self, step: int) -> Sequence[Path]:
        p = self.weights()
        return [Path(self.ctx.path(self.ctx.draw(p), p))]

    def arch_mask(self) -> Mask:
        """Z by slot, with gradient to the logits."""
        p = self.weights()
        drawn = self.ctx.draw(p)
        return {s.id: p[s.id] if s.edges else self._entry(s.id, drawn[s.id]) for s in self.ctx.slots}

    def _entry(self, slot: str, drawn: int) -> OneHot:
        noise = noise_given(self.logits[slot], drawn, self.ctx.generator)
        return OneHot(hard(self.logits[slot], noise, drawn, self.heat), zeros=self.options.zero_weights)

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        return {"temperature": self.heat}

    def subject(self) -> Mask | Architecture:
        return self.derive()


def hard(logits: Tensor, noise: Tensor, drawn: int, tau: float) -> Tensor:
    """Z ``(n,)``: one-hot at ``drawn``, with the gradient of ``softmax((log softmax(logits) + noise) / tau)``."""
    soft = ((logits.log_softmax(0) + noise) / tau).softmax(0)
    one_hot = soft.detach().new_zeros(soft.shape)
    one_hot[drawn] = 1.0
    return one_hot - soft.detach() + soft
