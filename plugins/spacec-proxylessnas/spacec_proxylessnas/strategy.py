"""ProxylessNAS (Cai, Zhu & Han, ICLR 2019): binarised paths, logits trained through their gates, and a cost term.

Weights train on one path drawn by p = softmax(alpha), alone for the first 40 epochs; then every fifth step the logits
take one on data that the weights do not see:

``two``        two candidates a slot are drawn by p, one of them is active; both run. The logits of the two step, and
               are shifted so that the mass of the two stays: no other probability moves. Memory: two paths.
``full``       one candidate is active, the others run without a graph, for h_j = <dL/do, O_j(x)> (released: full_v2)
``reinforce``  ten paths are drawn and rated; the gradient is the mean of (baseline - reward) d log p

With ``reference`` a cost term joins the loss (or the reward), see :mod:`spacec_proxylessnas.cost`. The released code
searches with ``full`` by default; the paper's text with two paths, which is the default here. It moves its baseline by
0.99 of the way to the mean reward of a step (``baseline``), and leaves out one epoch more (``arch_from=41``).

Slots that decide sizes or what switches take have no path of their own: in ``full`` all their candidates run,
weighed one and zero. The weights of a pick's edges are no choice, but a softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spacec.lower.masks import Paths
from spacec.search.context import SearchContext
from spacec.search.gradient import Gradient, GradientOptions, GradientStrategy
from spacec.search.logits import checked_rates
from spacec.search.optim import learning_rate
from spacec.search.options import Options, option
from spacec.search.soft import without_slots
from spacec.search.space_like import Mask, SpaceLike
from spacec.search.strategy import Path
from spacec.search.task import Batch
from spacec.space.architecture import Architecture
from spacec_proxylessnas.cost import check_reference, reward, with_cost
from spacec_proxylessnas.gradients import of_pair, rescaled, score, through_softmax


@dataclass(frozen=True)
class ProxylessOptions(GradientOptions):
    arch_lr: float = option(1e-3, "learning rate of the architecture logits (Adam)", low=0)
    arch_betas: tuple[float, float] = option((0.0, 0.999), "Adam's moment decays for the logits", low=0, below=1)
    arch_weight_decay: float = option(0.0, "L2 decay of the logits", low=0)
    mode: Literal["two", "full", "reinforce"] = option("two", "how logits get their gradient")
    warmup_rate: float = option(0.05, "rate at which weights start the epochs before arch_from; it falls to 0", low=0)
    cost: str = option("params", 'the cost that the term counts: params, macs, latency("FILE.csv")')
    reference: float | None = option(None, "cost that is aimed at; none for no cost term")
    cost_term: Literal["mul", "add"] = option("mul", "how the expected cost joins the loss")
    cost_scale: float | None = option(None, "alpha of mul, lambda of add; none for 0.2 and 0.1", low=0)
    cost_power: float = option(0.3, "beta of mul", low=0)
    samples: int = option(10, "paths of a step of reinforce", low=1)
    baseline: float = option(0.99, "share of the way that the baseline of reinforce moves in a step", low=0, high=1)
    reward_power: float = option(0.1, "power of reference / cost in the reward of reinforce", low=0)


class ProxylessNAS(GradientStrategy):
    """See the module. ``average``: the baseline of ``reinforce``; ``pairs``: the candidates of a step of ``two``."""

    name = "proxylessnas"
    help = "ProxylessNAS: binarised paths and a latency term (Cai et al., ICLR 2019)"
    Options: ClassVar[type[Options]] = ProxylessOptions
    options: ProxylessOptions
    config: ClassVar[Mapping[str, object]] = {
        "epochs": 160,
        "arch_from": 40,
        "arch_every": 5,
        "batch_size": 256,
        "lr_min": 0.0,
        "schedule_by": "step",
        "nesterov": True,
        "weight_decay": 4e-5,
        "clip": 0.0,
    }
    average: float | None
    pairs: dict[str, tuple[int, ...]]

    def unsupported(self, space: SpaceLike) -> str:
        return without_slots(space) if self.options.mode == "reinforce" else super().unsupported(space)

    def setup(self, ctx: SearchContext) -> None:
        check_reference(f"strategy '{self.name}'", self.options.reference, self.options.cost_term)
        super().setup(ctx)
        if self.options.reference is not None:
            ctx.require_cost(self.options.cost)
        self.average, self.pairs = None, {}

    def weight_rate(self, step: int) -> float:
        """A cosine to zero over the warm-up, then the settings' schedule over the epochs that are left."""
        ctx = self.ctx
        first = ctx.config.arch_from
        if ctx.epoch < first:
            return self.options.warmup_rate * (1 + cos(pi * (ctx.epoch * ctx.steps + step) / (first * ctx.steps))) / 2
        return learning_rate(ctx.config, ctx.epoch - first, step, ctx.steps, max(1, ctx.epochs - first))

    def masks(self, step: int) -> Sequence[Path]:
        p = self.weights()
        return [Path(self.ctx.path(self.ctx.draw(p), p))]

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        before = self.logits.state_dict()
        values = super().arch_step(train_batch, val_batch)
        with torch.no_grad():
            for slot, pair in self.pairs.items():
                self.logits[slot].copy_(rescaled(self.logits[slot], before[slot], pair))
        return values

    def architecture_gradient(self, train_batch: Batch, val_batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        self.pairs = {}
        match self.options.mode:
            case "two":
                return self._two(val_batch)
            case "full":
                return self._full(val_batch)
            case "reinforce":
                return self._reinforce(val_batch)

    # gradients of gates

    def _two(self, batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        mask, gates = self._two_paths()
        loss, expected, values = self._loss(self.ctx.forward(batch, mask), batch)
        found = torch.autograd.grad(loss, list(gates.values()), retain_graph=True, allow_unused=True)
        gradient = {}
        for (slot, gate), h in zip(gates.items(), found, strict=True):
            if h is not None:
                pair = self.pairs.get(slot)
                gradient[slot] = (
                    through_softmax(h, gate.detach()) if pair is None else of_pair(h, self.logits[slot], pair)
                )
        return self._with_cost_of(loss, expected, gradient), values

    def _two_paths(self) -> tuple[Mask, dict[str, Tensor]]:
        """A mask of two paths, and its leaves: (1, 0) of the active candidate and the other, or edge weights."""
        mask: dict[str, Any] = {}
        gates: dict[str, Tensor] = {}
        p = {slot: w.detach() for slot, w in self.weights().items()}
        for slot in self.ctx.slots:
            if slot.edges:
                mask[slot.id] = gates[slot.id] = p[slot.id].clone().requires_grad_()
                continue
            pair = self._pair(checked_rates(slot.id, p[slot.id]))
            gate = p[slot.id].new_tensor([1.0, 0.0][: len(pair)]).requires_grad_()
            gates[slot.id], self.pairs[slot.id], mask[slot.id] = gate, pair, Paths(pair, gate)
        return mask, gates

    def _pair(self, p: Tensor) -> tuple[int, ...]:
        """Two candidates by p, without replacement (one where no other has any); the first is active, by p too."""
        drawn = self._multinomial(p, min(2, int((p > 0).sum())))
        if len(drawn) == 1:
            return (drawn[0],)
        (active,) = self._multinomial(p[drawn], 1)
        return drawn[active], drawn[1 - active]

    def _multinomial(self, p: Tensor, n: int) -> list[int]:
        found: list[int] = torch.multinomial(p, n, generator=self.ctx.generator).tolist()
        return found

    def _full(self, batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        p = self.weights()
        drawn = self.ctx.draw(p)
        mask = {**self.ctx.path(drawn, p), **self._watched(drawn)}
        out: Any = self.ctx.forward(batch, mask, gates="all")
        loss, expected, values = self._loss(out, batch)
        found = self.ctx.supernet.gate_gradients(loss, out)
        gradient = {slot: through_softmax(h, p[slot].detach()) for slot, h in found.items()}
        return self._with_cost_of(loss, expected, gradient), values

    def _watched(self, drawn: Mapping[str, int]) -> dict[str, Any]:
        """Entries of slots whose gates an index would not show: as binary weights.

        Where *absent* was drawn there is no output to ask for dL/do: another candidate runs too, times zero.
        """
        found: dict[str, Any] = {}
        for slot in self.ctx.slots:
            gate = torch.zeros_like(self.logits[slot.id]).detach()
            gate[drawn[slot.id]] = 1.0
            if slot.edges:
                continue
            if not self.ctx.supernet.instances[slot.id]:
                found[slot.id] = gate
            elif slot.absent and drawn[slot.id] == 0 and slot.size > 1:
                found[slot.id] = Paths((0, 1), gate[:2])
        return found

    def _loss(self, out: Any, batch: Batch) -> tuple[Tensor, Tensor | None, Mapping[str, float]]:
        """The loss with its cost term, the expected cost, and values to record."""
        options = self.options
        loss = self.ctx.loss(out, batch)
        values = {"arch_loss": float(loss.detach())}
        if options.reference is None:
            return loss, None, values
        expected = self.ctx.expected_cost(self.weights(), options.cost)
        values["expected_cost"] = float(expected.detach())
        return self._costed(loss, expected, options.reference), expected, values

    def _costed(self, loss: Tensor, expected: Tensor, reference: float) -> Tensor:
        options = self.options
        scale = options.cost_scale if options.cost_scale is not None else {"mul": 0.2, "add": 0.1}[options.cost_term]
        return with_cost(loss, expected, reference, options.cost_term, scale, options.cost_power)

    def _with_cost_of(self, loss: Tensor, expected: Tensor | None, gates: Mapping[str, Tensor]) -> Gradient:
        """By slot: what came through the gates, and what the cost term adds by way of the probabilities."""
        alphas = self.logits.parameters()
        direct: Sequence[Tensor | None] = [None] * len(alphas)
        if expected is not None and expected.requires_grad:
            direct = torch.autograd.grad(loss, alphas, allow_unused=True)
        return [_sum(gates.get(slot), d) for slot, d in zip(self.logits, direct, strict=True)]

    # rewards

    def _reinforce(self, batch: Batch) -> tuple[Gradient, Mapping[str, float]]:
        p = {slot: w.detach() for slot, w in self.weights().items()}
        draws = [self.ctx.draw(p) for _ in range(self.options.samples)]
        rewards = [self._reward(drawn, p, batch) for drawn in draws]
        mean = sum(rewards) / len(rewards)
        self.average = mean if self.average is None else self.average + self.options.baseline * (mean - self.average)
        gradient: list[Tensor | None] = []
        for slot in self.ctx.slots:
            parts = [(self.average - r) * score(p[slot.id], d[slot.id]) for r, d in zip(rewards, draws, strict=True)]
            gradient.append(None if slot.edges else torch.stack(parts).mean(0))
        return gradient, {"reward": mean, "baseline": self.average}

    def _reward(self, drawn: Mapping[str, int], p: Mapping[str, Tensor], batch: Batch) -> float:
        """Of one path: the first metric on the batch, by batch statistics, and its cost."""
        ctx, options = self.ctx, self.options
        quality = ctx.quality(batch, ctx.path(drawn, p))
        cost = float(ctx.expected_cost(drawn, options.cost)) if options.reference is not None else None
        return reward(quality, cost, options.reference, options.reward_power)

    def subject(self) -> Mask | Architecture:
        return self.derive()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "average": self.average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.average = state["average"]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b
