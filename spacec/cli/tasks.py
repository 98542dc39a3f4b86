"""What ``spacec search`` and ``spacec train`` share: tasks, and the space in the form a task asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.follow import tensorboard_option
from spacec.cli.output import table, tell
from spacec.cli.spaces import further_constraints, library_folders, read_params
from spacec.hooks import installed
from spacec.syntax.read import source_from_path

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.search.options import Options
    from spacec.search.task import Task

F = TypeVar("F", bound=Callable[..., Any])

TASK_HELP = "An installed task, a folder of images, or module:attr / file.py:attr of a torch data set."


store_option = click.option(
    "--store",
    "store_url",
    default="",
    metavar="URL",
    help="Keep the run record in a PostgreSQL database, postgresql://USER@HOST/DATABASE, not in the run's folder.",
)


def run_options(command: F) -> F:
    """Options of commands that train something for a task, which must be named."""
    return task_options(_run_options(command), required=True)


def search_options(command: F) -> F:
    """Options of a search, for a task or over a benchmark."""
    return task_options(_run_options(command), required=False)


def task_options(command: F, required: bool) -> F:
    """``--task`` and ``-t``."""
    for option in (
        click.option(
            "-t",
            "--task-option",
            "task_options",
            multiple=True,
            metavar="NAME=VALUE",
            help="Set an option of the task.",
        ),
        click.option("--task", "task_name", required=required, metavar="T", help=TASK_HELP),
    ):
        command = option(command)
    return command


def _run_options(command: F) -> F:
    for option in (
        store_option,
        tensorboard_option,
        click.option("--resume", is_flag=True, help="Go on with the run in DIR."),
        click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights and data order."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps."),
        click.option("--out", required=True, type=click.Path(file_okay=False), metavar="DIR", help="Run directory."),
    ):
        command = option(command)
    return command


def make_task(name: str, options: tuple[str, ...]) -> Task:
    """The task that a user names."""
    from spacec.search.options import split_assignments
    from spacec.search.tasks.named import names_data, task_from

    texts = split_assignments(options, "-t")
    if names_data(name):
        return task_from(name, texts)
    task: Task = installed().find("spacec_tasks", name).load()(texts)
    return task


def open_space_for(task: Task, file: str, params: tuple[str, ...], preset: str | None, ops: tuple[str, ...]) -> Space:
    """The space in the form that the options ask for and the task's data need."""
    from spacec.driver import Session, parameters_of
    from spacec.search.task import bind_header

    header = bind_header(task, parameters_of(file), read_params(params))
    session = Session.default(ops, library_folders())
    return session.compile(source_from_path(file), header, preset, further_constraints())


def print_options(title: str, cls: type[Options], preset: Mapping[str, object] | None = None) -> None:
    """A table of option names, types, defaults and help; ``preset`` gives defaults that differ."""
    from spacec.search.options import options_help, shown_default

    tell(title)
    given = {name: shown_default(value) for name, value in (preset or {}).items()}
    rows = [(o.name, given.get(o.name, o.default), o.type, o.help) for o in options_help(cls)]
    tell(table(rows) if rows else "  none")
