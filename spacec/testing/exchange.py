"""A strategy that is asked and told by hand, on made-up workers: trials end in an order of their own.

What the driver of :mod:`spacec.search.trials` does with executors, and trains nothing: trials are asked for while
workers are free, the one that ends first is told, and so on. Everything depends on the seed alone, so one exchange can
be repeated, or cut in its middle and gone on with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spacec.search.context import SearchContext
from spacec.search.seeds import stable_seed
from spacec.search.strategy import Strategy, Trial, TrialResult

Rate = Callable[[int, Trial], TrialResult]
"""The result of a trial, by its number."""
SLOWEST = 9
"""Units of time that a trial takes at most; at least one."""


@dataclass
class Exchange:
    """``strategy`` is set up. ``most``: trials in all. ``in_flight``: when each ends, its number, and the trial."""

    strategy: Strategy
    rate: Rate
    workers: int = 3
    most: int = 100
    seed: int = 0
    now: int = 0
    asked: list[Trial] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    """By trial, how many results had been told when it was asked for."""
    told: list[TrialResult] = field(default_factory=list)
    in_flight: list[tuple[int, int, Trial]] = field(default_factory=list)

    def run(self, until: int | None = None) -> Sequence[TrialResult]:
        """Until nothing is proposed and nothing runs, or ``until`` results were told; all results, as they came."""
        while until is None or len(self.told) < until:
            self._ask()
            if not self.in_flight:
                break
            self.in_flight.sort(key=lambda entry: entry[:2])
            self.now, number, trial = self.in_flight.pop(0)
            result = self.rate(number, trial)
            self.told.append(result)
            self.strategy.observe([result])
        return self.told

    def go_on_with(self, strategy: Strategy) -> Exchange:
        """The same exchange with another strategy, to which nothing is told again."""
        kept = {
            "asked": list(self.asked),
            "known": list(self.known),
            "told": list(self.told),
            "in_flight": list(self.in_flight),
        }
        return Exchange(strategy, self.rate, self.workers, self.most, self.seed, self.now, **kept)  # type: ignore[arg-type]  # lists by name

    def _ask(self) -> None:
        room = min(self.workers - len(self.in_flight), self.most - len(self.asked))
        if room <= 0:
            return
        trials = tuple(self.strategy.propose(room))
        if len(trials) > room:
            raise ValueError(f"it was asked for {room} trials and proposed {len(trials)}")
        for proposed in trials:
            trial = replace(proposed, tag=json.loads(json.dumps(proposed.tag)))  # as the driver hands it back
            number = len(self.asked)
            takes = 1 + stable_seed("takes", self.seed, number) % SLOWEST
            self.in_flight.append((self.now + takes, number, trial))
            self.asked.append(trial)
            self.known.append(len(self.told))


def made_up(ctx: SearchContext, fails: Callable[[int], bool] = lambda number: False) -> Rate:
    """Ratings that follow from architecture, metric and budget alone; trials fail whose number ``fails`` names."""

    def rate(number: int, trial: Trial) -> TrialResult:
        if fails(number):
            return TrialResult(trial, number=number, error="RuntimeError: made up")
        values = {metric.name: _share(trial, metric.name) for metric in ctx.task.metrics}
        return TrialResult(trial, values, seconds=1.0, number=number)

    return rate


def _share(trial: Trial, name: str) -> float:
    """Between 0 and 1, larger by training longer."""
    drawn = stable_seed("rating", trial.arch.text(), name) / 2**63
    return drawn * (1 - 0.5 / (trial.budget or 1))


def text_of(trial: Trial) -> Any:
    """All of a trial as plain values, to compare."""
    return (
        trial.arch.text(),
        trial.weights,
        trial.budget,
        trial.batches,
        trial.split,
        trial.keep,
        trial.resume,
        trial.tag,
    )
