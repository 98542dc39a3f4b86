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
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.gradient import GradientOptions, GradientStrategy
from spacec.search.options import option
from spacec.search.partial import report_whole, without_shares
from spacec.search.seeds import generator
from spacec.search.space_like import Mask, SpaceLike
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class PCDARTSOptions(GradientOptions):
    arch_lr: float = option(6e-4, "learning rate of the architecture logits (Adam)", low=0)
    partial: int = option(4, "K: candidates run on 1/K of the channels", low=1)
    edge_norm: bool = option(True, "weigh the edges into a node by a softmax of their own")


class PCDARTS(GradientStrategy):
    """See the module. ``self.betas``: logits of the edges into each of ``self.nodes``."""

    name = "pc-darts"
    help = "PC-DARTS, partial channels and edge normalisation (Xu et al., ICLR 2020)"
    Options = PCDARTSOptions
    options: PCDARTSOptions
    config = {"batch_size": 256, "lr": 0.1, "lr_min": 0.0, "arch_from": 15}  # noqa: RUF012  # declared ClassVar by the base
    nodes: tuple[tuple[str, ...], ...]
    betas: list[nn.Parameter]

    def supernet_options(self) -> Mapping[str, Any]:
        return {"partial": self.options.partial} if self.options.partial > 1 else {}

    def unsupported(self, space: SpaceLike) -> str:
        why = super().unsupported(space) or without_shares(space, self.options.partial)
        return f"{why} (`-o partial=1` searches on all channels)" if "channels" in why else why

    def setup(self, ctx: SearchContext) -> None:
        self.nodes = ctx.nodes if self.options.edge_norm else ()
        rng = generator(ctx.seed, "betas")
        starts = (self.options.arch_init * torch.randn(len(node), generator=rng) for node in self.nodes)
        self.betas = [nn.Parameter(b.to(ctx.device)) for b in starts]
        super().setup(ctx)

    def on_epoch(self, epoch: int) -> None:
        if epoch == 0:
            report_whole(self.ctx, self.options.partial)

    def arch_parameters(self) -> list[nn.Parameter]:
        return [*self.logits.parameters(), *self.betas]

    def weights(self) -> Mapping[str, Tensor]:
        """Softmax of the logits, times the edge's weight: the vectors of a node's edges sum to one together."""
        found = self.logits.softmax()
        for node, beta in zip(self.nodes, self.betas, strict=True):
            for slot, weight in zip(node, beta.softmax(0), strict=True):
                found[slot] = weight * found[slot]
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

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "betas": [b.detach().clone() for b in self.betas]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        with torch.no_grad():
            for beta, saved in zip(self.betas, state["betas"], strict=True):
                beta.copy_(saved)
