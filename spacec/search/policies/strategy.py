"""The base of strategies whose policy learns from rewards.

``mode=trials``: every trial draws an architecture from the policy and trains it alone (or asks a benchmark); its rating
is the quality. ``mode=shared``: a supernet is trained by one path a step, drawn from the policy, and in each
architecture step the quality of ``batch`` drawn architectures is read with shared weights on a validation batch. For
the first share ``arch_warmup`` of the supernet's steps paths are drawn uniformly and nothing is learnt but weights.

Either way R is the reward of a quality, b a moving average of rewards, and theta follows by Adam the mean over a batch

    (R - b) grad log pi(a; theta) + bonus * grad H(pi(. ; theta))

A subclass makes the policy (:meth:`PolicyStrategy.make_policy`), and may change the reward, the loss and how
architectures are drawn. A quality that is no finite number (the PSNR of an exact image) is left out. With trials the
answer is the best ever rated; with shared weights the best of ``finalists`` draws from the policy, rated on the whole
validation split, or else what the policy holds for the most probable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.policies.baseline import MovingAverage
from spacec.search.policies.factorised import fresh_policy
from spacec.search.policies.policy import Policy
from spacec.search.space_like import Mask
from spacec.search.strategy import Path, Trial, TrialResult
from spacec.search.task import Batch
from spacec.search.trial_strategy import TrialOptions, TrialStrategy
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class PolicyOptions(TrialOptions):
    """How a policy learns. The runner's ``lr`` and ``momentum`` are those of the weights."""

    mode: Literal["shared", "trials"] = option("shared", "rate with shared weights, or train each architecture alone")
    arch_lr: float = option(0.01, "rate of Adam for the policy", low=0)
    baseline: Literal["before", "with"] = option("before", "rewards before this one, or with it")
    baseline_momentum: float = option(0.9, "of the baseline: the weight of what was before", low=0, below=1)
    batch: int = option(1, "rewards per step of Adam, which takes the mean of their gradients", low=1)
    bonus: float = option(0.0, "what the entropy of the policy weighs in the reward", low=0)
    arch_warmup: float = option(
        0.0, "shared: share of the steps that only train weights, on uniform paths", low=0, high=1
    )
    finalists: int = option(0, "shared: draws that are rated at the end; 0: the most probable is the answer", low=0)
    start: float = option(1e-3, "deviation of the logits at the start", low=0)


class PolicyStrategy(TrialStrategy):
    """See the module. ``pending``: architectures and advantages that no step has taken."""

    Options: ClassVar[type[Options]] = PolicyOptions
    options: Any
    """Of :class:`PolicyOptions`."""
    tabular: ClassVar[Mapping[str, object]] = {"mode": "trials"}

    policy: Policy
    optimizer: torch.optim.Optimizer
    average: MovingAverage
    pending: list[tuple[Architecture, float]]

    @property
    def uses_supernet(self) -> bool:
        return bool(self.options.mode == "shared")

    @property
    def most(self) -> int:
        return int(self.options.finalists) if self.uses_supernet else super().most

    @property
    def warm(self) -> bool:
        """Whether this step only trains weights."""
        return bool(self.ctx.step < self.options.arch_warmup * self.ctx.epochs * self.ctx.steps)

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.policy = self.make_policy(ctx)
        self.optimizer = self.make_arch_optimizer()
        self.average = MovingAverage(self.options.baseline_momentum, self.options.baseline)
        self.pending = []

    def make_policy(self, ctx: SearchContext) -> Policy:
        """The policy at the start; the factorised one, nearly uniform."""
        policy = fresh_policy(ctx.space.table, self.options.start, ctx.seed)
        if not policy.exact:
            why = "the constraints cannot be counted, so architectures are drawn by rejection and gradients are biased"
            ctx.recorder.event("biased gradient", why)
        return policy

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        """A fresh optimiser of the policy."""
        return torch.optim.Adam(self.policy.parameters() or [torch.zeros(1)], lr=self.options.arch_lr)

    def arch_rate(self) -> float | None:
        """The policy's learning rate in this step; ``None`` leaves it as it is."""
        return None

    def candidate(self) -> Architecture | None:
        """An architecture drawn by the policy; ``None`` for a draw that is thrown away."""
        return self.policy.draw(self.ctx.rng)

    def reward(self, quality: float, arch: Architecture) -> float:
        """What an architecture is worth that has this quality: of a metric, signed so that more is better."""
        return quality

    def log_probability(self, arch: Architecture) -> Tensor | None:
        """log pi(arch), whose gradient the policy follows; ``None`` where it is not known in this step."""
        return self.policy.log_probability(arch)

    def policy_loss(self, arch: Architecture, advantage: float) -> Tensor | None:
        """What the policy descends for one reward: a scalar; ``None`` to leave it out."""
        log_probability = self.log_probability(arch)
        if log_probability is None:
            return None
        found = -advantage * log_probability
        return found - self.options.bonus * self.policy.entropy(arch) if self.options.bonus else found

    # a supernet

    def masks(self, step: int) -> Sequence[Path]:
        arch = self.ctx.sample() if self.warm else self.candidate()
        return () if arch is None else [Path(self.ctx.mask_of(arch))]

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        if self.warm:
            return None
        rewards = []
        for _ in range(self.options.batch):
            arch = self.candidate()
            if arch is not None:
                rewards += self.read(arch, val_batch)
        self.step()
        return self.told_of(rewards)

    def read(self, arch: Architecture, batch: Batch) -> list[float]:
        """Learn from the quality of ``arch`` on a batch, with shared weights: its reward, if that is finite."""
        quality = self.ctx.quality(batch, self.ctx.mask_of(arch))
        return [self.learn(quality, arch)] if isfinite(quality) else []

    def told_of(self, rewards: Sequence[float]) -> Mapping[str, float]:
        """What is recorded of an architecture step with these rewards."""
        if not rewards:
            return {"drawn": 0.0}
        return {"reward": sum(rewards) / len(rewards), "baseline": self.average.value or 0.0}

    def learn(self, quality: float, arch: Architecture) -> float:
        """Take one quality in, for the next :meth:`step`; gives its reward."""
        reward = self.reward(quality, arch)
        self.pending.append((arch, self.average.advantage(reward)))
        return reward

    def step(self) -> None:
        """Descend the mean of the losses of what is pending."""
        losses = [self.policy_loss(arch, advantage) for arch, advantage in self.pending]
        kept = [x for x in losses if x is not None and x.requires_grad]
        self.pending = []
        if not kept:
            return
        rate = self.arch_rate()
        if rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(kept).sum() / len(losses))
        self.optimizer.step()

    # trials

    def propose(self, n: int) -> Sequence[Trial]:
        n = min(n, self.most - self.asked)
        return [self.ask(arch) for arch in (self.policy.draw(self.ctx.rng) for _ in range(n))]

    def ask(self, arch: Architecture, tag: Any = None) -> Trial:
        if not self.uses_supernet:
            return super().ask(arch, tag)
        self.asked += 1
        return Trial(arch, tag=tag)

    def take(self, result: TrialResult, value: float | None) -> None:
        if value is None or self.uses_supernet:
            return
        self.learn(-self.loss(value), result.trial.arch)
        if len(self.pending) == self.options.batch:
            self.step()

    def derive(self) -> Architecture:
        if self.uses_supernet and self.best is None:
            return self.policy.best()
        return super().derive()

    def subject(self) -> Mask | Architecture:
        return self.policy.best() if self.uses_supernet else super().subject()

    def probabilities(self) -> Mapping[str, Sequence[float]]:
        return self.policy.probabilities() if self.uses_supernet else {}

    def state_dict(self) -> dict[str, Any]:
        learnt = {"policy": self.policy.state_dict(), "optimizer": self.optimizer.state_dict()}
        pending = [(arch.text(), advantage) for arch, advantage in self.pending]
        return {**super().state_dict(), **learnt, "average": self.average.state_dict(), "pending": pending}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        read = self.ctx.space.architecture
        self.pending = [(read(text), float(value)) for text, value in state["pending"]]
