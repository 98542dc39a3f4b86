"""TuNAS: Bender et al., Can Weight Sharing Outperform Random Architecture Search?, CVPR 2020.

A policy of independent softmaxes, which starts uniform, is trained beside shared weights by REINFORCE: a weight step
runs one path that it draws, and an architecture step rates a drawn path on a validation batch four times as large. With
Q its accuracy there, T its cost, T0 the cost that is aimed at, and b a moving average of rewards (momentum 0.95)

    R = Q + beta |T/T0 - 1|,   beta = -0.1         theta <- theta + Adam((R - b) grad log pi(a; theta))

where log pi counts the decisions that a makes, and no others. The first quarter of the steps trains weights alone,
with candidates run whole (:mod:`spacec_tunas.warmup`); then the policy's rate rises from 3e-4, tenfold by the end:

    rate(t) = 3e-4 * 10^((t - t0) / (t1 - t0))     t0: the first step with rewards, t1: the end

The authors' code (google-research/tunas) is where the settings are from: Adam without a first moment, a baseline that
takes the reward in first. It rates the path that it has just trained (``rated=trained``). The answer is what the
policy holds for the most probable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.options import Options, option
from spacec.search.policies.rewards import RewardOptions, check_reward, rewarded
from spacec.search.policies.strategy import PolicyOptions, PolicyStrategy
from spacec.search.strategy import Path
from spacec.space.architecture import Architecture
from spacec_tunas.warmup import falling, warm_mask


@dataclass(frozen=True)
class TunasOptions(RewardOptions, PolicyOptions):
    arch_lr: float = option(3e-4, "rate of Adam for the policy where it starts, at a batch of 256", low=0)
    arch_betas: tuple[float, float] = option((0.0, 0.999), "Adam's moment decays for the policy", low=0, below=1)
    growth: float = option(10.0, "what the policy's rate is multiplied with by the end of the search", low=0)
    baseline: Literal["before", "with"] = option("with", "rewards before this one, or with it, as the authors' code")
    baseline_momentum: float = option(0.95, "of the baseline: the weight of what was before", low=0, below=1)
    arch_warmup: float = option(0.25, "shared: share of the steps that only train weights", low=0, high=1)
    ops_warmup: float = option(0.25, "share of the steps until no choice runs all its candidates", low=0, high=1)
    sizes_warmup: float = option(0.25, "share of the steps until no elastic size is raised", low=0, high=1)
    rated: Literal["drawn", "trained"] = option("drawn", "rate fresh draws, or the paths of the weight step before")
    start: float = option(0.0, "deviation of the logits at the start", low=0)
    reward: Literal["none", "absolute", "power", "one-sided"] = option(
        "absolute", "how the cost enters: Q, Q + beta |T/T0 - 1|, Q (T/T0)^beta, Q max(1, T/T0)^beta"
    )

    def __post_init__(self) -> None:
        for name, share in (("ops_warmup", self.ops_warmup), ("sizes_warmup", self.sizes_warmup)):
            if share > self.arch_warmup:
                headline = f"{name} is {share:g}, later than the first reward: arch_warmup is {self.arch_warmup:g}"
                raise SpacecError(Diagnostic("E0703", headline))


class Tunas(PolicyStrategy):
    """See the module. ``trained``: texts of the paths that the last weight step ran, which are still to be rated."""

    name = "tunas"
    help = "TuNAS: a policy beside shared weights, with a reward that aims at a cost (Bender et al., CVPR 2020)"
    Options: ClassVar[type[Options]] = TunasOptions
    options: TunasOptions
    config: ClassVar[Mapping[str, object]] = {
        "epochs": 90,
        "batch_size": 256,
        "arch_batch_size": 1024,
        "optimizer": "rmsprop",
        "alpha": 0.9,
        "momentum": 0.9,
        "eps": 1.0,
        "lr": 0.165,
        "lr_min": 0.0,
        "schedule_by": "step",
        "warmup": 2.25,
        "warmup_lr": 1.65e-4,  # theirs is 0, with which the first step does nothing
        "weight_decay": 4e-5,
        "norm_decay": False,
        "label_smoothing": 0.1,
        "clip": 0.0,
    }
    tiny: ClassVar[Mapping[str, object]] = {
        "cost": "nodes",
        "target": 2.0,
        "arch_lr": 0.1,
        "start": 0.5,
        "bonus": 0.1,
    }
    trained: list[str]

    def setup(self, ctx: SearchContext) -> None:
        check_reward(self.options, ctx, f"strategy '{self.name}'")
        super().setup(ctx)
        self.trained = []

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        parameters = self.policy.parameters() or [torch.zeros(1)]
        return torch.optim.Adam(parameters, lr=self.options.arch_lr, betas=self.options.arch_betas)

    def reward(self, quality: float, arch: Architecture) -> float:
        return rewarded(self.options, self.ctx, quality, arch)

    @property
    def progress(self) -> float:
        """The share of the steps with rewards, or of the trials, that are behind it."""
        if not self.uses_supernet:
            return self.told / self.most
        total = self.ctx.epochs * self.ctx.steps
        first = self.options.arch_warmup * total
        return max(0.0, self.ctx.step - first) / max(1.0, total - first)

    def arch_rate(self) -> float:
        """3e-4 * 10^progress."""
        return float(self.options.arch_lr * self.options.growth**self.progress)

    def candidate(self) -> Architecture | None:
        if self.options.rated == "drawn":
            return super().candidate()
        return self.ctx.space.architecture(self.trained.pop(0)) if self.trained else None

    def masks(self, step: int) -> Sequence[Path]:
        ctx = self.ctx
        if self.warm:
            total = ctx.epochs * ctx.steps
            ops, sizes = (falling(step, s * total) for s in (self.options.ops_warmup, self.options.sizes_warmup))
            return [Path(warm_mask(ctx.space, self.policy.draw(ctx.rng), ctx.rng, ops, sizes, ctx.device))]
        count = self.options.batch if self.options.rated == "trained" else 1
        drawn = [self.policy.draw(ctx.rng) for _ in range(count)]
        if self.options.rated == "trained":
            self.trained = [arch.text() for arch in drawn]
        return [Path(ctx.mask_of(arch), 1.0 / count) for arch in drawn]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "trained": list(self.trained)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.trained = [str(text) for text in state["trained"]]
