"""``spacec runs report``."""

from __future__ import annotations

import click

from spacec.cli.output import tell
from spacec.cli.progress import quiet_option, working
from spacec.cli.runs.places import opened


@click.command()
@click.argument("place", metavar="RUN")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="[default: report.html of RUN]")
@quiet_option
def report(place: str, output: str | None) -> None:
    """Make the report of a run from its record alone.

    RUN is a run directory, a record (run.sqlite), or a run of a store: its URL and id, URL#ID. The page stands alone:
    the best architecture drawn, its metrics and cost beside the baselines, the course of the search, what it traded
    off, trials that failed, and how to do it again. Everything in a record is data: its grammar is compiled, and
    nothing of it is run.

    \b
    Example:
      spacec runs report runs/darts
      spacec runs report copied/run.sqlite -o darts.html
    """
    from pathlib import Path

    from spacec.reporting import report_page, write_run_report
    from spacec.search.files import REPORT, write_text

    with working("reading the record"):
        if Path(place).is_dir() and output is None:
            path = write_run_report(Path(place))
        else:
            path = Path(output or REPORT)
            with opened(place) as (store, job):
                write_text(path, report_page(store, job))
    tell(f"report        {path}")
