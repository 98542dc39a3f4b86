"""Local search: White, Nolen and Savani, Exploring the Loss Landscape in Neural Architecture Search (UAI 2021).

Algorithm 1 (hill climbing): a first architecture v_1 is drawn uniformly; while the last step made it better, every
neighbour u in N(v_i) is rated and v_{i+1} = argmin over N(v_i) of the loss. Neighbours differ in one decision
(``space.neighbours``). In a local minimum the search starts again at another architecture drawn uniformly, until its
trials are spent; the answer is the best ever rated. What was rated once is never rated again.

The authors' code (naszilla) differs: it starts from the best of ten draws (``initial=10``) and moves to the first
neighbour that is better (``move="first"``); it can go on from the best architecture that it has not stood at, in place
of a restart (``at_minimum="continue"``).

Trials may run side by side: the neighbours of one architecture do. Who is left without one waits, unless several
searches climb beside each other (``climbs``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, ClassVar, Literal

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.strategy import Trial, TrialResult
from spacec.search.trial_strategy import TrialOptions, TrialStrategy
from spacec.space.architecture import Architecture

LISTED = 4096
"""Neighbours that are listed; of an architecture with more of them so many are drawn by mutation."""
DRAWS = 200
"""Draws of an architecture that was not rated, before the space counts as searched."""


@dataclass(frozen=True)
class LocalSearchOptions(TrialOptions):
    move: Literal["best", "first"] = option(
        "best", "to the best neighbour when all are rated, as Algorithm 1, or to the first that is better"
    )
    initial: int = option(1, "architectures drawn uniformly, from whose best a climb starts", low=1)
    at_minimum: Literal["restart", "continue", "stop"] = option(
        "restart", "in a local minimum: a new start, the best architecture not yet stood at, or the end"
    )
    climbs: int = option(1, "climbs beside each other", low=1)


@dataclass
class Climb:
    """One climb. Architectures are texts; ``queue`` holds those to be rated next, the next one last."""

    round: int = 0
    centre: str | None = None
    """Where it stands; ``None`` while it draws its start."""
    queue: list[str] = field(default_factory=list)
    waiting: int = 0
    """Trials of this round that are running."""
    best: str | None = None
    """The best rated of this round, the centre included."""
    done: bool = False


class LocalSearch(TrialStrategy):
    """See the module. ``losses``: by text, of all that was asked for; ``None`` while it runs or where it failed."""

    name = "local-search"
    help = "hill climbing in the neighbourhood, with restarts"
    Options = LocalSearchOptions
    tiny: ClassVar[Mapping[str, object]] = {"samples": 4}
    options: LocalSearchOptions

    climbs: list[Climb]
    losses: dict[str, float | None]
    stood: list[str]
    """Where climbs have stood, in order."""

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.climbs, self.losses, self.stood = [Climb() for _ in range(self.options.climbs)], {}, []

    def propose(self, n: int) -> Sequence[Trial]:
        trials: list[Trial] = []
        while len(trials) < min(n, self.most - self.asked + len(trials)):
            ready = [i for i in range(len(self.climbs)) if self._ready(self.climbs[i])]
            if not ready:
                break
            index = min(ready, key=lambda i: self.climbs[i].waiting)
            climb = self.climbs[index]
            text = climb.queue.pop()
            climb.waiting += 1
            tag = {"climb": index, "round": climb.round, "from": climb.centre}
            trials.append(self.ask(self.ctx.space.architecture(text), tag))
        return trials

    def take(self, result: TrialResult, value: float | None) -> None:
        text, tag = result.trial.arch.text(), result.trial.tag
        self.losses[text] = None if value is None else self.loss(value)
        climb = self.climbs[tag["climb"]]
        if tag["round"] == climb.round:
            climb.waiting -= 1
        if self._better(text, climb.best):
            climb.best = text
            if self.options.move == "first" and climb.centre is not None:
                self._stand(climb, text)

    def state_dict(self) -> dict[str, Any]:
        own = {"climbs": list(map(asdict, self.climbs)), "losses": dict(self.losses), "stood": list(self.stood)}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.climbs = [Climb(**{**climb, "queue": list(climb["queue"])}) for climb in state["climbs"]]
        self.losses, self.stood = dict(state["losses"]), list(state["stood"])

    def _ready(self, climb: Climb) -> bool:
        """Whether it has something to be rated; a climb all of whose trials have ended first takes its next step."""
        while not climb.done and not climb.queue and climb.waiting == 0:
            self._step(climb)
        climb.queue = [] if climb.done else climb.queue
        return bool(climb.queue)

    def _step(self, climb: Climb) -> None:
        if climb.best is not None and climb.best != climb.centre:
            self._stand(climb, climb.best)
        elif climb.centre is None or self.options.at_minimum == "restart":
            self._start(climb)
        elif self.options.at_minimum == "continue" and (beside := self._not_stood_at()) is not None:
            self._stand(climb, beside)
        else:
            climb.done = True

    def _start(self, climb: Climb) -> None:
        """Draw architectures that were not rated; where none is found, the climb is over."""
        drawn: list[str] = []
        for _ in range(DRAWS):
            text = self.ctx.sample().text()
            if text not in self.losses:
                self.losses[text] = None
                drawn.append(text)
            if len(drawn) == self.options.initial:
                break
        climb.round, climb.centre, climb.best, climb.queue = climb.round + 1, None, None, drawn[::-1]
        climb.waiting, climb.done = 0, not drawn

    def _stand(self, climb: Climb, text: str) -> None:
        """Move to ``text``; its neighbours that were not rated are to be, in random order."""
        self.stood.append(text)
        for queued in climb.queue:  # of the place that is left: they may be asked for again
            del self.losses[queued]
        climb.round, climb.centre, climb.best, climb.waiting, climb.queue = climb.round + 1, text, text, 0, []
        left = set(self.stood) if self.options.at_minimum == "continue" else set()
        for beside in self._neighbours(self.ctx.space.architecture(text)):
            if beside in left:
                continue
            if beside in self.losses:
                climb.best = beside if self._better(beside, climb.best) else climb.best
            else:
                self.losses[beside] = None
                climb.queue.append(beside)

    def _neighbours(self, arch: Architecture) -> list[str]:
        """Texts of the neighbours, in random order."""
        rng, space = self.ctx.rng, self.ctx.space
        found = [near.text() for near in islice(space.neighbours(arch), LISTED + 1)]
        if len(found) > LISTED:
            drawn = (space.mutate(arch, seed=rng.getrandbits(31)).text() for _ in range(LISTED))
            found = list(dict.fromkeys(drawn))
        rng.shuffle(found)
        return found

    def _better(self, text: str, than: str | None) -> bool:
        mine, other = self.losses[text], None if than is None else self.losses[than]
        return mine is not None and (other is None or mine < other)

    def _not_stood_at(self) -> str | None:
        """The best rated architecture at which no climb has stood; of equals the first."""
        stood = set(self.stood)
        rated = [(loss, text) for text, loss in self.losses.items() if loss is not None and text not in stood]
        return min(rated, key=lambda pair: pair[0])[1] if rated else None
