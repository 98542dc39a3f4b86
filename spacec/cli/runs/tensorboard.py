"""``spacec runs tensorboard``."""

from __future__ import annotations

from pathlib import Path

import click

from spacec.cli.output import tell
from spacec.cli.progress import quiet_option, working
from spacec.cli.runs.places import opened


@click.command()
@click.argument("place", metavar="RUN")
@click.option("-o", "--output", type=click.Path(file_okay=False), metavar="DIR", help="[default: tensorboard in RUN]")
@quiet_option
def tensorboard(place: str, output: str | None) -> None:
    """Write TensorBoard's event files of a run that exists, from its record.

    RUN is a run directory, a record (run.sqlite), or a run of a store: its URL and id, URL#ID. The files are those
    that --tensorboard of search and train writes meanwhile: curves, probabilities of the slots, trials, pictures and
    texts of the architectures, settings and results.

    \b
    Example:
      spacec runs tensorboard runs/darts
      tensorboard --logdir runs/darts/tensorboard
    """
    from spacec.reporting import Pictures
    from spacec.search.report.gather import PICTURES
    from spacec.search.tensorboard import FOLDER, Events, need_tensorboard

    run_dir = Path(place) if Path(place).is_dir() else None
    if output is not None:
        folder = Path(output)
    elif run_dir is not None:
        folder = run_dir / FOLDER
    else:
        raise click.UsageError("Say with -o where the event files of a record alone go.")
    need_tensorboard()
    pictures = None if run_dir is None else run_dir / PICTURES
    with working("writing events"), opened(place) as (store, job), Events(folder, Pictures(), pictures) as events:
        events.follow(store, last=True, job=job)
    tell(f"events        {folder}")
