"""SNAS (Xie, Zheng, Liu & Lin, ICLR 2019): masks sampled from the concrete distribution, one level::

    Z_k         = softmax((alpha + G) / lambda)_k,   G Gumbel noise, lambda from 1 to 0.03
    loss        = L(w, Z) + eta R(Z),                one backward pass for w and alpha
    dL/dalpha_k = (c_k - Z_k C_e) / lambda,          c_k = Z_k dL/dZ_k the candidate's cost, C_e = sum_k c_k the edge's

One sample a step serves all cells that share a slot; with ``per_cell`` each draws its own. The weights of a pick's
edges are no choice: they are a softmax, without noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.lower.masks import PerInstance
from spacec.search.options import option
from spacec.search.space_like import Mask
from spacec.search.strategy import Path
from spacec.space.decisions import Slot
from spacec_snas.gumbel import concrete, falling, gumbel
from spacec_snas.single import SingleLevel, SingleLevelOptions


@dataclass(frozen=True)
class SNASOptions(SingleLevelOptions):
    temperature: float = option(1.0, "temperature of the concrete distribution at first", low=1e-6)
    temperature_end: float = option(0.03, "temperature that it falls to, linearly over the epochs", low=1e-6)


class SNAS(SingleLevel):
    """See the module. ``noise``: the Gumbel noise of the present step, by slot and activation."""

    name = "snas"
    help = "SNAS: concrete relaxation, single level (Xie et al., ICLR 2019)"
    Options = SNASOptions
    options: SNASOptions
    noise: dict[str, dict[str, Tensor]]

    @property
    def heat(self) -> float:
        """The temperature of this epoch."""
        return falling(self.options.temperature, self.options.temperature_end, self.ctx.epoch, self.ctx.epochs)

    def masks(self, step: int) -> Sequence[Path]:
        self.noise = {s.id: self._noise(s) for s in self.ctx.slots}
        return [Path(self.mask())]

    def mask(self) -> Mask:
        """Z under the present noise, with gradient to the logits."""
        return {slot: z[""] if "" in z else PerInstance(z) for slot, z in self.samples().items()}

    def samples(self) -> dict[str, dict[str, Tensor]]:
        """Z by slot and activation."""
        return {s.id: {i: self._relaxed(s, g) for i, g in self.noise[s.id].items()} for s in self.ctx.slots}

    def learn(self) -> Mapping[str, float]:
        """The weights' backward has been through Z; the resource term is added at the same Z."""
        terms = self.resources({s: torch.stack(tuple(z.values())).mean(0) for s, z in self.samples().items()})
        values = {"temperature": self.heat}
        if terms:
            total = torch.stack(tuple(terms.values())).sum()
            torch.autograd.backward(total)
            values["resource"] = float(total.detach())
        return values

    def _noise(self, slot: Slot) -> dict[str, Tensor]:
        logits = self.logits[slot.id].detach()
        if slot.edges:
            return {"": torch.zeros_like(logits)}
        return {name: gumbel(logits, self.ctx.generator) for name in self.instances(slot.id)}

    def _relaxed(self, slot: Slot, noise: Tensor) -> Tensor:
        return concrete(self.logits[slot.id], noise, 1.0 if slot.edges else self.heat)
