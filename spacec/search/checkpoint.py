"""Saving a search and going on from it.

``checkpoint.pt`` holds the state after an epoch: supernets, optimisers, strategy, counters. ``trials.pt`` holds what
trials change, and is written only after the last epoch. Both load with ``weights_only``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spacec.search import files
from spacec.search.context import SearchContext
from spacec.search.strategy import Strategy


def save_context(out_dir: Path, ctx: SearchContext, strategy: Strategy) -> None:
    """Write ``checkpoint.pt``."""
    state = {
        "epoch": ctx.epoch,
        "step": ctx.step,
        "supernets": {name: net.state_dict() for name, net in ctx.supernets.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in ctx.optimizers.items()},
        **_shared(ctx, strategy),
    }
    files.write_tensors(out_dir / files.CHECKPOINT, state)


def restore_context(out_dir: Path, ctx: SearchContext, strategy: Strategy) -> None:
    """Read ``checkpoint.pt`` into a context whose strategy is set up; a run stopped in its first epoch has none."""
    path = out_dir / files.CHECKPOINT
    if not path.exists():
        return
    state = files.read_tensors(path)
    ctx.epoch, ctx.step = int(state["epoch"]), int(state["step"])
    for name, net in ctx.supernets.items():
        net.load_state_dict(state["supernets"][name])
        ctx.optimizers[name].load_state_dict(state["optimizers"][name])
    _restore_shared(state, ctx, strategy)


def save_trials(
    out_dir: Path, ctx: SearchContext, strategy: Strategy, count: int, best: tuple[float, dict[str, float]]
) -> None:
    """Write ``trials.pt``."""
    state = {"count": count, "best": best, **_shared(ctx, strategy)}
    files.write_tensors(out_dir / files.TRIALS, state)


def restore_trials(out_dir: Path, ctx: SearchContext, strategy: Strategy) -> tuple[int, tuple[float, dict[str, float]]]:
    """Read ``trials.pt``, if any trial was observed; the number of trials and the best one's metrics."""
    path = out_dir / files.TRIALS
    if not path.exists():
        return 0, (ctx.task.metrics[0].worst, {})
    state = files.read_tensors(path)
    _restore_shared(state, ctx, strategy)
    value, metrics = state["best"]
    return int(state["count"]), (float(value), dict(metrics))


def _shared(ctx: SearchContext, strategy: Strategy) -> dict[str, Any]:
    return {
        "strategy": strategy.state_dict(),
        "python_random": ctx.rng.getstate(),
        "generator": ctx.generator.get_state(),
    }


def _restore_shared(state: Mapping[str, Any], ctx: SearchContext, strategy: Strategy) -> None:
    strategy.load_state_dict(state["strategy"])
    version, numbers, gauss = state["python_random"]
    ctx.rng.setstate((version, tuple(numbers), gauss))
    ctx.generator.set_state(torch.as_tensor(state["generator"], dtype=torch.uint8, device="cpu"))
