"""A strategy: the whole protocol has defaults, so that one writes only what differs."""

from __future__ import annotations

from dataclasses import dataclass

from spacec.search.options import Options, option
from spacec.search.strategy import Strategy
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class CheapestOptions(Options):
    samples: int = option(100, "how many architectures to draw", low=1)


class Cheapest(Strategy):
    """Draws architectures uniformly and keeps the one with the fewest weights; trains nothing."""

    name = "cheapest"
    Options = CheapestOptions
    options: CheapestOptions

    @property
    def uses_supernet(self) -> bool:
        return False

    def derive(self) -> Architecture:
        space = self.ctx.space
        drawn = space.sample(n=self.options.samples, seed=self.ctx.seed)
        return min(drawn, key=lambda arch: space.cost(arch, "params"))
