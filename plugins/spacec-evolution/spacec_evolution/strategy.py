"""Regularised evolution: Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search
(AAAI 2019), Algorithm 1.

The population starts with P architectures drawn uniformly. Each cycle draws S of them, with replacement, mutates the
best of these, rates the child, adds it and drops the oldest. A mutation is ``space.mutate``: one active decision takes
another value, so it runs on every space and stays within its constraints. The answer is the best ever rated.

Trials may run side by side, as in the paper's own experiments: a child comes from the population as it is when it is
asked for, and age is the order in which results come. Who asks while the first P trials are running gets another
architecture drawn uniformly, so that nobody waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.strategy import Trial, TrialResult
from spacec.search.trial_strategy import Member, TrialOptions, TrialStrategy


@dataclass(frozen=True)
class EvolutionOptions(TrialOptions):
    population: int = option(50, "P: architectures that live at a time", low=1)
    sample: int = option(10, "S: architectures drawn from the population, whose best is mutated", low=1)
    replace: bool = option(True, "draw them with replacement, as the paper; else distinct ones")
    drop: Literal["oldest", "worst"] = option("oldest", "who makes room for a child: the oldest (ageing), or the worst")


class RegularisedEvolution(TrialStrategy):
    """See the module. ``population`` is in order of age, the oldest first."""

    name = "evolution"
    help = "regularised (ageing) evolution by mutation"
    Options = EvolutionOptions
    tiny: ClassVar[Mapping[str, object]] = {"population": 2, "sample": 2, "samples": 4}
    options: EvolutionOptions

    population: deque[Member]
    filled: bool
    """Whether the population was once complete; from then on all proposals are children."""

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.population, self.filled = deque(), False

    def propose(self, n: int) -> Sequence[Trial]:
        n = min(n, self.most - self.asked)
        if self.filled:
            return [self._child() for _ in range(n)]
        if self.outstanding == 0:
            n = min(n, self.options.population - len(self.population))
        return [self.ask(self.ctx.sample()) for _ in range(n)]

    def take(self, result: TrialResult, value: float | None) -> None:
        if value is None:
            return
        self.population.append(Member(result.trial.arch, value, result.number))
        if len(self.population) > self.options.population:
            if self.options.drop == "oldest":
                self.population.popleft()
            else:
                self.population.remove(max(self.population, key=lambda m: self.loss(m.value)))
        self.filled = self.filled or len(self.population) == self.options.population

    def state_dict(self) -> dict[str, Any]:
        population = [m.state() for m in self.population]
        return {**super().state_dict(), "population": population, "filled": self.filled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.population, self.filled = deque(map(self.member, state["population"])), bool(state["filled"])

    def _child(self) -> Trial:
        """A mutation of the best of a sample; of equals, of the first drawn."""
        rng, size = self.ctx.rng, self.options.sample
        members = list(self.population)
        drawn = rng.choices(members, k=size) if self.options.replace else rng.sample(members, min(size, len(members)))
        parent = min(drawn, key=lambda m: self.loss(m.value))
        return self.ask(self.ctx.space.mutate(parent.arch, seed=rng.getrandbits(31)), {"parent": parent.number})
