"""The base of strategies that only rate trials, alone and in any order of their results.

A :class:`TrialStrategy` asks for trials by :meth:`~TrialStrategy.ask` and is told of each by
:meth:`~TrialStrategy.take`. It may be asked for more while trials are running: it then proposes what it can without
their results, or nothing. The number of a trial is the order of asking, from 0. ``derive`` gives the best ever rated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.strategy import Strategy, Trial, TrialResult
from spacec.search.task import Metric
from spacec.space.architecture import Architecture

SAMPLES = 1000
"""Trials where neither the strategy nor the search is told how many."""


@dataclass(frozen=True)
class TrialOptions(Options):
    """How many trials, and how long each."""

    samples: int | None = option(None, "trials in all; none for the search's trials, else 1000", low=1)
    trial_epochs: int | None = option(None, "epochs of a trial; none for the training's own", low=1)


@dataclass(frozen=True)
class Member:
    """An architecture, its rating and the number of the trial that gave it."""

    arch: Architecture
    value: float
    number: int

    def state(self) -> tuple[str, float, int]:
        """For a checkpoint; :meth:`TrialStrategy.member` reads it."""
        return self.arch.text(), self.value, self.number


class TrialStrategy(Strategy):
    """See the module. ``asked`` and ``told`` count trials, ``failed`` those without a rating."""

    asked: int
    told: int
    failed: int
    failure: str
    """Why the first of those that failed did."""
    best: Member | None
    """The best ever rated; of equals the first told."""

    @property
    def uses_supernet(self) -> bool:
        return False

    @property
    def metric(self) -> Metric:
        """What is made better."""
        return self.ctx.task.metrics[0]

    @property
    def outstanding(self) -> int:
        """Trials that were asked for and of which nothing was told."""
        return self.asked - self.told

    @property
    def most(self) -> int:
        """Trials in all."""
        return int(self.options.samples or self.ctx.config.trials or SAMPLES)

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.asked = self.told = self.failed = 0
        self.failure, self.best = "", None

    def ask(self, arch: Architecture, tag: Any = None) -> Trial:
        """A trial of ``arch`` trained alone, counted."""
        self.asked += 1
        return Trial(arch, "standalone", self.options.trial_epochs, tag=tag)

    def observe(self, results: Sequence[TrialResult]) -> None:
        for result in results:
            self.told += 1
            value = self.value(result)
            if value is None:
                self.failed += 1
                self.failure = self.failure or result.error or f"no finite {self.metric.name}"
            elif self.best is None or self.metric.better(value, self.best.value):
                self.best = Member(result.trial.arch, value, result.number)
            self.take(result, value)

    def value(self, result: TrialResult) -> float | None:
        """The rating of a trial; ``None`` where it failed."""
        found = None if result.failed else result.metrics.get(self.metric.name)
        return found if found is not None and isfinite(found) else None

    def take(self, result: TrialResult, value: float | None) -> None:
        """Learn from one result; ``value`` is ``None`` where the trial failed."""

    def loss(self, value: float) -> float:
        """A rating as a number of which less is better."""
        return -value if self.metric.direction == "max" else value

    def derive(self) -> Architecture:
        """The best ever rated. Raises :class:`SpacecError` (E0821) where every trial failed."""
        if self.best is None:
            raise self.nothing_found()
        return self.best.arch

    def nothing_found(self) -> SpacecError:
        """E0821, with the reason of the first trial that failed."""
        return no_trial_succeeded(self.told, self.failure)

    def state_dict(self) -> dict[str, Any]:
        return {
            "asked": self.asked,
            "told": self.told,
            "failed": self.failed,
            "failure": self.failure,
            "best": None if self.best is None else self.best.state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.asked, self.told, self.failed = int(state["asked"]), int(state["told"]), int(state["failed"])
        self.failure = str(state["failure"])
        self.best = None if state["best"] is None else self.member(state["best"])

    def member(self, state: Sequence[Any]) -> Member:
        """A :class:`Member` from its state."""
        text, value, number = state
        return Member(self.ctx.space.architecture(text), float(value), int(number))


def no_trial_succeeded(trials: int, failure: str) -> SpacecError:
    """E0821: there is nothing to give."""
    headline = f"none of the {trials} trials succeeded, so nothing was found"
    return SpacecError(Diagnostic("E0821", headline, notes=(failure,) if failure else ()))
