"""``spacec search --benchmark``: a strategy over a table of trained architectures, once or many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spacec.cli.output import tell
from spacec.cli.progress import watching
from spacec.cli.query import dataset_option, path_option, which_of, which_option

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.search.config import SearchConfig
    from spacec.search.executor import Executor
    from spacec.search.repeat import Curve
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


def search_table(
    space: Space,
    strategy: type,
    options: object,
    config: SearchConfig,
    queries: Queries,
    out: Path,
    command: str,
    resume: bool,
    executor: Executor,
) -> None:
    """Run the searches, print what they found, and write the report."""
    from spacec.search import files
    from spacec.search.record import RunStore
    from spacec.search.repeat import repeat
    from spacec.search.report.gather import record_command
    from spacec.search.report.write import write_report
    from spacec.search.training import recording

    task, runs = queries.task(space), queries.runs or 1
    with watching() as progress:
        curves = repeat(
            space,
            lambda: strategy(options),
            task,
            config,
            runs,
            out,
            resume=resume,
            progress=progress,
            executor=executor,
        )
    with RunStore(out / files.STORE) as store:
        recorder = store.reopen("search", store.runs()[-1]["name"])
        assert recorder is not None, "a run was just read from it"
        with recording(recorder):
            record_command(recorder, command)
    _tell(task, curves)
    tell(f"report        {write_report(out)}")


def _tell(task: Tabular, curves: list[Curve]) -> None:
    """The best of all runs, and what half of the runs reached."""
    from spacec.search.incumbents import quartiles

    metric = task.metrics[0]
    best = curves[0]
    for curve in curves[1:]:
        best = curve if metric.better(curve.best[-1], best.best[-1]) else best
    tell(f"architecture  {best.architecture}")
    tell(f"{metric.name:<12}  {metric.text(best.best[-1])} (seed {best.seed})")
    facts: dict[str, Any] = {"queries": len(best.best)}
    if len(curves) > 1:
        found = asdict(quartiles([c.best[-1] for c in curves]))
        shown = {name: metric.text(value) for name, value in found.items()}
        facts["runs"] = f"{len(curves)}: median {shown['median']}, quartiles {shown['low']} and {shown['high']}"
    if seconds := quartiles([c.seconds[-1] for c in curves]).median:
        facts["would cost"] = f"{seconds / 3600:,.1f} hours of training" + (" (median)" if len(curves) > 1 else "")
    for name, value in facts.items():
        tell(f"{name:<12}  {value}")
