"""Once-for-all: Cai, Gan, Wang, Zhang and Han, Once-for-All: Train One Network and Specialize it for Efficient
Deployment (ICLR 2020), by progressive shrinking.

The largest network trains first, and from then on is a teacher that learns no more. In the phases that follow
(:mod:`spacec_oneshot.shrinking`) a weight step draws M architectures (1 while kernels become elastic, 2 for depths, 4
for widths), adds up the gradients of

    loss = CE(labels, a) + r CE(softmax of the teacher's logits; a)

with r = 1, and takes one step of the optimiser. Every phase has a rate of its own, which rises linearly at first and
falls by a cosine to ``lr_min``, and starts without momentum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.optim import learning_rate
from spacec.search.options import option
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Path
from spacec.space.architecture import Architecture
from spacec_oneshot.base import OneShot, OneShotOptions
from spacec_oneshot.ends import ends, no_ends
from spacec_oneshot.shrinking import NAMES, Phase, phases

PAPER: Mapping[str, object] = {
    "epochs": 530, "batch_size": 64, "lr": 0.03, "lr_min": 0.0, "clip": 0.0, "recalibrate": 64,
}  # fmt: skip
"""Epochs are the sum of the lengths of all phases."""
EVOLUTION = "population=100,generations=500,top=25,mutations=50,mutation=0.1,crossovers=50"


@dataclass(frozen=True)
class OfaOptions(OneShotOptions):
    search_options: str = option(EVOLUTION, "the searcher's options, as population=20,generations=5")
    lengths: tuple[float, float, float, float, float, float] = option(
        (120, 120, 25, 120, 25, 120), f"lengths of {', '.join(NAMES)}, relative to each other", low=0
    )
    warm: float = option(5.0, "length of the rise of the rate in a phase, relative to these", low=0)
    rates: tuple[float, float, float, float, float, float] = option(
        (1, 1, 0.083333, 0.25, 0.083333, 0.25), "rates of these phases, relative to lr", low=0
    )
    paths: tuple[int, int, int, int, int, int] = option((1, 1, 2, 2, 4, 4), "networks of a step in these phases", low=1)
    ratio: float = option(1.0, "r: weight of what the teacher says", low=0)

    def __post_init__(self) -> None:
        if not self.lengths[0] > 0:
            headline = "option 'lengths' of strategy 'ofa' leaves the largest network, who teaches the others, no step"
            raise SpacecError(Diagnostic("E0703", headline))


class Ofa(OneShot):
    """See the module. ``phases`` are those that the space has, ``starts`` their first steps; ``phase`` is where it is.

    ``teacher``: weights and statistics of the largest network as its phase left them, by name.
    """

    name = "ofa"
    help = "a supernet by progressive shrinking: the largest network first, then kernels, depths and widths"
    Options = OfaOptions
    config: ClassVar[Mapping[str, object]] = PAPER
    options: OfaOptions

    largest: Architecture
    phases: tuple[Phase, ...]
    starts: tuple[int, ...]
    phase: int
    teacher: dict[str, Tensor] | None

    def unsupported(self, space: SpaceLike) -> str:
        return no_ends(space) or super().unsupported(space)

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        o = self.options
        self.largest = ends(ctx.space)[1]
        self.phases = phases(ctx.space, self.largest, o.lengths, o.rates, o.paths)
        self.starts = starts([p.length for p in self.phases], ctx.epochs * ctx.steps)
        self.phase, self.teacher = -1, None

    def on_epoch(self, epoch: int) -> None:
        self._enter(epoch * self.ctx.steps)

    def weight_rate(self, step: int) -> float:
        """See the module; in the middle of the step, which is ``step`` of the epoch."""
        at = self.ctx.epoch * self.ctx.steps + step
        self._enter(at)
        phase, start = self.phases[self.phase], self.starts[self.phase]
        config = self.ctx.config
        rise = self.options.warm / phase.length
        own = replace(config, lr=config.lr * phase.rate, warmup=min(rise, 1.0), schedule_by="step")
        return learning_rate(own, 0, 2 * (at - start) + 1, 2 * (self._end - start), 1)

    def masks(self, step: int) -> Sequence[Path]:
        self._enter(step)
        phase = self.phases[self.phase]
        if phase.chances is None:
            return [self.path(self.largest)] * phase.paths
        drawn = phase.chances.sample(phase.paths, self.ctx.rng.getrandbits(31))
        teacher = self.ctx.mask_of(self.largest)
        return [
            Path(self.ctx.mask_of(arch), 1.0, teacher, self.options.ratio, teacher_weights=self.teacher)
            for arch in drawn
        ]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "phase": self.phase, "teacher": self.teacher}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.phase, self.teacher = int(state["phase"]), state["teacher"]

    @property
    def _end(self) -> int:
        """The step at which the phase ends."""
        after = self.phase + 1
        return self.starts[after] if after < len(self.starts) else self.ctx.epochs * self.ctx.steps

    def _enter(self, step: int) -> None:
        """The phase of ``step``, with all that begins with it."""
        now = max(k for k, start in enumerate(self.starts) if start <= step)
        if now == self.phase:
            return
        if self.phase == 0:
            self.teacher = {name: t.detach().clone() for name, t in self.ctx.supernet.state_dict().items()}
        self.ctx.optimizer.state.clear()
        self.phase = now
        self.ctx.recorder.event("phase", self.phases[now].name, {"step": step})


def starts(lengths: Sequence[float], steps: int) -> tuple[int, ...]:
    """The first step of each phase, so that they share ``steps`` by their lengths; every one has a step, if it can."""
    whole, found, upto = sum(lengths), list[int](), 0.0
    for k, length in enumerate(lengths):
        least = found[-1] + 1 if found else 0
        found.append(max(least, min(round(steps * upto / whole), steps - (len(lengths) - k))))
        upto += length
    return tuple(found)
