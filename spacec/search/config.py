"""Settings of a search that are the runner's, not a strategy's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.optim import OptimOptions
from spacec.search.options import Options, option, parse_options
from spacec.search.task import Task

S = TypeVar("S", bound=Options)


@dataclass(frozen=True)
class SearchConfig(OptimOptions):
    """How a supernet is trained and trials are rated. A strategy states the paper's values in ``Strategy.config``."""

    epochs: int = option(50, "epochs of the supernet", low=0)
    steps: int | None = option(None, "weight steps per epoch; none for one pass over the data", low=1)
    batch_size: int | None = option(None, "samples per weight step; none for the task's", low=1)
    arch_batch_size: int | None = option(None, "samples per architecture step; none for batch_size", low=1)
    eval_batch_size: int | None = option(None, "samples per batch in evaluation; none for batch_size", low=1)
    arch_from: int = option(0, "first epoch with architecture steps", low=0)
    arch_every: int = option(1, "weight steps per architecture step", low=1)
    eval_every: int = option(1, "epochs between evaluations of the supernet; 0 for none", low=0)
    eval_batches: int | None = option(10, "batches of such an evaluation; none for all", low=1)
    recalibrate: int = option(0, "training batches to re-estimate norms on before each rating; 0 for none", low=0)
    label_smoothing: float = option(0.0, "share of a weight step's target spread over all classes", low=0, high=1)
    drop_path: float = option(0.0, "probability of dropping a path at the end of the search", low=0, high=1)
    parallel: int | None = option(
        None, "trials out at a time; none for one, or for all that can run at once where asynchronous", low=1
    )
    asynchronous: bool = option(False, "tell the results of trials as they come; else in rounds of parallel")
    trials: int | None = option(None, "most trials; none for as many as the strategy proposes", low=1)
    max_failures: int | None = option(20, "trials that may raise one after the other; none for no limit", low=1)
    workers: int = option(0, "processes that load data", low=0)
    optimise: Literal["off", "default", "fast", "launches"] = option(
        "off", "how the supernet runs: plainly, or the same up to rounding by a schedule, guessed or measured here"
    )
    device: str = option("auto", "where to compute: auto, cpu, cuda, cuda:1, mps")
    seed: int = option(0, "seed of weights, data order and architectures")


def strategy_config(config: Mapping[str, object], given: Mapping[str, object] | None = None) -> SearchConfig:
    """The runner's defaults, under a strategy's ``config``, under what the user gave."""
    return parse_options(SearchConfig, {**config, **(given or {})}, owner="the search")


def settings_for(config: Mapping[str, object], task: Task) -> Mapping[str, object]:
    """A strategy's ``config`` without what ``task`` has no use for: labels that are smoothed need classes."""
    return {name: value for name, value in config.items() if name != "label_smoothing" or task.label_smoothing}


def parse_search_options(
    options_class: type[S], config: Mapping[str, object], texts: Mapping[str, str], owner: str
) -> tuple[S, SearchConfig]:
    """``-o name=value`` of ``spacec search``: names of the strategy's options first, then the runner's settings.

    A name that neither has is reported with the nearest of both.
    """
    mine = {f.name for f in fields(options_class)}
    runners = {f.name for f in fields(SearchConfig)} - mine
    other = {name: text for name, text in texts.items() if name in runners}
    found: list[Diagnostic] = []
    try:
        options = parse_options(
            options_class, {n: t for n, t in texts.items() if n not in runners}, owner, tuple(runners)
        )
    except SpacecError as error:
        found.extend(error.diagnostics)
    try:
        settings = strategy_config(config, other)
    except SpacecError as error:
        found.extend(error.diagnostics)
    if found:
        raise SpacecError(found)
    return options, settings
