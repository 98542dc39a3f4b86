"""Saving a search and going on from it.

``checkpoint.pt`` holds the state after an epoch: supernets, optimisers, strategy, counters. ``trials.pt`` holds what
trials change, and is written now and then after the last epoch; the record holds what came since. Both load with
``weights_only``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spacec.search import files
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.seeds import reseed
from spacec.search.soft import SoftStrategy
from spacec.search.strategy import Strategy


def begin(ctx: SearchContext, strategy: Strategy, run_dir: Path | None = None) -> None:
    """Build the supernet and set the strategy up; with ``run_dir``, both are then as its ``checkpoint.pt`` has them."""
    reseed(ctx.seed, "setup")
    ctx.mixes = isinstance(strategy, SoftStrategy)
    if strategy.uses_supernet:
        ctx.add_supernet(MAIN, strategy.supernet_options())
    strategy.setup(ctx)
    if run_dir is not None:
        restore_context(run_dir, ctx, strategy)


def save_context(out_dir: Path, ctx: SearchContext, strategy: Strategy) -> None:
    """Write ``checkpoint.pt``."""
    files.write_tensors(out_dir / files.CHECKPOINT, {**ctx.state(copy=False), "strategy": strategy.state_dict()})


def restore_context(out_dir: Path, ctx: SearchContext, strategy: Strategy) -> None:
    """Read ``checkpoint.pt`` into a context whose strategy is set up; a run stopped in its first epoch has none."""
    path = out_dir / files.CHECKPOINT
    state = ctx.ranks.first(lambda: files.read_tensors(path) if path.exists() else None)
    if state is None:
        return
    with files.of_this_search(path):
        ctx.load_state(state)
        strategy.load_state_dict(state["strategy"])


@dataclass
class Log:
    """How far the trials of a search are: how many were asked for, how many times results were told, which are out.

    ``parallel``: how many may be out at a time, once that is known.
    """

    asked: int = 0
    told: int = 0
    parallel: int | None = None
    out: tuple[int, ...] = ()


def save_trials(out_dir: Path, ctx: SearchContext, strategy: Strategy, log: Log) -> None:
    """Write ``trials.pt``."""
    state = {**asdict(log), **ctx.randomness(), "strategy": strategy.state_dict()}
    files.write_tensors(out_dir / files.TRIALS, state)


def restore_trials(out_dir: Path, ctx: SearchContext, strategy: Strategy) -> Log | None:
    """Read ``trials.pt``, if there is one, into a strategy that is set up."""
    path = out_dir / files.TRIALS
    state = ctx.ranks.first(lambda: files.read_tensors(path) if path.exists() else None)
    if state is None:
        return None
    with files.of_this_search(path):
        return _restored(state, ctx, strategy)


def _restored(state: Mapping[str, Any], ctx: SearchContext, strategy: Strategy) -> Log:
    ctx.load_randomness(state)
    strategy.load_state_dict(state["strategy"])
    if "count" in state:  # of a run whose record was of version 2: each trial was told by itself
        return Log(int(state["count"]), int(state["count"]))
    return Log(int(state["asked"]), int(state["told"]), state["parallel"], tuple(state["out"]))
