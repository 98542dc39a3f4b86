"""The searches that a check makes of one pair: whole, killed and resumed, of another seed, under a constraint."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.search.config import SearchConfig
from spacec.search.progress import Progress, ProgressFn
from spacec.search.runner import SearchResult, search
from spacec.search.strategy import Strategy
from spacec.search.task import Task
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class Subject:
    """A pair and how it is run. ``options``: of the strategy, by name."""

    space: Space
    strategy: type[Strategy]
    options: Mapping[str, object]
    config: SearchConfig
    trial: TrainConfig
    task: Task

    def make(self) -> Strategy:
        return self.strategy(self.options)

    def with_config(self, **values: Any) -> Subject:
        return replace(self, config=replace(self.config, **values))

    def run(
        self, strategy: Strategy, progress: ProgressFn, out_dir: Path | None = None, resume: bool = False
    ) -> SearchResult:
        return search(
            self.space,
            strategy,
            self.task,
            self.config,
            out_dir,
            train_config=self.trial,
            resume=resume,
            progress=progress,
        )


class Killed(KeyboardInterrupt):
    """How a run is ended in its middle: the runner treats it as the user's interrupt."""


Moment = tuple[str, int, int]
"""Phase, epoch, step."""


def killer(moment: Moment | None) -> ProgressFn:
    """A progress function that kills the run at a moment, or never."""

    def told(now: Progress) -> None:
        if (now.phase, now.epoch, now.step) == moment:
            raise Killed

    return told


def outcome(result: SearchResult, strategy: Strategy) -> dict[str, Any]:
    """What two equal searches share: what was learnt, weights and moments of every supernet, what was found."""
    ctx = result.context
    return {
        "strategy": strategy.state_dict(),
        "supernets": {name: net.state_dict() for name, net in ctx.supernets.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in ctx.optimizers.items()},
        "architecture": result.architecture.text(),
        "metrics": dict(result.metrics),
        "trials": result.trials,
    }


@contextmanager
def global_randomness(seed: int) -> Iterator[None]:
    """The global generators of Python, numpy and torch at ``seed`` for the body; put back after it.

    A search must not see them: its own randomness comes from its seed.
    """
    python, numbers, tensors = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
        torch.random.set_rng_state(tensors)


def excluding(space: Space, arch: Architecture) -> tuple[Space, str] | None:
    """The space under a constraint that ``arch`` breaks and others satisfy, and its text; ``None`` if none is found.

    Tried in order: one of its candidates is chosen nowhere; another number of weights.
    """
    texts = [f'count({d.owner}, "{d.labels[k]}") == 0' for d, k in _chosen(space, arch)]
    for text in [*texts[:8], f"params < {space.params(arch)}", f"params > {space.params(arch)}"]:
        try:
            narrowed = space.where(text)
            if narrowed.violated(arch) and narrowed.count() > 0:
                return narrowed, text
        except SpacecError:  # a constraint that this space cannot express, or not count exactly
            continue
    return None


def _chosen(space: Space, arch: Architecture) -> Sequence[tuple[Any, int]]:
    return [(d, k) for d in space.decisions if d.kind == "op" and isinstance(k := arch.get(d.id), int)]
