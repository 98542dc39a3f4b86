"""``--executor``, ``-x`` and ``--help-executor`` of ``spacec search``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.output import say, tell
from spacec.cli.tasks import print_options
from spacec.hooks import installed

if TYPE_CHECKING:
    from spacec.search.config import SearchConfig
    from spacec.search.executor import Executor

F = TypeVar("F", bound=Callable[..., Any])


def help_executor(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    """Print the options of an executor, and leave."""
    if name is None:
        return
    executor = installed().find("spacec_executors", name).load()
    tell(f"{name}: {executor.help}\n")
    print_options(f"options of {name} (-x NAME=VALUE)", executor.Options)
    ctx.exit()


def executor_options(command: F) -> F:
    """The options that :func:`make_executor` reads."""
    for option in (
        click.option(
            "--help-executor",
            metavar="NAME",
            is_eager=True,
            expose_value=False,
            callback=help_executor,
            help="Show the options of an executor with their defaults.",
        ),
        click.option(
            "-x",
            "--executor-option",
            "executor_texts",
            multiple=True,
            metavar="NAME=VALUE",
            help="Set an option of the executor.",
        ),
        click.option(
            "--executor",
            "executor_name",
            default="here",
            show_default=True,
            metavar="X",
            help="Where trials are rated: an installed executor. How many are out at a time say -o parallel=N and"
            " -o asynchronous=true.",
        ),
    ):
        command = option(command)
    return command


def make_executor(name: str, texts: tuple[str, ...]) -> Executor:
    """The executor that a user names, with its options."""
    from spacec.search.options import split_assignments

    found: Executor = installed().find("spacec_executors", name).load()(split_assignments(texts, "-x"))
    return found


def tell_idle(executor: Executor, config: SearchConfig) -> None:
    """Say where workers are asked for and trials are given out one at a time, so that all but one are idle."""
    workers = getattr(executor.options, "workers", None) or 1
    if workers > 1 and config.parallel is None and not config.asynchronous:
        say(
            f"note: trials are given out one at a time, and {workers - 1} of {workers} workers have nothing to do;"
            f" -o parallel={workers} gives out rounds, -o asynchronous=true a new trial as each ends"
        )
