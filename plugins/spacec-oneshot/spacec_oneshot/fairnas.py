"""FairNAS: Chu, Zhang and Xu, FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search
(ICCV 2021), Algorithm 1: strict fairness.

With m candidates in every layer, a weight step draws a permutation of them for each layer and runs m single paths on
one batch, the k-th of which takes the k-th candidate of every permutation. Their gradients are summed, and the
optimiser takes one step: each candidate of each layer is trained exactly once a step.

Where decisions have different numbers of candidates, m is the most of them, and a decision that has fewer deals its
candidates from a deck that is shuffled whenever it is empty (:mod:`spacec_oneshot.deck`), also across steps: no
candidate is trained more than once more often than another of its decision, ever. With m candidates everywhere this is
the paper's rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from spacec.search.bounds import drawn
from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.strategy import Path
from spacec.space.architecture import Architecture
from spacec_oneshot.base import OneShot, OneShotOptions
from spacec_oneshot.deck import Decks, most_cards

PAPER: Mapping[str, object] = {"epochs": 150, "lr": 0.045, "lr_min": 0.0, "recalibrate": 200}


@dataclass(frozen=True)
class FairNasOptions(OneShotOptions):
    search: str = option("nsga2", "who searches the trained supernet: a strategy that rates one by one")
    paths: int | None = option(
        None, "m: paths of a step; none for as many as the decision with the most candidates has", low=1
    )


class FairNas(OneShot):
    """See the module."""

    name = "fairnas"
    help = "a supernet whose candidates are trained equally often, step by step, searched by NSGA-II"
    Options = FairNasOptions
    config: ClassVar[Mapping[str, object]] = PAPER
    tiny: ClassVar[Mapping[str, object]] = {"search_options": "population=2,samples=5", "batches": 1}
    options: FairNasOptions

    decks: Decks

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.decks = Decks(ctx.space.table)

    @property
    def paths(self) -> int:
        """m."""
        return self.options.paths or most_cards(self.ctx.space.table)

    def masks(self, step: int) -> Sequence[Path]:
        return [self.path(self._dealt()) for _ in range(self.paths)]

    def _dealt(self) -> Architecture:
        found = self.decks.deal(self.ctx.rng)
        if found is None:
            found = drawn(self.ctx.space, self.ctx.rng)
            self.decks.take_out(found)
        return found

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "decks": self.decks.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.decks.load(state["decks"])
