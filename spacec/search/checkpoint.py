"""Saving a search and going on from it.

``checkpoint.pt`` holds the state after an epoch: supernets, optimisers, strategy, counters. ``trials.pt`` holds what
trials change, and is written only after the last epoch. Both load with ``weights_only``.
"""

from __future__ import annotations

from pathlib import Path

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
    if not path.exists():
        return
    state = files.read_tensors(path)
    ctx.load_state(state)
    strategy.load_state_dict(state["strategy"])


def save_trials(
    out_dir: Path, ctx: SearchContext, strategy: Strategy, count: int, best: tuple[float, dict[str, float]]
) -> None:
    """Write ``trials.pt``."""
    state = {"count": count, "best": best, **ctx.randomness(), "strategy": strategy.state_dict()}
    files.write_tensors(out_dir / files.TRIALS, state)


def restore_trials(out_dir: Path, ctx: SearchContext, strategy: Strategy) -> tuple[int, tuple[float, dict[str, float]]]:
    """Read ``trials.pt``, if any trial was observed; the number of trials and the best one's metrics."""
    path = out_dir / files.TRIALS
    if not path.exists():
        return 0, (ctx.task.metrics[0].worst, {})
    state = files.read_tensors(path)
    ctx.load_randomness(state)
    strategy.load_state_dict(state["strategy"])
    value, metrics = state["best"]
    return int(state["count"]), (float(value), dict(metrics))
