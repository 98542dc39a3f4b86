"""``--benchmark`` of ``spacec search`` and what goes with it: a table of trained architectures, asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.query import dataset_option, path_option, which_of, which_option
from spacec.job.recipe import Asked

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.search.tabular import Tabular

F = TypeVar("F", bound=Callable[..., Any])


def table_options(command: F) -> F:
    """The options that make a :class:`Queries`."""
    for option in (
        click.option(
            "--runs", type=click.IntRange(1), metavar="N", help="With --benchmark: so many runs, a seed each."
        ),
        click.option("--queries", type=click.IntRange(1), metavar="N", help="With --benchmark: queries of a run."),
        click.option(
            "--metric", metavar="NAME", help="The benchmark's metric to follow; NAME:min where less is better."
        ),
        which_option,
        dataset_option,
        path_option,
        click.option("--benchmark", metavar="B", help="Ask an installed benchmark; nothing is trained."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Queries:
    """What the command line asks of a benchmark."""

    benchmark: str | None
    path: str | None
    dataset: str | None
    which: tuple[str, ...]
    metric: str | None
    queries: int | None
    runs: int | None

    def check(self, task: str | None, retrain: bool) -> None:
        """One of ``--task`` and ``--benchmark`` is given, with options of its own only."""
        if (task is None) == (self.benchmark is None):
            raise click.UsageError("Give one of --task and --benchmark.")
        if self.benchmark is not None and retrain:
            raise click.UsageError("--train needs --task: a benchmark has no data.")
        if self.benchmark is None and any(v for name, v in vars(self).items() if name != "benchmark"):
            given = next(name for name, v in vars(self).items() if v)
            raise click.UsageError(f"--{'file' if given == 'path' else given} needs --benchmark.")

    def task(self, space: Space) -> Tabular:
        """The benchmark in the place of a task."""
        from spacec.search.tabular import Tabular

        assert self.benchmark is not None, "a search over a benchmark"
        found = space.benchmark(self.benchmark, self.path)
        return Tabular(found, which_of(self.dataset, self.which), self.metric or "")

    def asked(self) -> Asked:
        """The same, for the recipe of the run."""
        assert self.benchmark is not None, "a search over a benchmark"
        path = None if self.path is None else str(Path(self.path).absolute())
        which = which_of(self.dataset, self.which)
        return Asked(self.benchmark, which, self.metric or "", path, self.runs or 1)
