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
from typing import Literal

import torch
from torch import Tensor, nn

from spacec.search.edges import EdgeStrategy
from spacec.search.gradient import Gradient
from spacec.search.options import Options, option
from spacec.search.partial import PartialStrategy
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


class GAEA(PartialStrategy, EdgeStrategy):
    """See the module. ``logits`` holds the points of the slots, ``betas`` those of the edges into each node."""

    name = "gaea"
    help = "GAEA: exponentiated gradient on the simplex, over DARTS or PC-DARTS (Li et al., ICLR 2021)"
    Options = GAEAOptions
    options: GAEAOptions
    config = {"batch_size": 256, "lr": 0.1, "lr_min": 0.0, "arch_from": 11}  # noqa: RUF012  # ClassVar in the base

    def weighs_edges(self) -> bool:
        return self.options.partial > 1 if self.options.edges is None else self.options.edges

    def first_beta(self, n: int, rng: torch.Generator) -> Tensor:
        return self._first(n)

    def shares(self, beta: Tensor) -> Tensor:
        return beta.softmax(0) if self.options.again else beta

    def init(self, slot: Slot, rng: torch.Generator) -> Tensor:
        return self._first(slot.size)

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        simplices = [*([p] for p in self.logits.parameters()), *self._edge_simplices()]
        return ExponentiatedGradient(simplices, self.options.arch_lr)

    def weights(self) -> Mapping[str, Tensor]:
        return self.weighed(self.logits.softmax() if self.options.again else self.logits)

    def architecture_gradient(self, train_batch: Batch, val_batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        return super().architecture_gradient(train_batch, val_batch if self.options.level == "bi" else train_batch)

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
