"""DrNAS (Chen, Wang, Cheng, Tang & Hsieh, ICLR 2021): candidates' weights are drawn from a Dirichlet distribution.

The concentrations are trained on data that the weights do not see, by the pathwise gradient of one draw::

    min_a  E_{w ~ Dir(b(a))} L_val(w) + regulariser,    b(a) = elu(a) + 1

    l2:  scale · ||a||²/2, as Adam's decay               kl:  scale · Σ_slots KL(Dir(b) || Dir(1))

Both kinds of step run on a draw. The search is progressive: at the end of the first stage every slot keeps its
candidates of largest concentration, and the supernet goes from 1/K of the channels to a larger share, its weights
repeated (:mod:`spacec.lower.widen`) and its momenta with them. A Dirichlet on some components, renormalised, is the
Dirichlet of their concentrations, so what is left is drawn by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.partial import PartialStrategy, form
from spacec.search.scope import Scope
from spacec.search.soft import SoftOptions
from spacec.search.space_like import Mask
from spacec.search.strategy import Path
from spacec.search.task import Batch, OutLike
from spacec.space.decisions import Slot
from spacec_drnas.dirichlet import divergence, mean, sample


@dataclass(frozen=True)
class DrNASOptions(SoftOptions):
    """The paper's values on the DARTS space; ops 5 -> 3, channels 1/4 -> 1/2, rate 3e-4 on NAS-Bench-201."""

    arch_lr: float = option(6e-4, "learning rate of the concentrations' logits (Adam)", low=0)
    arch_betas: tuple[float, float] = option((0.5, 0.999), "Adam's moment decays for the logits", low=0, below=1)
    reg: Literal["l2", "kl"] = option("l2", "what holds the logits: decay, or the divergence from Dir(1)")
    reg_scale: float = option(1e-3, "weight of that", low=0)
    progressive: bool = option(True, "prune and widen after a first stage")
    first_stage: int | None = option(None, "epochs of the first stage; none for half of all", low=1)
    warmup: int = option(10, "epochs at the start of the second stage without architecture steps", low=0)
    partial: int = option(6, "candidates run on 1/partial of the channels", low=1)
    partial_later: int = option(4, "the same in the second stage", low=1)
    ops: int = option(7, "candidates that a slot of the paper has at first", low=1)
    ops_later: int = option(4, "those it keeps; slots of fewer keep the same share, rounded up", low=1)
    repeats: Literal["divide", "copy"] = option("divide", "weights on repeated channels: Net2WiderNet's, or copies")
    derive_by: Literal["mean", "softmax"] = option("mean", "what ranks candidates: E[w], or softmax(a)")


class DrNAS(PartialStrategy):
    """See the module. ``repeats=copy`` and ``derive_by=softmax`` are what the released code does."""

    name = "drnas"
    help = "DrNAS: Dirichlet masks, progressive pruning and widening (Chen et al., ICLR 2021)"
    Options = DrNASOptions
    options: DrNASOptions
    config = {"batch_size": 64, "lr": 0.1, "lr_min": 0.0, "arch_from": 10}  # noqa: RUF012  # ClassVar of the base
    tiny = {"warmup": 0}  # noqa: RUF012  # ClassVar of the base
    undo = "-o partial=1 -o partial_later=1"
    scope: Scope

    def setup(self, ctx: SearchContext) -> None:
        self.scope = ctx.scope()
        super().setup(ctx)

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        options = self.options
        decay = options.reg_scale if options.reg == "l2" else 0.0
        return torch.optim.Adam(
            self.arch_parameters(), lr=options.arch_lr, betas=options.arch_betas, weight_decay=decay
        )

    # Draws

    def weights(self) -> Mapping[str, Tensor]:
        """A draw of every slot's weights, zero for what was pruned."""
        drawn = sample(self.left(), self.ctx.generator)
        return {slot: self.scope.spread(slot, w) for slot, w in drawn.items()}

    def left(self) -> dict[str, Tensor]:
        """The logits of the candidates that are left, by slot."""
        return {slot: a[list(self.scope[slot])] for slot, a in self.logits.items()}

    def masks(self, step: int) -> Sequence[Path]:
        return [Path(self.scope.mask({slot: w.detach() for slot, w in self.weights().items()}))]

    def arch_mask(self) -> Mask:
        return self.scope.mask(self.weights())

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        later = self.ctx.epoch - self.boundary
        if self.options.progressive and 0 <= later < self.options.warmup:
            return None
        return super().arch_step(train_batch, val_batch)

    def extra_loss(self, out: OutLike, phase: Literal["weights", "arch"]) -> Tensor | None:
        if phase == "weights" or self.options.reg == "l2":
            return None
        return self.options.reg_scale * torch.stack([divergence(a) for a in self.left().values()]).sum()

    def probabilities(self) -> Mapping[str, Sequence[float]]:
        rank = mean if self.options.derive_by == "mean" else lambda a: a.softmax(0)
        with torch.no_grad():
            return {slot: self.scope.spread(slot, rank(a.double())).cpu().tolist() for slot, a in self.left().items()}

    def subject(self) -> Mask:
        """The mean of the candidates that are left."""
        return self.scope.mask({s: torch.tensor(p, device=self.ctx.device) for s, p in self.probabilities().items()})

    # Stages

    @property
    def boundary(self) -> int:
        """The first epoch of the second stage."""
        return self.options.first_stage or self.ctx.epochs // 2

    def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
        if self.options.progressive and epoch + 1 == self.boundary < self.ctx.epochs:
            self.prune()
            self.widen()

    def prune(self) -> None:
        """Keep the candidates of largest concentration in every slot but those of edge weights."""
        for slot in self.ctx.slots:
            if not slot.edges:
                self.scope.keep(slot.id, self.strongest(slot))
        left = sum(len(kept) for kept in self.scope.values())
        self.ctx.recorder.event("pruned", f"{left} candidates left", self.scope.state_dict())

    def strongest(self, slot: Slot) -> list[int]:
        """``ops_later`` candidates, or that share of ``ops`` in a slot of fewer; never *absent* alone."""
        share = -(-slot.size * self.options.ops_later // self.options.ops)
        values = self.logits[slot.id].tolist()
        ranked = sorted(self.scope[slot.id], key=lambda k: (-values[k], k))
        kept = ranked[: min(self.options.ops_later, share)]
        return [*kept, ranked[1]] if slot.absent and kept == [0] and len(ranked) > 1 else kept

    def widen(self) -> None:
        """The supernet on the share of the second stage, with repeated weights and momenta."""
        ctx, parts = self.ctx, (self.options.partial, self.options.partial_later)
        if parts[0] == parts[1]:
            return
        seed = ctx.rng.getrandbits(31)
        hypers = ctx.weight_hypers()
        momenta = {name: h.buffer for name, h in hypers.items() if h.buffer is not None}

        def widened(net: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return ctx.space.widened(net, tensors, parts, seed=seed, repeats=self.options.repeats)

        def carry(old: nn.Module, new: nn.Module) -> None:
            found = widened(new, old.state_dict())
            anew = sorted(new.state_dict().keys() - found.keys())
            new.load_state_dict(found, strict=False)
            ctx.recorder.event("widened", f"{len(anew)} tensors start anew", {"anew": anew})

        new = ctx.replace_supernet(form(parts[1]), carry)
        parameters = dict(new.named_parameters())
        for name, momentum in widened(new, momenta).items():
            ctx.optimizer.state[parameters[name]]["momentum_buffer"] = momentum

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "scope": self.scope.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.scope.load_state_dict(state["scope"])
