"""REINFORCE over trials: Williams, Simple Statistical Gradient-Following Algorithms (Machine Learning 8, 1992).

A controller pi(a | V; theta) decides each decision by itself (:mod:`spacec_reinforce.controller`). Every trial draws an
architecture from it; its rating is the reward R, and theta follows

    (R - b) * grad log pi(a | V; theta)

by Adam, where the baseline b is a moving average of the rewards so far (momentum 0.9, corrected for its start). The
factorised controller, Adam at 0.01, and the momentum are those of NAS-Bench-201 (Dong and Yang, ICLR 2020), section 5.
There the reward itself enters the baseline that is taken from it (``baseline="with"``); Williams' baseline must not
depend on the action, so here it is that of the rewards before. The answer is the best ever rated.

Trials may run side by side: each result moves the controller as it is then, and who asks draws from that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.seeds import generator
from spacec.search.strategy import Trial, TrialResult
from spacec.search.trial_strategy import TrialOptions, TrialStrategy
from spacec_reinforce.controller import Controller, fresh_logits


@dataclass(frozen=True)
class ReinforceOptions(TrialOptions):
    lr: float = option(0.01, "rate of Adam", low=0)
    momentum: float = option(0.9, "of the baseline: the weight of what was before", low=0, below=1)
    baseline: Literal["before", "with"] = option("before", "rewards before this one, or with it, as the authors' code")
    batch: int = option(1, "results per step of Adam, which takes the mean of their gradients", low=1)
    start: float = option(1e-3, "deviation of the logits at the start", low=0)


class Reinforce(TrialStrategy):
    """See the module. ``pending``: architectures and advantages of results that no step has taken."""

    name = "reinforce"
    help = "a distribution over architectures that learns from rewards"
    Options = ReinforceOptions
    tiny: ClassVar[Mapping[str, object]] = {"samples": 4}
    options: ReinforceOptions

    controller: Controller
    optimizer: torch.optim.Adam
    total: float
    """The moving average, and beside it that of ones: their ratio is the baseline."""
    weight: float
    pending: list[tuple[str, float]]

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        logits = fresh_logits(ctx.space.table, self.options.start, generator(ctx.seed, "controller"))
        self.controller = Controller(ctx.space.table, logits)
        self.optimizer = torch.optim.Adam(list(logits.values()) or [torch.zeros(1)], lr=self.options.lr)
        self.total = self.weight = 0.0
        self.pending = []
        if not self.controller.exact:
            text = (
                "the constraints cannot be counted, so architectures are drawn by rejection and the gradient is biased"
            )
            ctx.recorder.event("biased gradient", text)

    def propose(self, n: int) -> Sequence[Trial]:
        n = min(n, self.most - self.asked)
        return [self.ask(self.controller.draw(self.ctx.rng)) for _ in range(n)]

    def take(self, result: TrialResult, value: float | None) -> None:
        if value is None:
            return
        self.pending.append((result.trial.arch.text(), self.advantage(-self.loss(value))))
        if len(self.pending) == self.options.batch:
            self._step()

    def advantage(self, reward: float) -> float:
        """R - b; the baseline takes the reward in."""
        before = self.total / self.weight if self.weight else reward
        self.total = self.options.momentum * self.total + (1 - self.options.momentum) * reward
        self.weight = self.options.momentum * self.weight + (1 - self.options.momentum)
        return reward - (self.total / self.weight if self.options.baseline == "with" else before)

    def state_dict(self) -> dict[str, Any]:
        own = {"logits": self.controller.logits, "optimizer": self.optimizer.state_dict()}
        counts = {"total": self.total, "weight": self.weight, "pending": list(self.pending)}
        return {**super().state_dict(), **own, **counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for name, logits in self.controller.logits.items():
            logits.copy_(state["logits"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.total, self.weight = float(state["total"]), float(state["weight"])
        self.pending = [(text, float(value)) for text, value in state["pending"]]

    def _step(self) -> None:
        """Ascend the mean over the batch of (R - b) grad log pi."""
        for logits in self.controller.logits.values():
            logits.grad = torch.zeros_like(logits)
        for text, advantage in self.pending:
            score = self.controller.score(self.ctx.space.architecture(text))
            for name, logits in self.controller.logits.items():
                assert logits.grad is not None
                logits.grad -= advantage / len(self.pending) * score[name]
        self.optimizer.step()
        self.pending = []
