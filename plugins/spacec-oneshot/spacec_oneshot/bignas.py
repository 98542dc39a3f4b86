"""BigNAS: Yu, Jin, Liu, Bender, Kindermans, Tan, Huang, Song, Pang and Le, Scaling up Neural Architecture Search with
Big Single-Stage Models (ECCV 2020), by the sandwich rule and in-place distillation of Yu and Huang (ICCV 2019).

A weight step runs the largest architecture L, the smallest S and R drawn ones on one batch, adds up their gradients and
takes one step of the optimiser:

    loss = CE(labels, L) + sum over a in {S, drawn} of CE(softmax of L's logits, detached; a)

Only the largest sees the labels, and only in its forward do dropout and stochastic depth act. *Largest* and *smallest*
are those of the most and of the fewest weights, found exactly by the space's algebra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spacec.search.context import SearchContext
from spacec.search.options import option
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path
from spacec.space.architecture import Architecture
from spacec_oneshot.base import OneShot, OneShotOptions
from spacec_oneshot.ends import ends, no_ends

PAPER: Mapping[str, object] = {
    "epochs": 360, "lr_min": 0.0, "weight_decay": 1e-5, "clip": 0.0, "clip_value": 1.0, "label_smoothing": 0.1,
    "drop_path": 0.2, "recalibrate": 64,
}  # fmt: skip


@dataclass(frozen=True)
class BigNasOptions(OneShotOptions):
    drawn: int = option(2, "R: architectures of a step drawn uniformly, beside the largest and the smallest", low=0)
    labels: float = option(0.0, "weight of the labels in the loss of all but the largest", low=0)


class BigNas(OneShot):
    """See the module. ``largest`` and ``smallest`` by number of weights."""

    name = "bignas"
    help = "a supernet by the sandwich rule: the largest network teaches the others, every step"
    Options = BigNasOptions
    config: ClassVar[Mapping[str, object]] = PAPER
    options: BigNasOptions

    largest: Architecture
    smallest: Architecture

    def unsupported(self, space: SpaceLike) -> str:
        return no_ends(space) or super().unsupported(space)

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.smallest, self.largest = ends(ctx.space)

    def masks(self, step: int) -> Sequence[Path]:
        others = [self.smallest, *(self.ctx.sample() for _ in range(self.options.drawn))]
        return [self.path(self.largest), *(self._taught(arch) for arch in others)]

    def _taught(self, arch: Architecture) -> Path:
        """A forward that learns from what the first path of the step predicted."""
        mask = self.ctx.mask_of(arch)
        return Path(mask, self.options.labels, teacher=0, teacher_weight=1.0, noise=False)
