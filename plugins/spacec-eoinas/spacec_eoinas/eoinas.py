"""EoiNAS (Zhou, Xie & Kung, *Exploiting operation importance for differentiable neural architecture search*, IEEE
TNNLS): single sampled paths, and one candidate of every edge less after each stage.

Weights learn on a path drawn from ``softmax(alpha)``. Architecture steps draw another one, on the arch split; its mask
is one-hot, with the gradient of a Gumbel-softmax (:func:`spacec_snas.gdas.hard`) at the temperature::

    tau(e) = 5 * 0.965^(e - 20)                          architecture steps from epoch 20 on, of 160

After epochs 39, 59, ..., 159 the candidate of least importance (:mod:`spacec_eoinas.importance`) is dropped from every
edge: it is drawn no more, alpha is the logits of those left, its Adam starts afresh and a new stage is counted. Later
stages are thus conditioned on the survivors of the earlier ones, the paper's "high-order Markov chain". The last
candidate of an edge stays, and one without which nothing valid would be left; then the next least important one goes.

Skips have a dropout in training (:mod:`spacec.passes.skip_dropout`), of a rate that falls from 0.1; how it falls
is not known, here linearly to zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from spacec_snas.gdas import hard
from spacec_snas.gumbel import noise_given
from torch import Tensor

from spacec.lower.masks import OneHot
from spacec.search.context import SearchContext
from spacec.search.gradient import GradientOptions, GradientStrategy
from spacec.search.options import option
from spacec.search.scope import Scope
from spacec.search.soft import without_slots
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path
from spacec.search.task import Batch, OutLike
from spacec.space.architecture import Architecture
from spacec.space.decisions import Slot
from spacec_eoinas.importance import Scores, Tally


@dataclass(frozen=True)
class EoiNASOptions(GradientOptions):
    arch_lr: float = option(6e-4, "learning rate of the architecture logits (Adam)", low=0)
    tau: float = option(5.0, "temperature at the first architecture step", low=1e-6)
    tau_decay: float = option(0.965, "factor of the temperature per epoch", low=1e-6, high=1)
    stage: int = option(20, "epochs with architecture steps between two drops", low=1)
    importance: float = option(0.5, "weight of accuracy over training steps in the importance", low=0)
    skip_dropout: float = option(0.1, "dropout behind skips at first; it falls linearly to 0", low=0, high=0.99)


class EoiNAS(GradientStrategy):
    """See the module."""

    name = "eoinas"
    help = "EoiNAS: sampled paths, the least important candidate dropped stage by stage (Zhou et al., IEEE TNNLS)"
    Options = EoiNASOptions
    options: EoiNASOptions
    config = {"epochs": 160, "arch_from": 20}  # noqa: RUF012  # declared ClassVar by the base
    tiny = {"stage": 1}  # noqa: RUF012  # declared ClassVar by the base
    scope: Scope
    tally: Tally
    scores: Scores

    def unsupported(self, space: SpaceLike) -> str:
        return without_slots(space)

    def supernet_options(self) -> Mapping[str, Any]:
        return {"skip_dropout": True} if self.options.skip_dropout > 0 else {}

    def setup(self, ctx: SearchContext) -> None:
        self.scope = ctx.scope()
        super().setup(ctx)
        self.tally = Tally(self.choices)
        self.scores = Scores(ctx.task.metrics[0])

    @property
    def choices(self) -> list[Slot]:
        """The slots that are drawn; weights of edges against each other are a softmax."""
        return [slot for slot in self.ctx.slots if not slot.edges]

    @property
    def heat(self) -> float:
        """The temperature of this epoch."""
        return float(self.options.tau * self.options.tau_decay ** max(0, self.ctx.epoch - self.ctx.config.arch_from))

    def on_epoch(self, epoch: int) -> None:
        self.ctx.supernet.set_skip_dropout(self.options.skip_dropout * (1.0 - epoch / self.ctx.epochs))

    def weights(self) -> Mapping[str, Tensor]:
        return self.scope.softmax(self.logits)

    def masks(self, step: int) -> Sequence[Path]:
        p = self.weights()
        drawn = self.ctx.draw(p)
        if self.ctx.epoch >= self.ctx.config.arch_from:
            self.tally.trained({slot.id: drawn[slot.id] for slot in self.choices})
        return [Path(self.ctx.path(drawn, p))]

    def architecture_loss(
        self, batch: Batch, weights: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Of one drawn path, whose score is noted."""
        p = self.weights()
        drawn = self.ctx.draw(p)
        mask = {s.id: p[s.id] if s.edges else self._entry(s.id, drawn[s.id]) for s in self.ctx.slots}
        out = self.ctx.forward(batch, mask, weights=weights)
        loss = self.ctx.loss(out, batch)
        values = {"arch_loss": float(loss.detach()), "arch_score": self._rate(drawn, out, batch)}
        extra = self.extra_loss(out, "arch")
        return (loss if extra is None else loss + extra), values

    def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
        done = epoch + 1 - self.ctx.config.arch_from
        if done > 0 and done % self.options.stage == 0:
            self._next_stage(epoch)

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        return {"temperature": self.heat, "candidates": float(sum(len(left) for left in self.scope.values()))}

    def subject(self) -> Architecture:
        return self.derive()

    def state_dict(self) -> dict[str, Any]:
        own = {"scope": self.scope.state_dict(), "tally": self.tally.state_dict(), "seen": self.scores.seen}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.scope.load_state_dict(state["scope"])
        self.tally.load_state_dict(state["tally"])
        self.scores.seen = list(state["seen"])

    def _entry(self, slot: str, drawn: int) -> OneHot:
        """The mask value of a drawn candidate, over those left."""
        left = self.scope[slot]
        logits = self.logits[slot][list(left)]
        position = left.index(drawn)
        noise = noise_given(logits, position, self.ctx.generator)
        return OneHot(self.scope.spread(slot, hard(logits, noise, position, self.heat)))

    def _rate(self, drawn: Mapping[str, int], out: OutLike, batch: Batch) -> float:
        meter = self.ctx.task.meter()
        with torch.no_grad():
            meter.update(out, batch)
        value = meter.result()[self.ctx.task.metrics[0].name]
        if value == value:
            self.tally.rated({slot.id: drawn[slot.id] for slot in self.choices}, self.scores.score(value))
        return value

    def _next_stage(self, epoch: int) -> None:
        dropped = self._drop_least()
        labels = {slot.id: slot.labels for slot in self.choices}
        named = {slot: labels[slot][k] for slot, k in dropped.items()}
        self.ctx.recorder.event("candidates dropped", f"{len(dropped)} after epoch {epoch}", {"dropped": named})
        self.tally.restart()
        self.scores.restart()
        self.arch_optimizer = self.make_arch_optimizer()

    def _drop_least(self) -> dict[str, int]:
        """Take from every slot the least important candidate that can go; which ones went."""
        probabilities, known = self.probabilities(), self.derive()
        dropped: dict[str, int] = {}
        for slot in (s.id for s in self.choices if len(self.scope[s.id]) > 1):
            importance = self.tally.importance(slot, probabilities[slot], self.options.importance)
            for k in sorted(self.scope[slot], key=importance.__getitem__):
                self.scope.drop(slot, k)
                valid = self.ctx.within(self.scope, known)
                if valid is not None:
                    dropped[slot], known = k, valid
                    break
                self.scope.widen(slot, [k])
        return dropped
