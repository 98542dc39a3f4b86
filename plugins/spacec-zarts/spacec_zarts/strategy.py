"""ZARTS (Wang, Guo, Su, Yang & Yan, *ZARTS: On Zero-order Optimization for Neural Architecture Search*, NeurIPS 2022).

DARTS' logits, moved by values of the bi-level objective instead of an approximate gradient of it::

    min_a L(a) = L_val(w*(a), a),      w*(a): weights after M SGD steps on L_train(., a) from the present ones

:mod:`.objective` computes L, :mod:`.estimators` the three updates (``mgs``, ``rs``, ``gld``). A *block* of logits, the
paper's cell type, is all slots whose decisions (or picks) one let or tied member owns; ``net`` owns what no let does.

The released search departs from the paper's formulas. Each departure is an option: the proposal is a weighted sum of
two draws (``proposal=sum``); the density has a slip of precedence, no constants and a 1e-4 (``density=released``); the
inner training changes no candidate, because it steps the main supernet's optimiser (``inner_steps=0``); what inner
training there is reads the validation half (``inner_split=arch``); sigma falls one epoch late (``sigma_late=true``). In
its RS and GLD, L0 is the loss before any inner training (``baseline=plain``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Literal

import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.options import Options as OptionsBase
from spacec.search.options import option
from spacec.search.soft import SoftOptions, SoftStrategy
from spacec.search.task import Batch
from spacec.space.decisions import DecisionTable, Slot
from spacec_zarts.estimators import Step, gradientless, mgs, random_search
from spacec_zarts.objective import InnerSGD, Objective


@dataclass(frozen=True)
class ZARTSOptions(SoftOptions):
    estimator: Literal["mgs", "rs", "gld"] = option("mgs", "how the logits are moved")
    inner_steps: int = option(10, "SGD steps of the weights' copy at each candidate (M); 0 for none", low=0)
    inner_batch_size: int = option(48, "samples per inner step", low=1)
    inner_split: Literal["weights", "arch"] = option("weights", "data of the inner steps; the release reads arch")
    inner_lr: float = option(1e-3, "rate of the inner steps", low=0)
    inner_momentum: float = option(0.0, "momentum of the inner steps", low=0, high=1)
    inner_weight_decay: float = option(3e-4, "L2 decay of the inner steps", low=0)
    samples: int = option(4, "candidates of an update (mgs)", low=1)
    sigma: float = option(0.025, "deviation of the proposal (mgs)", low=1e-6)
    sigma_falls: bool = option(True, "whether sigma falls as a cosine to 0 over the epochs with updates (mgs)")
    sigma_late: bool = option(False, "whether it falls one epoch late, as in the release (mgs)")
    tau: float = option(0.01, "temperature of the target (mgs)", low=1e-12)
    lam: float = option(1e-3, "share of the proposal around no step (mgs)", low=0, high=1)
    proposal: Literal["mixture", "sum"] = option("mixture", "one normal's draw, or the release's sum of both's (mgs)")
    density: Literal["exact", "released"] = option("exact", "the proposal's density, or the release's formula (mgs)")
    rs_samples: int = option(8, "directions of an update (rs)", low=1)
    rs_form: Literal["antithetic", "multi-point", "one-point"] = option(
        "antithetic", "differences that estimate the gradient (rs)"
    )
    rs_distribution: Literal["sphere", "gaussian"] = option("sphere", "what directions are drawn from (rs)")
    rs_lr: float = option(1e-4, "length of the step along the estimate (rs)", low=0)
    mu: float = option(0.1, "distance of the points from the logits (rs)", low=1e-12)
    phi: float | None = option(None, "scale of the estimate; none for a block's dimension (sphere) or 1 (rs)", low=0)
    radius: float = option(0.13, "largest radius (gld)", low=1e-12)
    radius_min: float = option(4.69e-6, "no radius is below it (gld)", low=1e-12)
    baseline: Literal["trained", "plain"] = option(
        "trained", "L0 of staying and of multi-point differences: with inner training, or the release's without"
    )


class ZARTS(SoftStrategy):
    """See the module. One update per architecture step, of which there is one in ten weight steps from epoch 10 on."""

    name = "zarts"
    help = "ZARTS: zero-order search by MGS, RS or GLD (Wang et al., NeurIPS 2022)"
    Options = ZARTSOptions
    options: ZARTSOptions
    config = {"batch_size": 64, "arch_from": 10, "arch_every": 10}  # noqa: RUF012  # declared ClassVar by the base
    tiny = {"inner_steps": 1, "inner_batch_size": 4, "samples": 2}  # noqa: RUF012  # as above

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        if self.options.radius_min > self.options.radius:
            headline = f"option 'radius_min' of strategy '{self.name}' is {self.options.radius_min}"
            raise SpacecError(Diagnostic("E0703", f"{headline}, expected at most radius = {self.options.radius}"))

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.blocks = blocks_of(ctx.space.table, ctx.slots)

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
        loss = self.objective(val_batch)
        at = torch.cat([t.detach().double().cpu() for t in self.logits.parameters()])
        step, values = self._estimate(loss, at)
        self._move(at + step.delta)
        return {**values, "best_candidate": min(step.losses), "arch_move": float(step.delta.norm())}

    def objective(self, val_batch: Batch) -> Objective:
        """L of this update: its inner batches, and a start of the network's noise that all candidates share."""
        ctx, options = self.ctx, self.options
        stream = ctx.stream(options.inner_split, "zarts", batch_size=options.inner_batch_size)
        first = (ctx.step % ctx.steps) // ctx.config.arch_every * options.inner_steps
        inner = [stream.batch(ctx.epoch, first + m).to(ctx.device) for m in range(options.inner_steps)]
        sgd = InnerSGD(options.inner_lr, options.inner_momentum, options.inner_weight_decay, ctx.config.clip)
        seed = int(torch.randint(2**62, (), generator=ctx.generator))
        return Objective(ctx, inner, (val_batch,), sgd, seed)

    def mask_at(self, at: Tensor) -> dict[str, Tensor]:
        """The soft mask of logits ``(d,)``."""
        like = self.logits.parameters()[0]
        sizes = [slot.size for slot in self.ctx.slots]
        parts = torch.split(at.to(like), sizes)
        return {slot.id: part.softmax(0) for slot, part in zip(self.ctx.slots, parts, strict=True)}

    def sigma(self, epoch: int) -> float:
        """Deviation of MGS' proposal in an epoch."""
        config, options = self.ctx.config, self.options
        past = max(0, epoch - config.arch_from - options.sigma_late)
        share = past / max(1, self.ctx.epochs - config.arch_from) if options.sigma_falls else 0.0
        return options.sigma * (1 + cos(pi * min(share, 1.0))) / 2

    def _estimate(self, loss: Objective, at: Tensor) -> tuple[Step, dict[str, float]]:
        match self.options.estimator:
            case "mgs":
                return self._mgs(loss, at)
            case "rs":
                return self._rs(loss, at)
            case "gld":
                return self._gld(loss, at)

    def _mgs(self, loss: Objective, at: Tensor) -> tuple[Step, dict[str, float]]:
        options = self.options
        base, grads = loss.gradient(self.logits.softmax(), self.logits.parameters())
        gradient = torch.cat([g.double().cpu() for g in grads])
        step = mgs(
            lambda a: loss(self.mask_at(a)), at, gradient, self.ctx.generator,
            samples=options.samples, sigma=self.sigma(self.ctx.epoch), tau=options.tau, lam=options.lam,
            baseline=base, proposal=options.proposal, density=options.density,
        )  # fmt: skip
        return step, {"arch_loss": base, "effective_samples": step.effective}

    def _rs(self, loss: Objective, at: Tensor) -> tuple[Step, dict[str, float]]:
        options = self.options
        base = self._baseline(loss, at) if options.rs_form == "multi-point" else 0.0
        found = random_search(
            lambda a: loss(self.mask_at(a)), at, list(self.blocks.values()), self.ctx.generator,
            samples=options.rs_samples, mu=options.mu, form=options.rs_form,
            distribution=options.rs_distribution, phi=options.phi, baseline=base,
        )  # fmt: skip
        mean = sum(found.losses) / len(found.losses)
        return Step(-options.rs_lr * found.delta, found.losses), {"arch_loss": mean}

    def _gld(self, loss: Objective, at: Tensor) -> tuple[Step, dict[str, float]]:
        base = self._baseline(loss, at)
        step = gradientless(
            lambda a: loss(self.mask_at(a)), at, list(self.blocks.values()), self.ctx.generator,
            radius=self.options.radius, radius_min=self.options.radius_min, baseline=base,
        )  # fmt: skip
        return step, {"arch_loss": base}

    def _baseline(self, loss: Objective, at: Tensor) -> float:
        return (loss if self.options.baseline == "trained" else loss.untrained)(self.mask_at(at))

    def _move(self, to: Tensor) -> None:
        parts = torch.split(to, [slot.size for slot in self.ctx.slots])
        with torch.no_grad():
            for logits, part in zip(self.logits.parameters(), parts, strict=True):
                logits.copy_(part)


def blocks_of(table: DecisionTable, slots: Sequence[Slot]) -> dict[str, list[int]]:
    """Positions of each owner's logits in the vector of all: the owner of the decision, or else the pick, of a slot.

    A slot that relaxes neither (a pick of a forced subset) is a block of its own.
    """
    found: dict[str, list[int]] = {}
    first = 0
    for slot in slots:
        decision = slot.decision or slot.pick or slot.weighs
        owner = table.by_id[decision].owner if decision in table.by_id else slot.id
        found.setdefault(owner, []).extend(range(first, first + slot.size))
        first += slot.size
    return found
