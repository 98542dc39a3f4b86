"""What several processes may search together, and that they stay the same while they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.executor import Executor, Here
from spacec.search.ranks import REFUSED, Ranks, digest
from spacec.search.strategy import Strategy


def check_shared(ranks: Ranks, config: SearchConfig, executor: Executor | None) -> None:
    """Raise E0856 for settings with which processes cannot share a supernet and its trials."""
    if ranks.size > 1 and not (executor is None or type(executor) is Here):
        headline = f"executor '{executor.name}' is for one process, {ranks.size} were started"
        notes = ("the processes that train a supernet together rate its trials, too",)
        raise SpacecError(Diagnostic(REFUSED, headline, notes=notes, help="leave --executor out, or torchrun"))
    if ranks.size > 1 and config.optimise != "off":
        headline = f"optimise={config.optimise} is for one process, {ranks.size} were started"
        notes = ("its kernels take the statistics of norms over the samples of their own process",)
        raise SpacecError(Diagnostic(REFUSED, headline, notes=notes, help="leave --optimise out, or torchrun"))


def check_in_step(ctx: SearchContext, strategy: Strategy) -> None:
    """Raise E0855 unless all processes hold the same weights, parameters, states and sources of randomness."""
    if ctx.ranks.size == 1:
        return
    state = {**ctx.state(copy=False), "strategy": strategy.state_dict(), "noise": torch.get_rng_state()}
    facts = {name: digest(v) if isinstance(v, Tensor) else repr(v) for name, v in _leaves(state)}
    ctx.ranks.agree(f"they differ after epoch {ctx.epoch}", facts)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What a state holds, by dotted names."""
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = dict(enumerate(value)).items()
    else:
        yield name, value
        return
    for key, part in parts:
        yield from _leaves(part, f"{name}.{key}" if name else str(key))
