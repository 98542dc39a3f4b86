"""GAEA (Li, Khodak, Balcan & Talwalkar, *Geometry-aware gradient algorithms for neural architecture search*, ICLR
2021).

Architecture parameters are points of simplices and weigh the candidates as they are; they are trained by exponentiated
gradient (:mod:`spacec_gaea.simplex`)::

    p <- p exp(-lr g) / Z          g = dL/dp of the validation loss (bi-level), or of the training loss (single-level)

It stands on first-order DARTS, or on PC-DARTS (``partial=4``): candidates run on a part of the channels, and the edges
into a node are weighed by a point of a simplex of their own. Settings and rate are those of NAS-Bench-360's runs (Tu et
al., NeurIPS 2022). Departures of the code released with these are options: ``again`` (a softmax is applied to the
points before they weigh, so the weight of one of eight candidates stays between 0.103 and 0.280), ``start=ones``
(points start at ones; the first step brings them to the simplex) and ``edge_norm=cell`` (edge weights are one point
over all edges of a cell).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.gradient import Gradient, GradientStrategy
from spacec.search.options import Options, option
from spacec.search.partial import report_whole, without_shares
from spacec.search.space_like import SpaceLike
from spacec.search.task import Batch
from spacec.space.decisions import Slot
from spacec_gaea.simplex import ExponentiatedGradient


@dataclass(frozen=True)
class GAEAOptions(Options):
    arch_lr: float = option(0.1, "rate of the exponentiated gradient", low=0)
    level: Literal["bi", "single"] = option("bi", "architecture gradients of the arch split, or of the weights' batch")
    partial: int = option(1, "candidates run on one channel in so many; 4 is PC-DARTS", low=1)
    edges: bool | None = option(None, "weigh the edges into a node against each other; none: where partial is above 1")
    again: bool = option(False, "apply a softmax to the points before they weigh, as the released code")
    start: Literal["uniform", "ones"] = option("uniform", "what points start from; the released code takes ones")
    edge_norm: Literal["node", "cell"] = option("node", "whose edge weights sum to one; the released code: a cell's")


class GAEA(GradientStrategy):
    """See the module. ``logits`` holds the points of the slots, ``betas`` those of the edges into each node."""

    name = "gaea"
    help = "GAEA: exponentiated gradient on the simplex, over DARTS or PC-DARTS (Li et al., ICLR 2021)"
    Options = GAEAOptions
    options: GAEAOptions
    config = {"batch_size": 256, "lr": 0.1, "lr_min": 0.0, "arch_from": 11}  # noqa: RUF012  # ClassVar in the base
    nodes: tuple[tuple[str, ...], ...]
    betas: list[nn.Parameter]

    def supernet_options(self) -> Mapping[str, Any]:
        return {"partial": self.options.partial} if self.options.partial > 1 else {}

    def unsupported(self, space: SpaceLike) -> str:
        return super().unsupported(space) or without_shares(space, self.options.partial)

    def setup(self, ctx: SearchContext) -> None:
        weighed = self.options.edges if self.options.edges is not None else self.options.partial > 1
        self.nodes = ctx.nodes if weighed else ()
        self.betas = [nn.Parameter(self._first(len(node)).to(ctx.device)) for node in self.nodes]
        super().setup(ctx)

    def on_epoch(self, epoch: int) -> None:
        if epoch == 0:
            report_whole(self.ctx, self.options.partial)

    def init(self, slot: Slot, rng: torch.Generator) -> Tensor:
        return self._first(slot.size)

    def arch_parameters(self) -> list[nn.Parameter]:
        return [*self.logits.parameters(), *self.betas]

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        simplices = [*([p] for p in self.logits.parameters()), *self._edge_simplices()]
        return ExponentiatedGradient(simplices, self.options.arch_lr)

    def weights(self) -> Mapping[str, Tensor]:
        again = self.options.again
        found: dict[str, Tensor] = self.logits.softmax() if again else {**self.logits}
        for node, beta in zip(self.nodes, self.betas, strict=True):
            for k, share in enumerate((beta.softmax(0) if again else beta).unbind()):
                found[node[k]] = share * found[node[k]]
        return found

    def architecture_gradient(self, train_batch: Batch, val_batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        return super().architecture_gradient(train_batch, val_batch if self.options.level == "bi" else train_batch)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "betas": [beta.detach().clone() for beta in self.betas]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        with torch.no_grad():
            for beta, value in zip(self.betas, state["betas"], strict=True):
                beta.copy_(value)

    def _first(self, n: int) -> Tensor:
        return torch.full((n,), 1.0 if self.options.start == "ones" else 1.0 / n)

    def _edge_simplices(self) -> list[list[nn.Parameter]]:
        """The edge weights that sum to one between them."""
        if self.options.edge_norm == "node":
            return [[beta] for beta in self.betas]
        owners: dict[str, list[nn.Parameter]] = {}
        for node, beta in zip(self.nodes, self.betas, strict=True):
            owners.setdefault(self._owner(node), []).append(beta)
        return list(owners.values())

    def _owner(self, node: tuple[str, ...]) -> str:
        """The ``let`` that the choices into a node belong to, such as a kind of cell."""
        decided = (slot.decision or slot.pick for slot in self.ctx.slots if slot.id in node)
        return next((self.ctx.space.table.by_id[d].owner for d in decided if d is not None), "net")
