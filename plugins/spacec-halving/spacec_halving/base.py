"""What strategies over lengths of training share: the rungs, kept trainings, and which architecture is the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from spacec.search.context import SearchContext
from spacec.search.strategy import Trial, TrialResult
from spacec.search.tabular import Tabular
from spacec.search.trial_strategy import Member, TrialStrategy
from spacec.space.architecture import Architecture
from spacec_halving.ladder import lengths


class Halving(TrialStrategy):
    """``lengths``: epochs of the rungs. ``top``: the best of the longest trainings that were told."""

    upwards: ClassVar[bool] = False
    """Whether rungs are counted from the shortest training, or from the longest."""
    lengths: tuple[int, ...]
    top: Member | None
    longest: int

    @property
    def resumes(self) -> bool:
        return True

    @property
    def most(self) -> int:
        """Trials in all; a very large number where nothing bounds them."""
        return int(self.options.samples or self.ctx.config.trials or 2**62)

    @property
    def bounded(self) -> bool:
        """Whether the number of trials ends the search."""
        return self.options.samples is not None or self.ctx.config.trials is not None

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.lengths = lengths(ctx, self.options, self.upwards)
        self.top, self.longest = None, 0

    def on_rung(self, arch: Architecture, epochs: int, last: bool, number: int | None, tag: Any) -> Trial:
        """A trial of ``epochs`` in all that goes on from trial ``number``, and is kept where a longer one may follow.

        A row of a table is a training of its own: nothing is kept, and it costs all of its epochs.
        """
        self.asked += 1
        keeps = not isinstance(self.ctx.task, Tabular)
        resume = number if keeps else None
        return Trial(arch, "standalone", epochs, keep=keeps and not last, resume=resume, tag=tag)

    def take(self, result: TrialResult, value: float | None) -> None:
        epochs = result.trial.budget or 0
        if value is None or epochs < self.longest:
            return
        if epochs > self.longest or self.top is None or self.metric.better(value, self.top.value):
            self.top, self.longest = Member(result.trial.arch, value, result.number), epochs

    def derive(self) -> Architecture:
        """The best result at any length, or among the longest trainings. E0821 where every trial failed."""
        if self.options.answer == "longest" and self.top is not None:
            return self.top.arch
        return super().derive()

    def state_dict(self) -> dict[str, Any]:
        top = None if self.top is None else self.top.state()
        return {**super().state_dict(), "top": top, "longest": self.longest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.top = None if state["top"] is None else self.member(state["top"])
        self.longest = int(state["longest"])
