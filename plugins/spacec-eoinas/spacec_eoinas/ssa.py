"""Search-space adaptation (SSA, arXiv 2206.02098): ProxylessNAS in a *search scope* that changes while it searches.

Only the abstract of the paper was at hand. It says that a scope adapts which candidates are active during a
ProxylessNAS search, and that the trajectories of alpha are looked at. How the scope adapts it does not say; the rule is
of our making, and each of its numbers an option. At the end of every ``scope_every`` epochs with architecture steps::

    p_k = softmax(alpha)_k over all candidates of a slot
    active = {k : p_k >= scope_keep max_j p_j}  and the scope_least most probable ones

Paths, pairs and expected costs are those of ``softmax(alpha)`` over the active candidates. The logits of the others
rest; a candidate comes back when the leader has fallen so far that its resting probability will do again. A change
after which no valid architecture of active candidates would be left only adds candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from spacec_proxylessnas.strategy import ProxylessNAS, ProxylessOptions
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.scope import Scope
from spacec.search.task import Batch


@dataclass(frozen=True)
class SSAOptions(ProxylessOptions):
    scope_every: int = option(1, "epochs with architecture steps between changes of the scope", low=1)
    scope_keep: float = option(0.1, "share of the leader's probability that keeps a candidate active", low=0, high=1)
    scope_least: int = option(2, "candidates of a slot that stay active at least", low=1)


class SSA(ProxylessNAS):
    """See the module."""

    name = "ssa"
    help = "SSA: ProxylessNAS in an adaptive search scope (after arXiv 2206.02098)"
    Options = SSAOptions
    options: SSAOptions
    tiny = {"scope_keep": 0.9995, "scope_least": 1}  # noqa: RUF012  # declared ClassVar by the base
    scope: Scope

    def setup(self, ctx: SearchContext) -> None:
        self.scope = ctx.scope()
        super().setup(ctx)

    def weights(self) -> Mapping[str, Tensor]:
        return self.scope.softmax(self.logits)

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        before = self.logits.state_dict()
        values = super().arch_step(train_batch, val_batch)
        with torch.no_grad():
            for slot, left in self.scope.items():
                rest = [k for k in range(self.scope.sizes[slot]) if k not in left]
                self.logits[slot][rest] = before[slot][rest]
        return values

    def on_epoch_end(self, epoch: int, found: Mapping[str, float]) -> None:
        done = epoch + 1 - self.ctx.config.arch_from
        if done > 0 and done % self.options.scope_every == 0:
            self._adapt(epoch)

    def diagnostics(self, ctx: SearchContext) -> Mapping[str, float]:
        return {"candidates": float(sum(len(left) for left in self.scope.values()))}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "scope": self.scope.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.scope.load_state_dict(state["scope"])

    def _adapt(self, epoch: int) -> None:
        known = self.derive()
        moved: dict[str, dict[str, list[str]]] = {}
        for slot in self.ctx.slots:
            before = self.scope[slot.id]
            wanted = before if slot.edges else self._wanted(slot.id)
            self.scope.widen(slot.id, wanted)
            whole = self.scope[slot.id]
            self.scope.keep(slot.id, wanted)
            valid = self.ctx.within(self.scope, known)
            if valid is None:
                self.scope.widen(slot.id, whole)
            else:
                known = valid
            now = self.scope[slot.id]
            if now != before:
                gone, back = (
                    [slot.labels[k] for k in sorted(d)] for d in (set(before) - set(now), set(now) - set(before))
                )
                moved[slot.id] = {"gone": gone, "back": back}
        if moved:
            self.ctx.recorder.event("search scope", f"{len(moved)} slots changed after epoch {epoch}", {"slots": moved})

    def _wanted(self, slot: str) -> list[int]:
        """The candidates of a slot that are to be active."""
        p = self.logits[slot].detach().double().softmax(0)
        first = p.argsort(descending=True, stable=True)[: self.options.scope_least].tolist()
        enough = (p >= self.options.scope_keep * p.max()).nonzero().flatten().tolist()
        return sorted({*first, *enough})
