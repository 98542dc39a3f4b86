"""PC-DARTS (Xu et al., ICLR 2020): DARTS on a share of the channels, with normalised edges.

Partial channels, a form of the supernet (:mod:`spacec.passes.partial`); S takes the first 1/K of the channels::

    f(x; S) = Σ_o softmax(a)_o · o(S * x)  beside  (1 - S) * x, channels shuffled                         (eq. 2)

Edge normalisation: the edges into a node j are weighed against each other::

    x_j = Σ_{i<j} softmax(b_j)_i · f(x_i; S)                                                             (eq. 3)

Both sets of logits, a and b, are trained together on data that the weights do not see. The derived architecture ranks
edges by ``softmax(b) · max_o softmax(a)_o``. Where a pick has a slot of edge weights (``edges = 1``), b is its logits;
other sums of choices get logits of their own, which scale the masks of their terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.search.edges import EdgeStrategy
from spacec.search.gradient import GradientOptions
from spacec.search.options import option
from spacec.search.partial import PartialStrategy
from spacec.search.space_like import Mask
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class PCDARTSOptions(GradientOptions):
    arch_lr: float = option(6e-4, "learning rate of the architecture logits (Adam)", low=0)
    partial: int = option(4, "K: candidates run on 1/K of the channels", low=1)
    edge_norm: bool = option(True, "weigh the edges into a node by a softmax of their own")


class PCDARTS(PartialStrategy, EdgeStrategy):
    """See the module."""

    name = "pc-darts"
    help = "PC-DARTS: partial channels and edge normalisation (Xu et al., ICLR 2020)"
    Options = PCDARTSOptions
    options: PCDARTSOptions
    config = {"batch_size": 256, "lr": 0.1, "lr_min": 0.0, "arch_from": 15}  # noqa: RUF012  # declared ClassVar by the base

    def weighs_edges(self) -> bool:
        return self.options.edge_norm

    def first_beta(self, n: int, rng: torch.Generator) -> Tensor:
        return self.options.arch_init * torch.randn(n, generator=rng)

    def weights(self) -> Mapping[str, Tensor]:
        """Softmax of the logits, times the edge's weight: the vectors of a node's edges sum to one together."""
        found = self.weighed(self.logits.softmax())
        if not self.options.edge_norm:
            found |= {slot.id: torch.ones_like(found[slot.id]) for slot in self.ctx.slots if slot.edges}
        return found

    def probabilities(self) -> Mapping[str, Sequence[float]]:
        """Of the candidates of each slot, without the weights of edges."""
        return self.logits.probabilities()

    def subject(self) -> Mask:
        return {slot: w.detach() for slot, w in self.weights().items()}

    def derive(self) -> Architecture:
        """By the candidates' softmax times the edges'."""
        return self.ctx.derive({slot: w.detach().double().tolist() for slot, w in self.weights().items()})
