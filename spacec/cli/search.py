"""``spacec search``: an installed strategy on a space and a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.ended import command_line, run_and_tell
from spacec.cli.executors import executor_options, make_executor, tell_idle
from spacec.cli.output import tell
from spacec.cli.probes import make_probes, probe_options
from spacec.cli.search_table import Queries, table_options
from spacec.cli.spaces import file_argument, open_space, space_options
from spacec.cli.tasks import make_task, open_space_for, print_options, search_options
from spacec.hooks import installed
from spacec.job.parts import Parts, StrategyOf, recipe_of, task_named

if TYPE_CHECKING:
    from spacec.search.trainer import TrainConfig


def help_strategy(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    """Print the options of a strategy and of the runner under it, and leave."""
    if name is None:
        return
    from spacec.search.config import SearchConfig

    strategy = installed().find("spacec_strategies", name).load()
    tell(f"{name}: {strategy.help}\n")
    print_options(f"options of {name} (-o NAME=VALUE)", strategy.Options)
    print_options("\noptions of the search (-o NAME=VALUE)", SearchConfig, strategy.config)
    ctx.exit()


@click.command()
@file_argument
@space_options
@search_options
@table_options
@probe_options
@executor_options
@click.option("--strategy", "strategy_name", required=True, metavar="S", help="An installed strategy.")
@click.option(
    "-o", "--option", "options", multiple=True, metavar="NAME=VALUE", help="Set an option of strategy or search."
)
@click.option(
    "--optimise",
    type=click.Choice(("off", "default", "fast", "launches")),
    help="How the supernet runs. off (the default) is the plain form and the reference: it gives the numbers of the"
    " space's networks, bit for bit. The others compute the same up to rounding: default by a guess, fast and launches"
    " by what is measured here first, for least time or for fewest calls. DIR keeps the choice for --resume.",
)
@click.option(
    "--train", "retrain", is_flag=True, help="Retrain the pick, judge it on held-out data, export and report."
)
@click.option(
    "-O",
    "--train-option",
    "train_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an option of the retraining, and of trials that are trained alone.",
)
@click.option("--compare/--no-compare", default=True, help="With --train: a random architecture, same budget, too.")
@click.option(
    "--help-strategy",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=help_strategy,
    help="Show the options of a strategy with their defaults.",
)
def search(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    task_name: str | None,
    task_options: tuple[str, ...],
    strategy_name: str,
    options: tuple[str, ...],
    optimise: str | None,
    retrain: bool,
    train_options: tuple[str, ...],
    compare: bool,
    out: str,
    device: str,
    seed: int,
    resume: bool,
    probe_names: tuple[str, ...],
    probe_texts: tuple[str, ...],
    executor_name: str,
    executor_texts: tuple[str, ...],
    store_url: str,
    **table: Any,
) -> None:
    """Search a space for the best architecture of a task, or of a benchmark.

    DIR receives the run record, checkpoints, the architecture found and report.html; an interrupted run goes on
    with --resume. With --train the pick is retrained from scratch and judged on held-out data beside the
    task's baselines and a random architecture; DIR then also holds network.py (stand-alone) and pictures.

    With --probe a probe measures the search while it goes on and changes nothing; report.html draws what it found.

    With --benchmark the strategy asks a table of trained architectures instead, in as many queries and
    as many independent runs as are wanted; report.html then shows how the best one found came about.

    \b
    Example:
      spacec search grammars/darts.space --preset tiny --task digits --strategy darts --out runs/darts
    """
    from spacec.search.config import parse_search_options, settings_for
    from spacec.search.options import split_assignments

    queries = Queries(**table)
    queries.check(task_name, retrain)
    if task_name is None and probe_names:
        raise click.UsageError("--probe needs --task: over a benchmark nothing is trained that could be measured.")
    cls: Any = installed().find("spacec_strategies", strategy_name).load()
    texts = {"seed": str(seed), "device": device, **split_assignments(options)}
    if optimise is not None:
        texts["optimise"] = optimise
    if queries.queries is not None:
        texts["trials"] = str(queries.queries)
    if task_name is None:
        texts = {**cls.tabular, **texts}
    task = None if task_name is None else make_task(task_name, task_options)
    settings = cls.config if task is None else settings_for(cls.config, task)
    chosen, config = parse_search_options(cls.Options, settings, texts, f"strategy '{strategy_name}'")
    shared: dict[str, Any] = {
        "make_strategy": StrategyOf(cls, chosen),
        "search": config,
        "probes": make_probes(probe_names, probe_texts),
        "executor": make_executor(executor_name, executor_texts),
    }
    tell_idle(shared["executor"], config)
    if task_name is None or task is None:
        space = open_space(file, params, preset, ops)
        parts = Parts(space, queries.task(space), **shared)
        job = recipe_of(parts, ops, command_line(), queries.asked())
        run_and_tell(job, parts, Path(out), resume, store_url)
        return
    space = open_space_for(task, file, params, preset, ops)
    own = split_assignments(train_options, "-O")
    training = _train_config({"seed": str(config.seed), "device": config.device, **own})
    parts = Parts(space, task, train=training, **shared)
    named = task_named(task_name, split_assignments(task_options, "-t"), task)
    job = recipe_of(parts, ops, command_line(), named, again=retrain, compare=compare)
    run_and_tell(job, parts, Path(out), resume, store_url)


def _train_config(texts: Mapping[str, str]) -> TrainConfig:
    from spacec.search.options import parse_options
    from spacec.search.trainer import TrainConfig

    return parse_options(TrainConfig, texts, "training")
