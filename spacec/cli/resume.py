"""``spacec resume``: a run goes on from where it was left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.ended import command_line, run_and_tell
from spacec.cli.follow import tensorboard_option
from spacec.cli.progress import quiet_option
from spacec.cli.tasks import TASK_HELP, store_option

if TYPE_CHECKING:
    from spacec.job.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])


def code_options(command: F) -> F:
    """What a run does not hold, or what has moved since: the arguments of :class:`spacec.job.parts.Code`, and
    ``outside``."""
    for option in (
        click.option("--outside", is_flag=True, help="Ask the servers and write the files outside RUN that it names."),
        click.option("--device", metavar="D", help="Compute here instead: auto, cpu, cuda, cuda:1, mps."),
        click.option("--file", "path", type=click.Path(), metavar="PATH", help="Where the benchmark's file is now."),
        click.option("--task", metavar="T", help=f"Where the data of the run are now. {TASK_HELP}"),
        click.option(
            "--library",
            "libraries",
            multiple=True,
            metavar="DIR",
            help="For a run without a recipe: where the files are that its space uses. Repeatable.",
        ),
        click.option("--ops", multiple=True, metavar="FILE.py", help="The ops of a run that had some; runs the file."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--trials", type=click.IntRange(1), metavar="N", help="Go on to so many trials (or queries) in all.")
@click.option("--runs", type=click.IntRange(1), metavar="N", help="Over a benchmark: go on to so many runs in all.")
@store_option
@code_options
@tensorboard_option
@quiet_option
def resume(
    run_dir: Path,
    outside: bool,
    trials: int | None,
    runs: int | None,
    store_url: str,
    **code: Any,
) -> None:
    """Go on with the run in a directory, from its record alone, to the end it would have had.

    RUN is what --out was given; it may have been moved or copied. It holds the space with all files that this uses,
    every setting, and what was reached. Nothing in it is run as code: ops from a Python file, and data that a Python
    module defines, are named again.

    A search that ended goes on with --trials N, as if it had been asked for so many at the start, where its strategy
    lets trials be as many as one likes; one over a benchmark with --runs N.

    \b
    Example:
      spacec resume runs/darts
    """
    from spacec.job.before import recipe_in
    from spacec.job.parts import Code, check_outside, parts_of

    job = more_of(recipe_in(run_dir), trials, runs)
    parts = parts_of(job, run_dir, Code(**code))
    if not outside:
        check_outside(parts, run_dir)
    run_and_tell(job, parts, run_dir, True, store_url)


def more_of(job: Recipe, trials: int | None, runs: int | None) -> Recipe:
    """``job`` with so many trials and runs."""
    if trials is not None:
        if job.search is None:
            raise click.UsageError("--trials needs a search: this run is a training.")
        job = replace(job, search={**job.search, "trials": trials})
    if runs is not None:
        if job.benchmark is None:
            raise click.UsageError("--runs needs a search over a benchmark.")
        job = replace(job, benchmark=replace(job.benchmark, runs=runs))
    if trials is None and runs is None:
        return job
    return replace(job, command=f"{job.command}\n{command_line()}".lstrip())
