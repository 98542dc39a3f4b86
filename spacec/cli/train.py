"""``spacec train``: one architecture, trained from scratch."""

from __future__ import annotations

from pathlib import Path

import click

from spacec.cli.output import tell
from spacec.cli.progress import watching
from spacec.cli.spaces import arch_option, file_argument, named_architecture, space_options
from spacec.cli.tasks import make_task, metrics_text, open_space_for, print_options, run_options


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
) -> None:
    """Train one architecture from scratch and measure it on data held out.

    DIR receives weights.pt, network.py (stand-alone source), the run record and a checkpoint of every
    epoch; an interrupted training goes on with --resume.

    \b
    Example:
      spacec train grammars/darts.space --preset tiny --arch random:1 --task digits --out runs/one -o epochs=5
    """
    from spacec.lower.network import Network
    from spacec.lower.package import save_package
    from spacec.search.options import parse_options, split_assignments
    from spacec.search.training import TrainConfig
    from spacec.search.training import train as run

    texts = {"seed": str(seed), "device": device, **split_assignments(options)}
    config = parse_options(TrainConfig, texts, "training")
    task = make_task(task_name, task_options)
    space = open_space_for(task, file, params, preset, ops)
    chosen = named_architecture(space, arch)
    with watching() as progress:
        found = run(space, chosen, task, config, Path(out), resume=resume, progress=progress)
    assert isinstance(found.model, Network), "the space builds its networks itself"
    facts = (f"{space.params(chosen):,} weights. On held-out data: {metrics_text(found.test)}.",)
    save_package(Path(out), found.model, None, facts)
    tell(f"architecture  {chosen.text()}")
    tell(f"weights       {space.params(chosen):,}, of epoch {found.epoch + 1}")
    tell(f"valid         {metrics_text(found.valid)}")
    tell(f"test          {metrics_text(found.test)}")
    tell(f"run           {out}")
