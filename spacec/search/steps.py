"""A weight step: the paths of a strategy run one after the other on a batch, and their gradients add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from spacec.search.context import SearchContext
from spacec.search.space_like import Mask, SupernetLike
from spacec.search.strategy import Path, StepReport
from spacec.search.task import Batch, OutLike, Output
from spacec.search.trainer import check_finite

Extra = Callable[[OutLike], Tensor | None]
"""What a strategy adds to the loss of a forward."""


def run_paths(ctx: SearchContext, paths: Sequence[Path], batch: Batch, step: int, extra: Extra) -> StepReport:
    """Forward and backward of every path; ``step`` of the epoch is for the message of a loss that is no number."""
    outs: list[OutLike] = []
    losses: list[float] = []
    taught = _Teachers(ctx, batch, outs)
    for path in paths:
        with _noise(ctx, path):
            teacher = taught.by(path)  # first: putting back statistics would spoil what a student's backward has saved
            out = ctx.forward(batch, path.mask, supernet=path.supernet)
            loss = _loss(ctx, path, out, batch, teacher)
            added = extra(out)
            loss = loss if added is None else loss + added
            losses.append(float(loss.detach()))
            check_finite(losses[-1], ctx.epoch, step)
            if loss.requires_grad:  # a path may have no weights, such as one of skips
                torch.autograd.backward(loss)
        outs.append(Output(out.prediction.detach(), {name: t.detach() for name, t in out.outputs.items()}))
    return StepReport(batch, tuple(paths), tuple(outs), tuple(losses))


def _noise(ctx: SearchContext, path: Path) -> AbstractContextManager[None]:
    """Dropouts as the path has them, through the backward pass too, which may run layers again."""
    if path.noise:
        return nullcontext()
    net: SupernetLike = ctx.supernets[path.supernet]  # type: ignore[assignment]  # a module to torch
    return net.without_noise()


def _loss(ctx: SearchContext, path: Path, out: OutLike, batch: Batch, teacher: OutLike | None) -> Tensor:
    if teacher is None:
        return path.weight * ctx.loss(out, batch, ctx.config.label_smoothing)
    loss = path.teacher_weight * ctx.task.distillation(out, teacher)
    if isinstance(path.weight, float | int) and path.weight == 0:
        return loss
    return loss + path.weight * ctx.loss(out, batch, ctx.config.label_smoothing)


class _Teachers:
    """What teachers predict on the batch: of an earlier path that is known, and a mask runs once for all it teaches."""

    def __init__(self, ctx: SearchContext, batch: Batch, outs: Sequence[OutLike]) -> None:
        self.ctx, self.batch, self.outs = ctx, batch, outs
        self.known: dict[tuple[int, int, str], OutLike] = {}

    def by(self, path: Path) -> OutLike | None:
        """Who teaches a path; ``None`` where nobody does."""
        if path.teacher is None or isinstance(path.teacher, int):
            return None if path.teacher is None else self.outs[path.teacher]
        key = id(path.teacher), id(path.teacher_weights), path.supernet
        if key not in self.known:
            self.known[key] = self._run(path.teacher, path.supernet, path.teacher_weights)
        return self.known[key]

    @torch.no_grad()
    def _run(self, mask: Mask | None, name: str, weights: Mapping[str, Tensor] | None) -> OutLike:
        ctx = self.ctx
        with ctx.statistics_kept(name) if weights is None else ctx.mode(False, name):
            return ctx.forward(self.batch, mask, supernet=name, weights=weights)
