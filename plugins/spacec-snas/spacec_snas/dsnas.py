"""DSNAS (Hu, Xie, Zheng, Liu, Shi, Liu & Lin, CVPR 2020): one sampled path, one level::

    Z one-hot ~ softmax(alpha),  loss L(w, Z): only the sampled candidates run, each times its Z of value one
    dL/dalpha = C_e d log p(Z)/dalpha = C_e (Z - p),   C_e = sum_k Z_k dL/dZ_k = dL/dZ_sampled

The edge's cost C_e is summed over all cells that share the slot, and needs one backward pass, that of the weights.
Resources add to it: with r_e the resource term of the sampled candidate, C_e + eta r_e is an unbiased estimate of the
gradient of L + eta E[R] (``resource_at=sample``); ``probabilities`` takes the gradient of R at softmax(alpha) instead.
``clamp=5`` bounds C_e, as released code of the authors' later analysis does (Xie, Hu et al., AISTATS 2021). The weights
of a pick's edges are no choice: they are a softmax, and C_e (Z - p) becomes ``c_k - p_k C_e``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spacec.lower.masks import OneHot, PerInstance
from spacec.search.options import option
from spacec.search.soft import without_slots
from spacec.search.space_like import Mask, SpaceLike
from spacec.search.strategy import Path
from spacec.space.decisions import Slot
from spacec_snas.single import SingleLevel, SingleLevelOptions


@dataclass(frozen=True)
class DSNASOptions(SingleLevelOptions):
    clamp: float = option(0.0, "largest size of an edge's cost; 0 for no bound (released code: 5)", low=0)
    resource_at: Literal["sample", "probabilities"] = option("sample", "where the resource term is taken")


class DSNAS(SingleLevel):
    """See the module. ``gates``: the leaves Z of the present step, by slot and activation."""

    name = "dsnas"
    help = "DSNAS: one sampled path, single level (Hu et al., CVPR 2020)"
    Options = DSNASOptions
    options: DSNASOptions
    gates: dict[str, dict[str, Tensor]]

    def unsupported(self, space: SpaceLike) -> str:
        return without_slots(space)

    def masks(self, step: int) -> Sequence[Path]:
        self.gates = self._sampled()
        return [Path(self.mask())]

    def mask(self) -> Mask:
        """The present gates as a mask, with gradient to them."""
        return {s.id: self._entry(s) for s in self.ctx.slots}

    def learn(self) -> Mapping[str, float]:
        """The gradients of the logits, from those that the weights' backward left in the gates."""
        terms = self._resources()
        edges: list[float] = []
        for slot in self.ctx.slots:
            gradient = self._gradient(slot, terms.get(slot.id), edges)
            if gradient is not None:
                self.logits[slot.id].grad = gradient
        if terms and self.options.resource_at == "probabilities":
            torch.autograd.backward(torch.stack(tuple(terms.values())).sum())
        values = {"edge_cost": sum(edges)}
        return values | ({"resource": float(sum(t.detach() for t in terms.values()))} if terms else {})

    def _gradient(self, slot: Slot, resource: Tensor | None, edges: list[float]) -> Tensor | None:
        """``sum over activations of C_e (Z - p)``; ``None`` where nothing of the slot ran. Appends C_e to ``edges``."""
        p = self.logits[slot.id].detach().softmax(0)
        ran = [gate for gate in self.gates[slot.id].values() if gate.grad is not None]
        extra = resource.detach() if resource is not None and self.options.resource_at == "sample" else None
        if not ran and extra is None:
            return None
        total = torch.zeros_like(p)
        for gate in self.gates[slot.id].values():
            costs = gate.detach() * gate.grad if gate.grad is not None else torch.zeros_like(p)
            edge = costs.sum()
            if slot.edges:
                total += costs - p * edge
                continue
            edges.append(float(edge))
            if self.options.clamp > 0:
                edge = edge.clamp(-self.options.clamp, self.options.clamp)
            if extra is not None:
                edge = edge + extra / len(self.gates[slot.id])
            total += edge * (gate.detach() - p)
        return total

    def _resources(self) -> dict[str, Tensor]:
        if self.options.resource_at == "probabilities":
            return self.resources(self.weights())
        return self.resources({s: torch.stack([g.detach() for g in z.values()]).mean(0) for s, z in self.gates.items()})

    def _sampled(self) -> dict[str, dict[str, Tensor]]:
        """One draw serves all activations of a slot; apart, the i-th activation of every slot follows draw i."""
        p = self.weights()
        counts = {s.id: self.instances(s.id) for s in self.ctx.slots}
        draws = [self.ctx.draw(p) for _ in range(max(map(len, counts.values()), default=1))]
        found: dict[str, dict[str, Tensor]] = {}
        for slot in self.ctx.slots:
            names = ("",) if slot.edges else counts[slot.id]
            drawn = [p[slot.id].detach().clone() if slot.edges else self._one_hot(slot, d[slot.id]) for d in draws]
            found[slot.id] = {name: z.requires_grad_() for name, z in zip(names, drawn, strict=False)}
        return found

    def _one_hot(self, slot: Slot, drawn: int) -> Tensor:
        gate = torch.zeros_like(self.logits[slot.id]).detach()
        gate[drawn] = 1.0
        return gate

    def _entry(self, slot: Slot) -> object:
        gates = self.gates[slot.id]
        if slot.edges:
            return gates[""]
        if "" in gates:
            return OneHot(gates[""])
        return PerInstance({name: OneHot(gate) for name, gate in gates.items()})
