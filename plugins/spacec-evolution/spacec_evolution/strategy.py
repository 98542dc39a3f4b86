"""Regularised evolution: Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search
(AAAI 2019), Algorithm 1.

The population starts with P architectures drawn uniformly. Each cycle draws S of them, with replacement, mutates the
best of these, rates the child, adds it and drops the oldest. A mutation is ``space.mutate``: one active decision takes
another value, so it runs on every space and stays within its constraints. The answer is the best ever rated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.task import Metric
from spacec.space.architecture import Architecture

SAMPLES = 1000
"""Architectures that are rated where neither the strategy nor the search is told how many."""


@dataclass(frozen=True)
class EvolutionOptions(Options):
    population: int = option(50, "P: architectures that live at a time", low=1)
    sample: int = option(10, "S: architectures drawn from the population, whose best is mutated", low=1)
    replace: bool = option(True, "draw them with replacement, as the paper; else distinct ones")
    drop: Literal["oldest", "worst"] = option("oldest", "who makes room for a child: the oldest (ageing), or the worst")
    samples: int | None = option(None, "architectures to rate in all; none for the search's trials, else 1000", low=1)
    trial_epochs: int | None = option(None, "epochs of a trial; none for the training's own", low=1)


@dataclass(frozen=True)
class Member:
    """An architecture of the population and its rating."""

    arch: Architecture
    value: float


class RegularisedEvolution(Strategy):
    """See the module. ``population`` is in order of age, the oldest first."""

    name = "evolution"
    help = "regularised (ageing) evolution by mutation"
    Options = EvolutionOptions
    tiny: ClassVar[Mapping[str, object]] = {"population": 2, "sample": 2, "samples": 4}
    options: EvolutionOptions

    population: deque[Member]
    best: Member | None
    proposed: int
    failure: str = ""
    """Why the first of the trials that failed did."""
    filled: bool
    """Whether the population was once complete; from then on all proposals are children."""

    @property
    def uses_supernet(self) -> bool:
        return False

    @property
    def metric(self) -> Metric:
        return self.ctx.task.metrics[0]

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.population, self.best, self.proposed, self.filled = deque(), None, 0, False

    def propose(self, n: int) -> Sequence[Trial]:
        most = self.options.samples or self.ctx.config.trials or SAMPLES
        if not self.filled:
            n = min(n, self.options.population - len(self.population))
        n = min(n, most - self.proposed)
        self.proposed += n
        make = self._child if self.filled else self.ctx.sample
        return [Trial(make(), "standalone", self.options.trial_epochs) for _ in range(n)]

    def observe(self, results: Sequence[TrialResult]) -> None:
        for result in results:
            self.failure = self.failure or result.error
            value = float("nan") if result.failed else float(result.metrics[self.metric.name])
            if value == value:
                self._add(Member(result.trial.arch, value))

    def derive(self) -> Architecture:
        if self.best is None:
            headline = f"none of the {self.proposed} trials succeeded, so nothing was found"
            raise SpacecError(Diagnostic("E0821", headline, notes=(self.failure,) if self.failure else ()))
        return self.best.arch

    def state_dict(self) -> dict[str, Any]:
        return {
            "population": [(m.arch.text(), m.value) for m in self.population],
            "best": None if self.best is None else (self.best.arch.text(), self.best.value),
            "proposed": self.proposed,
            "filled": self.filled,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.population = deque(self._member(*pair) for pair in state["population"])
        self.best = None if state["best"] is None else self._member(*state["best"])
        self.proposed, self.filled = int(state["proposed"]), bool(state["filled"])

    def _member(self, text: str, value: float) -> Member:
        return Member(self.ctx.space.architecture(text), float(value))

    def _add(self, member: Member) -> None:
        if self.best is None or self.metric.better(member.value, self.best.value):
            self.best = member
        self.population.append(member)
        if len(self.population) > self.options.population:
            if self.options.drop == "oldest":
                self.population.popleft()
            else:
                self.population.remove(self._worst())
        self.filled = self.filled or len(self.population) == self.options.population

    def _child(self) -> Architecture:
        """A mutation of the best of a sample; of equals, of the first drawn."""
        rng, size = self.ctx.rng, self.options.sample
        members = list(self.population)
        drawn = rng.choices(members, k=size) if self.options.replace else rng.sample(members, min(size, len(members)))
        sign = 1.0 if self.metric.direction == "max" else -1.0
        parent = max(drawn, key=lambda m: sign * m.value)
        return self.ctx.space.mutate(parent.arch, seed=rng.getrandbits(31))

    def _worst(self) -> Member:
        """The member with the worst rating; of equals, the oldest."""
        sign = 1.0 if self.metric.direction == "max" else -1.0
        return min(self.population, key=lambda m: sign * m.value)
