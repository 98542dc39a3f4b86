"""SPOS: Guo, Zhang, Mu, Heng, Liu, Wei and Sun, Single Path One-Shot Neural Architecture Search with Uniform Sampling
(ECCV 2020).

The supernet A is trained by W* = argmin_W E_{a ~ U(A)} [L_train(N(a, W(a)))]: each weight step runs one
architecture drawn uniformly. It is then searched by :mod:`spacec_oneshot.evolution`, each candidate rated after the
statistics of its norms were re-estimated.

Most architectures of a space are of nearly the same cost, so the cheap and the dear ones are hardly ever trained. The
released code draws a bin of FLOPs first, each alike, and then an architecture of that bin: ``bins``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.bounds import comparison, drawn, narrowed
from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path
from spacec_oneshot.base import OneShot, OneShotOptions

PAPER: Mapping[str, object] = {
    "epochs": 120, "batch_size": 1024, "lr": 0.5, "lr_min": 0.0, "schedule": "linear", "schedule_by": "step",
    "weight_decay": 4e-5, "clip": 0.0, "label_smoothing": 0.1, "recalibrate": 200,
}  # fmt: skip
"""150,000 steps on ImageNet are 120 epochs."""


@dataclass(frozen=True)
class SposOptions(OneShotOptions):
    batches: int | None = option(40, "validation batches of a rating; none for all", low=1)
    cost: str = option("macs", "the cost by which bins are made")
    bins: tuple[float, ...] = option(
        (), "edges of bins of cost, rising, as 290e6,300e6,310e6: each step draws a bin, then a path in it"
    )

    def __post_init__(self) -> None:
        if len(self.bins) == 1 or any(a >= b for a, b in pairwise(self.bins)):
            shown = ",".join(f"{edge:g}" for edge in self.bins)
            raise SpacecError(Diagnostic("E0703", f"the edges of bins rise, and there are two or more: not {shown}"))


class Spos(OneShot):
    """See the module. ``parts``: the space within each bin, or the whole space alone."""

    name = "spos"
    help = "a supernet of uniform single paths, searched by evolution"
    Options = SposOptions
    config: ClassVar[Mapping[str, object]] = PAPER
    options: SposOptions

    parts: tuple[SpaceLike, ...]

    def setup(self, ctx: SearchContext) -> None:
        """Raises :class:`SpacecError`: E0512 for a cost that the space does not have, E0511 for a bin that is empty."""
        super().setup(ctx)
        self.parts = bins(ctx, self.options.cost, self.options.bins) if self.options.bins else (ctx.space,)

    def masks(self, step: int) -> Sequence[Path]:
        part = self.ctx.rng.choice(self.parts) if len(self.parts) > 1 else self.parts[0]
        return [self.path(drawn(part, self.ctx.rng))]


def bins(ctx: SearchContext, cost: str, edges: Sequence[float]) -> tuple[SpaceLike, ...]:
    """The space within each bin: from its lower edge to below its upper one, which belongs to the last bin only."""
    ctx.require_cost(cost)
    below = ["<"] * (len(edges) - 2) + ["<="]
    return tuple(
        narrowed(ctx, (comparison(ctx, cost, ">=", low), comparison(ctx, cost, sign, high)))
        for (low, high), sign in zip(pairwise(edges), below, strict=True)
    )
