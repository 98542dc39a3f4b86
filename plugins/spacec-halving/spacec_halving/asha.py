"""ASHA: Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, A System for Massively Parallel
Hyperparameter Tuning (MLSys 2020), Algorithm 2.

Whoever is free asks for a job: from the highest rung down, an architecture among the best 1/eta of what was told of its
rung that was not promoted yet goes on to the next; where there is none, a new one starts on the lowest rung, which
trains for r eta^s epochs (s: the early-stopping rate). So nobody waits for a rung to be complete.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar, Literal

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.strategy import Trial, TrialResult
from spacec_halving.base import Halving
from spacec_halving.ladder import LadderOptions

CONFIGURATIONS = 256
"""Architectures to start where nothing bounds the search: n of the paper's first experiments."""

Place = tuple[float, int, str]
"""Loss (infinite where the trial failed), number of the trial, architecture as text."""


@dataclass(frozen=True)
class AshaOptions(LadderOptions):
    eta: int = option(4, "eta: one in so many goes on to the next rung", low=2)
    stop_rate: int = option(0, "s: so many of the lowest rungs are left out", low=0)
    configurations: int | None = option(
        None, "architectures to start; none for no bound but that on trials, else 256", low=1
    )
    answer: Literal["seen", "longest"] = option(
        "seen", "the best result at any length, as the paper, or of the longest"
    )


@dataclass
class Rung:
    """Results of one length, best first: all of them, and those that were not promoted."""

    told: list[Place] = field(default_factory=list)
    staying: list[Place] = field(default_factory=list)

    def take(self, place: Place) -> None:
        insort(self.told, place)
        insort(self.staying, place)

    def promote(self, eta: int) -> Place | None:
        """The best that was not promoted, if it is among the best 1/eta of the rung."""
        if not self.staying or self.staying[0][0] == inf:
            return None
        if bisect_left(self.told, self.staying[0]) >= len(self.told) // eta:
            return None
        return self.staying.pop(0)


class Asha(Halving):
    """See the module."""

    name = "asha"
    help = "promotes the best share of a rung at once, whoever waits"
    Options = AshaOptions
    tiny: ClassVar[Mapping[str, object]] = {"rungs": (1, 2), "eta": 2, "configurations": 4}
    options: AshaOptions
    upwards = True

    started: int
    rungs: list[Rung]

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        left_out = min(self.options.stop_rate, len(self.lengths) - 1)
        self.lengths = self.lengths[left_out:]
        self.started, self.rungs = 0, [Rung() for _ in self.lengths]

    def propose(self, n: int) -> Sequence[Trial]:
        trials: list[Trial] = []
        wanted = min(n, self.most - self.asked)
        while len(trials) < wanted and (trial := self._job()) is not None:
            trials.append(trial)
        return trials

    def take(self, result: TrialResult, value: float | None) -> None:
        super().take(result, value)
        place = (inf if value is None else self.loss(value), result.number, result.trial.arch.text())
        self.rungs[int(result.trial.tag["rung"])].take(place)

    def state_dict(self) -> dict[str, Any]:
        rungs = [{"told": list(rung.told), "staying": list(rung.staying)} for rung in self.rungs]
        return {**super().state_dict(), "started": self.started, "rungs": rungs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.started = int(state["started"])
        self.rungs = [Rung(*([(*place,) for place in rung[n]] for n in ("told", "staying"))) for rung in state["rungs"]]

    def _job(self) -> Trial | None:
        """Algorithm 2's get_job."""
        top = len(self.rungs) - 1
        for k in reversed(range(top)):
            if (found := self.rungs[k].promote(self.options.eta)) is not None:
                _, number, text = found
                arch = self.ctx.space.architecture(text)
                return self.on_rung(arch, self.lengths[k + 1], k + 1 == top, number, {"rung": k + 1})
        bound = self.options.configurations or (None if self.bounded else CONFIGURATIONS)
        if bound is not None and self.started >= bound:
            return None
        self.started += 1
        return self.on_rung(self.ctx.sample(), self.lengths[0], top == 0, None, {"rung": 0})
