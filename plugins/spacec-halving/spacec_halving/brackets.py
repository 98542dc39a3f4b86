"""Successive halving and Hyperband: brackets whose rungs are complete before the best of them go on.

Successive halving: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization
(AISTATS 2016): n architectures train for a while, the better half goes on, until one is left.

Hyperband: Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization (JMLR 18, 2018), Algorithm 1: brackets s = s_max, …, 0 that start fewer architectures on longer trainings.

Trials may run side by side: those of a rung do, and of Hyperband those of later brackets while a rung is awaited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.strategy import Trial, TrialResult
from spacec_halving.base import Halving
from spacec_halving.bracket import Bracket, Entrant, Row, bracket_of, halved, hyperband, rows
from spacec_halving.ladder import LadderOptions


@dataclass(frozen=True)
class HyperbandOptions(LadderOptions):
    sizes: Literal["algorithm", "table"] = option(
        "algorithm",
        "architectures of a bracket: by Algorithm 1's formula, or as the paper's Table 1 and the authors' code",
    )
    rounds: int | None = option(
        None, "times that all brackets run; none for one, or as often as samples or the search's trials allow", low=1
    )
    answer: Literal["seen", "longest"] = option(
        "seen", "the best result at any length, as the paper, or of the longest"
    )


@dataclass(frozen=True)
class SuccessiveHalvingOptions(LadderOptions):
    eta: int = option(2, "eta: one in so many goes on to the next rung", low=2)
    configurations: int | None = option(
        None, "n: architectures to start; none for as many as leave one at the top", low=1
    )
    budget: int | None = option(
        None, "B: epochs in all, shared out evenly over the rungs; none for rungs by r and R", low=1
    )
    rounds: int | None = option(
        None, "times that it runs; none for once, or as often as samples or the search's trials allow", low=1
    )
    answer: Literal["seen", "longest"] = option(
        "longest", "the best of the longest trainings, as the paper, or any result"
    )


class Brackets(Halving):
    """A sequence of brackets; those that have begun and not ended are in ``open``."""

    begun: int
    open: dict[int, Bracket]

    def tables(self) -> tuple[tuple[Row, ...], ...]:
        """The brackets of one round."""
        raise NotImplementedError

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.begun, self.open = 0, {}

    def propose(self, n: int) -> Sequence[Trial]:
        trials: list[Trial] = []
        wanted = min(n, self.most - self.asked)
        while len(trials) < wanted and (index := self._ready()) is not None:
            trials.append(self._next(index))
        return trials

    def take(self, result: TrialResult, value: float | None) -> None:
        super().take(result, value)
        index = int(result.trial.tag["bracket"])
        loss = None if value is None else self.loss(value)
        self.open[index].take(Entrant(result.trial.arch.text(), result.number, loss))
        if self.open[index].done:
            del self.open[index]

    def state_dict(self) -> dict[str, Any]:
        own = {"begun": self.begun, "open": [(index, b.state()) for index, b in self.open.items()]}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.begun, self.open = int(state["begun"]), {index: bracket_of(b) for index, b in state["open"]}

    def _ready(self) -> int | None:
        """The first bracket that has a trial to ask for, a new one where there may be one."""
        found = next((index for index, bracket in self.open.items() if bracket.ready), None)
        tables = self.tables()
        rounds = self.options.rounds or (None if self.bounded else 1)
        if found is None and (rounds is None or self.begun < rounds * len(tables)) and self._may_begin():
            found, self.begun = self.begun, self.begun + 1
            self.open[found] = Bracket(tables[found % len(tables)])
        return found

    def _may_begin(self) -> bool:
        """Whether a bracket may begin beside those that are open."""
        return True

    def _next(self, index: int) -> Trial:
        bracket = self.open[index]
        entrant = bracket.entrants[bracket.asked] if bracket.entrants else None
        arch = self.ctx.sample() if entrant is None else self.ctx.space.architecture(entrant.text)
        number = None if entrant is None else entrant.number
        bracket.asked += 1
        return self.on_rung(arch, bracket.epochs, bracket.last, number, {"bracket": index, "rung": bracket.rung})


class Hyperband(Brackets):
    """See the module."""

    name = "hyperband"
    help = "brackets of successive halving"
    Options = HyperbandOptions
    tiny: ClassVar[Mapping[str, object]] = {"rungs": (1, 2), "eta": 2}
    options: HyperbandOptions

    def tables(self) -> tuple[tuple[Row, ...], ...]:
        return hyperband(self.lengths, self.options.eta, self.options.sizes)


class SuccessiveHalving(Brackets):
    """See the module. One bracket at a time: a rung is awaited before anything else begins."""

    name = "successive-halving"
    help = "trains many briefly, the best of them longer"
    Options = SuccessiveHalvingOptions
    tiny: ClassVar[Mapping[str, object]] = {"rungs": (1, 2)}
    options: SuccessiveHalvingOptions
    upwards = True

    def tables(self) -> tuple[tuple[Row, ...], ...]:
        eta = self.options.eta
        n = self.options.configurations or eta ** (len(self.lengths) - 1)
        if self.options.budget is not None:
            return (halved(n, eta, self.options.budget),)
        return (rows(n, self.lengths, eta),)

    def _may_begin(self) -> bool:
        return not self.open
