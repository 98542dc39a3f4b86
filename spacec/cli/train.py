"""``spacec train``: one architecture, trained from scratch."""

from __future__ import annotations

from pathlib import Path

import click

from spacec.cli.ended import command_line, run_and_tell
from spacec.cli.spaces import arch_option, file_argument, named_architecture, space_options
from spacec.cli.tasks import make_task, open_space_for, print_options, run_options
from spacec.job.parts import Parts, recipe_of, task_named


def help_options(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the options of training, and leave."""
    if not value:
        return
    from spacec.search.training import TrainConfig

    print_options("options of training (-o NAME=VALUE)", TrainConfig)
    ctx.exit()


@click.command()
@file_argument
@space_options
@arch_option
@run_options
@click.option("-o", "--option", "options", multiple=True, metavar="NAME=VALUE", help="Set an option of training.")
@click.option(
    "--help-options",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=help_options,
    help="Show the options of training: schedule, cutout, drop-path, auxiliary loss, moving average.",
)
def train(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    arch: str,
    task_name: str,
    task_options: tuple[str, ...],
    options: tuple[str, ...],
    out: str,
    device: str,
    seed: int,
    resume: bool,
    store_url: str,
) -> None:
    """Train one architecture from scratch and measure it on data held out.

    DIR receives weights.pt, network.py (stand-alone source), the run record and a checkpoint of every
    epoch; an interrupted training goes on with --resume.

    \b
    Example:
      spacec train grammars/darts.space --preset tiny --arch random:1 --task digits --out runs/one -o epochs=5
    """
    from spacec.search.options import parse_options, split_assignments
    from spacec.search.trainer import TrainConfig

    texts = {"seed": str(seed), "device": device, **split_assignments(options)}
    config = parse_options(TrainConfig, texts, "training")
    task = make_task(task_name, task_options)
    space = open_space_for(task, file, params, preset, ops)
    parts = Parts(space, task, train=config, architecture=named_architecture(space, arch))
    named = task_named(task_name, split_assignments(task_options, "-t"), task)
    run_and_tell(recipe_of(parts, ops, command_line(), named), parts, Path(out), resume, store_url)
