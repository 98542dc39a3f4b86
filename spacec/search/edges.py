"""Base of strategies that weigh the edges into a node against each other, as PC-DARTS' edge normalisation does::

x_j = sum_i s_i f_i(x_i),     s = shares(beta_j),  one number for each choice i that is summed into node j
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.gradient import GradientStrategy
from spacec.search.seeds import generator


class EdgeStrategy(GradientStrategy):
    """See the module. ``betas``: a parameter ``(n,)`` for each of ``nodes``, trained with the logits."""

    nodes: tuple[tuple[str, ...], ...]
    """The slots that are summed into one node, node by node; none where edges are not weighed."""
    betas: list[nn.Parameter]

    def weighs_edges(self) -> bool:
        """Whether edges are weighed at all."""
        raise NotImplementedError

    def first_beta(self, n: int, rng: torch.Generator) -> Tensor:
        """What the parameter of a node of ``n`` edges starts from ``(n,)``."""
        raise NotImplementedError

    def shares(self, beta: Tensor) -> Tensor:
        """The weights of a node's edges ``(n,)``, with gradient to its parameter: a softmax."""
        return beta.softmax(0)

    def setup(self, ctx: SearchContext) -> None:
        self.nodes = ctx.nodes if self.weighs_edges() else ()
        rng = generator(ctx.seed, "betas")
        self.betas = [nn.Parameter(self.first_beta(len(node), rng).to(ctx.device)) for node in self.nodes]
        super().setup(ctx)

    def arch_parameters(self) -> list[nn.Parameter]:
        return [*super().arch_parameters(), *self.betas]

    def weighed(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``weights`` ``(n,)`` by slot, those of a node's edges times their shares."""
        found = dict(weights)
        for node, beta in zip(self.nodes, self.betas, strict=True):
            for slot, share in zip(node, self.shares(beta).unbind(), strict=True):
                found[slot] = share * found[slot]
        return found

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "betas": [beta.detach().clone() for beta in self.betas]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        with torch.no_grad():
            for beta, saved in zip(self.betas, state["betas"], strict=True):
                beta.copy_(saved)
