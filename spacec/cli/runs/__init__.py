"""``spacec runs``: what is in the records of searches and trainings."""

from __future__ import annotations

import click

from spacec.cli.groups import LazyGroup

PARTS = {
    "list": ("one line for each run in folders or a store", "spacec.cli.runs.listing:list_"),
    "show": ("what one run did, found and failed at", "spacec.cli.runs.show:show"),
    "compare": ("settings that differ, results, best so far", "spacec.cli.runs.compare:compare"),
    "export": ("trials, metrics and more as CSV, Parquet or JSON", "spacec.cli.runs.export:export"),
    "report": ("a page about one run, made from its record alone", "spacec.cli.runs.report:report"),
    "tensorboard": ("TensorBoard's event files of a run", "spacec.cli.runs.tensorboard:tensorboard"),
}
"""The subcommands, in the order of ``--help``."""


@click.group(cls=LazyGroup, parts=PARTS)
def runs() -> None:
    """Look at runs: directories that searches and trainings wrote, or all that a store holds.

    \b
    Example:
      spacec runs list runs --sort accuracy
    """
