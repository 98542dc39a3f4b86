"""``spacec search``: an installed strategy on a space and a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spacec.cli.output import tell
from spacec.cli.progress import watching
from spacec.cli.runs import make_task, metrics_text, open_space_for, print_options, run_options
from spacec.cli.spaces import file_argument, space_options
from spacec.hooks import installed


def help_strategy(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    """Print the options of a strategy and of the runner under it, and leave."""
    if name is None:
        return
    from spacec.search.config import SearchConfig

    strategy = installed().find("spacec_strategies", name).load()
    tell(f"{name}: {(strategy.__doc__ or strategy.help).strip()}\n")
    print_options(f"options of {name} (-o NAME=VALUE)", strategy.Options)
    print_options("\noptions of the search (-o NAME=VALUE)", SearchConfig, strategy.config)
    ctx.exit()


@click.command()
@file_argument
@space_options
@run_options
@click.option("--strategy", "strategy_name", required=True, metavar="S", help="An installed strategy.")
@click.option(
    "-o", "--option", "options", multiple=True, metavar="NAME=VALUE", help="Set an option of strategy or search."
)
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
    task_name: str,
    task_options: tuple[str, ...],
    strategy_name: str,
    options: tuple[str, ...],
    out: str,
    device: str,
    seed: int,
    resume: bool,
) -> None:
    """Search a space for the best architecture of a task.

    DIR receives the run record, checkpoints and the architecture found; an interrupted run goes on
    with --resume.

    \b
    Example:
      spacec search grammars/darts.space --preset tiny --task digits --strategy darts --out runs/darts
    """
    from spacec.search.config import parse_search_options
    from spacec.search.options import split_assignments
    from spacec.search.runner import search as run

    cls: Any = installed().find("spacec_strategies", strategy_name).load()
    texts = {"seed": str(seed), "device": device, **split_assignments(options)}
    chosen, config = parse_search_options(cls.Options, cls.config, texts, f"strategy '{strategy_name}'")
    task = make_task(task_name, task_options)
    space = open_space_for(task, file, params, preset, ops)
    with watching() as progress:
        found = run(space, cls(chosen), task, config, Path(out), resume=resume, progress=progress)
    tell(f"architecture  {found.architecture.text()}")
    tell(f"weights       {space.params(found.architecture):,}")
    if found.metrics:
        tell(f"rated         {metrics_text(found.metrics)} (with the search's weights, on the arch split)")
    tell(f"run           {out}")
