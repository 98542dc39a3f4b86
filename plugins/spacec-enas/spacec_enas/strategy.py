"""ENAS: Pham, Guan, Zoph, Le & Dean, Efficient Neural Architecture Search via Parameter Sharing (ICML 2018).

An LSTM controller pi(m; theta) (:mod:`spacec_enas.policy`) writes architectures m, whose weights w are shared. Two
phases alternate (section 2.2):

    weights       one pass over the data; each step trains the path of one m ~ pi:  grad_w L(m; w)
    controller    w fixed; theta ascends  E_{m ~ pi}[(R(m; w) - b) grad log pi(m)],  R from a validation batch

R is the accuracy and ``bonus`` times the entropy of the controller's choices; b is a moving average; and in spaces with
skips theta also descends ``skip_weight`` KL(skips, ``skip_target``). At the end some m are drawn, each is rated on one
minibatch, and the best is the answer. The weights' rate is a cosine with restarts (Loshchilov and Hutter, 2017).

Under constraints architectures are drawn by rejection, on V, and how probable V is the controller does not know. Then

    grad E[R | V] = Cov_{m ~ pi | V}(R, grad log pi(m))

which a moving average does not give: its b is not E[R | V] of now. ``baseline=batch`` does, without bias: with it R - b
of a step with n rewards is (R - their mean) n / (n - 1).

The controller's phase is the last architecture step of the epoch. With ``mode=trials`` there is no supernet: each draw
is trained alone, or looked up in a benchmark, and its rating is R.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import cos, pi
from typing import Any, ClassVar

import torch
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.policies.strategy import PolicyStrategy
from spacec.search.seeds import generator
from spacec.search.strategy import Trial
from spacec.search.task import Batch
from spacec.space.architecture import Architecture
from spacec_enas.options import EnasOptions, settled, shape_of
from spacec_enas.order import plan_of
from spacec_enas.policy import Writer


class Enas(PolicyStrategy):
    """See the module. From :meth:`setup` on, ``options`` are settled: no value is left to a preset."""

    name = "enas"
    help = "an LSTM that writes architectures decision by decision and learns from shared weights"
    Options = EnasOptions
    config: ClassVar[Mapping[str, object]] = {
        "epochs": 150,
        "batch_size": 160,
        "lr": 0.05,
        "lr_min": 0.0005,
        "nesterov": True,
        "weight_decay": 1e-4,
    }
    tiny: ClassVar[Mapping[str, object]] = {"arch_steps": 2, "batch": 2, "finalists": 3, "hidden": 8}
    options: EnasOptions
    policy: Writer

    def setup(self, ctx: SearchContext) -> None:
        self.options = settled(self.options, ctx.space.table)
        super().setup(ctx)
        if (ctx.space.table.constraints or ctx.space.table.needs) and self.options.baseline != "batch":
            why = "architectures are drawn by rejection, whose probability an LSTM does not know: see -o baseline=batch"
            ctx.recorder.event("biased gradient", why)

    def make_policy(self, ctx: SearchContext) -> Writer:
        table = ctx.space.table
        return Writer(table, plan_of(table, ctx.space.flat), shape_of(self.options), generator(ctx.seed, "controller"))

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        options = self.options
        return torch.optim.Adam(
            self.policy.parameters(), lr=options.arch_lr or 0.0, betas=options.arch_betas, eps=options.arch_eps
        )

    def reward(self, quality: float, arch: Architecture) -> float:
        if not self.options.bonus:
            return quality
        with torch.no_grad():
            return quality + self.options.bonus * float(self.policy.entropy(arch))

    def policy_loss(self, arch: Architecture, advantage: float) -> Tensor:
        weight = self.options.skip_weight
        read = self.policy.read(arch, skip_target=self.options.skip_target if weight else None)
        return -advantage * read.log_probability + (weight or 0.0) * read.divergence

    def learn(self, quality: float, arch: Architecture) -> float:
        reward = super().learn(quality, arch)
        if self.options.baseline == "batch":
            self.pending[-1] = arch, reward
        return reward

    def step(self) -> None:
        if self.options.baseline == "batch":
            n = len(self.pending)
            mean = sum(reward for _, reward in self.pending) / max(1, n)
            self.pending = [(arch, (reward - mean) * n / max(1, n - 1)) for arch, reward in self.pending]
        super().step()

    def weight_rate(self, step: int) -> float | None:
        ctx, first = self.ctx, self.options.restart
        if not first:
            return None
        at = ctx.epoch + (step / ctx.steps if ctx.config.schedule_by == "step" else 0.0)
        share = within_cosine(at, first, self.options.restart_factor)
        return ctx.config.lr_min + (ctx.config.lr - ctx.config.lr_min) * (1 + cos(pi * share)) / 2

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        ctx = self.ctx
        every = ctx.config.arch_every
        if self.warm or ctx.step % ctx.steps != (ctx.steps - 1) // every * every:
            return None
        count = self.options.batch or 1
        steps = self.options.arch_steps or 1
        stream = ctx.stream("arch", "controller", steps * count, ctx.config.arch_batch_size)
        rewards: list[float] = []
        for number in range(steps * count):
            arch, batch = self.policy.draw(ctx.rng), stream.batch(ctx.epoch, number).to(ctx.device)
            rewards += self.read(arch, batch)
            if (number + 1) % count == 0:
                self.step()
        return self.told_of(rewards)

    def ask(self, arch: Architecture, tag: Any = None) -> Trial:
        trial = super().ask(arch, tag)
        return replace(trial, batches=self.options.final_batches) if self.uses_supernet else trial


def within_cosine(epoch: float, first: int, factor: int) -> float:
    """How far an epoch is within its cosine, from 0 to below 1: each is ``factor`` times as long as the one before."""
    length, at = float(first), epoch
    while at >= length:
        at -= length
        length *= factor
    return at / length
