"""Random search, the baseline that every other strategy is measured against.

``mode=shared`` (default): with weight sharing, as Li & Talwalkar (UAI 2019). The supernet is trained on one uniformly
drawn architecture per batch; then ``samples`` architectures are rated with shared weights on ``first_batches``
validation batches, the ``finalists`` best of them on the whole validation split, and the best of these is the answer.

``mode=trials``: ``samples`` architectures are each trained alone for ``trial_epochs``; the best is the answer.

Trials may run side by side: the finalists are chosen when the last of the first ratings has come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.strategy import Path, Strategy, Trial, TrialResult
from spacec.search.trial_strategy import no_trial_succeeded
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class RandomOptions(Options):
    mode: Literal["shared", "trials"] = option("shared", "rate with shared weights, or train each architecture alone")
    samples: int | None = option(
        None, "architectures to rate; none for 1000 shared, or the search's trials, else 10", low=1
    )
    finalists: int = option(10, "shared: how many are rated again on the whole validation split", low=1)
    first_batches: int = option(1, "shared: validation batches of the first rating", low=1)
    trial_epochs: int | None = option(None, "trials: epochs of a trial; none for the training's own", low=1)


class RandomSearch(Strategy):
    """See the module. ``first`` and ``final`` hold (text, metric) of the rated architectures, in order."""

    name = "random"
    help = "random search by independent trials or with shared weights"
    Options = RandomOptions
    tabular: ClassVar[Mapping[str, object]] = {"mode": "trials"}
    tiny: ClassVar[Mapping[str, object]] = {"samples": 3, "finalists": 2}
    options: RandomOptions

    asked: int
    """First ratings that were asked for."""
    asked_final: int
    first: list[tuple[str, float]]
    final: list[tuple[str, float]]
    failed: int
    failure: str = ""
    """Why the first of them did."""
    trials: int | None = None
    """How many the search allows."""

    @property
    def uses_supernet(self) -> bool:
        return self.options.mode == "shared"

    @property
    def samples(self) -> int:
        """How many architectures are drawn."""
        return self.options.samples or (1000 if self.uses_supernet else self.trials or 10)

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.trials = ctx.config.trials
        self.first, self.final, self.failed = [], [], 0
        self.asked = self.asked_final = 0

    def masks(self, step: int) -> Sequence[Path]:
        return [Path(self.ctx.mask_of(self.ctx.sample()))]

    def propose(self, n: int) -> Sequence[Trial]:
        if self.asked < self.samples:
            n = min(n, self.samples - self.asked)
            self.asked += n
            return [self._first_trial() for _ in range(n)]
        if not self.uses_supernet or len(self.first) + self.failed < self.samples:
            return ()
        best = self._ranked(self.first)[: self.options.finalists]
        rest = best[self.asked_final :][:n]
        self.asked_final += len(rest)
        return [Trial(self.ctx.space.architecture(text), tag={"round": "final"}) for text, _ in rest]

    def observe(self, results: Sequence[TrialResult]) -> None:
        metric = self.ctx.task.metrics[0].name
        for result in results:
            value = float("nan") if result.failed else float(result.metrics[metric])
            if result.trial.tag["round"] == "final":
                self.final.append((result.trial.arch.text(), value))
            elif result.failed:
                self.failed += 1
                self.failure = self.failure or result.error
            else:
                self.first.append((result.trial.arch.text(), value))

    def derive(self) -> Architecture:
        ranked = self._ranked(self.final) or self._ranked(self.first)
        if not ranked:
            raise no_trial_succeeded(len(self.first) + self.failed, self.failure)
        return self.ctx.space.architecture(ranked[0][0])

    def state_dict(self) -> dict[str, Any]:
        counts = {"asked": self.asked, "asked_final": self.asked_final, "failed": self.failed}
        return {"first": self.first, "final": self.final, "failure": self.failure, **counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.first = [(text, value) for text, value in state["first"]]
        self.final = [(text, value) for text, value in state["final"]]
        self.asked, self.asked_final, self.failed = (int(state[n]) for n in ("asked", "asked_final", "failed"))
        self.failure = str(state["failure"])

    def _first_trial(self) -> Trial:
        arch = self.ctx.sample()
        if self.uses_supernet:
            return Trial(arch, batches=self.options.first_batches, tag={"round": "first"})
        return Trial(arch, "standalone", self.options.trial_epochs, tag={"round": "first"})

    def _ranked(self, rated: list[tuple[str, float]]) -> list[tuple[str, float]]:
        """Distinct architectures, best first; ties in the order they were rated, NaNs left out."""
        sign = -1.0 if self.ctx.task.metrics[0].direction == "max" else 1.0
        found = {text: value for text, value in rated if value == value}
        return sorted(found.items(), key=lambda item: sign * item[1])
