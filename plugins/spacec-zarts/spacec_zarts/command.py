"""``spacec landscape RUN``: the loss around the path of a search, as a picture and a table."""

from __future__ import annotations

from pathlib import Path as File
from typing import TYPE_CHECKING, Literal

import click

from spacec.cli.output import tell
from spacec.cli.progress import watching
from spacec.cli.tasks import TASK_HELP, make_task
from spacec.diagnostics.model import Diagnostic, SpacecError

if TYPE_CHECKING:
    from spacec.reopen import Reopened
    from spacec_zarts.landscape import Path
    from spacec_zarts.survey import Rating, Survey


@click.command()
@click.argument("run", type=click.Path(file_okay=False), metavar="RUN")
@click.option(
    "--directions",
    type=click.Choice(["pca", "random"]),
    default="pca",
    show_default=True,
    help="The path's principal directions, or random ones, scaled per block as the logits are.",
)
@click.option("--grid", type=click.IntRange(2, 201), default=21, show_default=True, help="Points along each direction.")
@click.option(
    "--inner-steps", type=click.IntRange(0), default=0, show_default=True, help="SGD steps of the weights per point."
)
@click.option("--inner-lr", type=click.FloatRange(0), default=1e-3, show_default=True, help="Rate of these steps.")
@click.option("--batches", type=click.IntRange(1), default=1, show_default=True, help="Batches that L is the mean of.")
@click.option(
    "--statistics",
    type=click.Choice(["batch", "running"]),
    default="batch",
    show_default=True,
    help="What norms use: the batch's statistics, as architecture steps, or running ones, as evaluation.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random directions.")
@click.option("--device", metavar="D", help="Where to compute; the search's own by default.")
@click.option(
    "--out", type=click.Path(dir_okay=False), metavar="FILE", help="The picture; RUN/landscape.svg by default."
)
@click.option("--task", "task_name", metavar="T", help=f"Data that the run cannot name itself: {TASK_HELP}")
@click.option("-t", "--task-option", "task_options", multiple=True, metavar="NAME=VALUE", help="Set an option of it.")
@click.option(
    "--ops", multiple=True, metavar="FILE.py", help="Modules that the search used as ops; this runs the file."
)
@click.option("--library", multiple=True, metavar="DIR", help="Folders of `use` that the search was given.")
def landscape(
    run: str,
    directions: Literal["pca", "random"],
    grid: int,
    inner_steps: int,
    inner_lr: float,
    batches: int,
    statistics: Literal["batch", "running"],
    seed: int,
    device: str | None,
    out: str | None,
    task_name: str | None,
    task_options: tuple[str, ...],
    ops: tuple[str, ...],
    library: tuple[str, ...],
) -> None:
    """Draw the loss around the path that a search took through its architecture parameters.

    RUN is the directory of a search whose strategy has probabilities. L is computed with the weights of its last
    checkpoint on a grid in a plane through the path's end, after --inner-steps of training at each point. Writes a
    picture (SVG) and, beside it, a table (CSV); if interrupted, the same command goes on.

    \b
    Example:
      spacec landscape runs/zarts --grid 31 --inner-steps 10
    """
    from spacec.reopen import reopen
    from spacec_zarts.landscape import Path
    from spacec_zarts.survey import Rating

    target = File(out) if out else File(run) / "landscape.svg"
    if target.suffix != ".svg":
        raise click.BadParameter("the picture is a file that ends in .svg", param_hint="--out")
    task = make_task(task_name, task_options) if task_name else None
    found = reopen(run, task=task, ops=ops, libraries=library, device=device)
    path = Path.of(found.space.slots, found.probabilities)
    if not path.epochs:
        headline = f"'{run}' has no path: strategy '{found.strategy.name}' recorded no probabilities"
        raise SpacecError(Diagnostic("E0817", headline))
    rating = Rating(inner_steps, inner_lr=inner_lr, batches=batches, statistics=statistics)
    _write(found, path, directions, grid, rating, seed, target)
    tell(f"picture       {target}")
    tell(f"table         {target.with_suffix('.csv')}")


def _write(
    found: Reopened, path: Path, directions: Literal["pca", "random"], points: int, rating: Rating, seed: int,
    target: File,
) -> None:  # fmt: skip
    from spacec.search import files
    from spacec.search.seeds import generator
    from spacec_zarts.landscape import grid_of, plane_of
    from spacec_zarts.picture import Titles, draw_landscape
    from spacec_zarts.strategy import blocks_of
    from spacec_zarts.survey import survey, to_csv

    blocks = list(blocks_of(found.space.table, found.space.slots).values())
    plane = plane_of(path, directions, blocks, generator(seed, "landscape"))
    partial = target.with_suffix(".partial.json")
    with files.storage_errors(target.parent, "create"):
        target.parent.mkdir(parents=True, exist_ok=True)
    with watching() as progress:
        surveyed = survey(found.context, path, plane, grid_of(path, plane, points), rating, partial, progress)
    titles = Titles(f"Loss around the path of {found.strategy.name} on {found.space.name}", _remark(found, surveyed,
                    rating), *plane.titles)  # fmt: skip
    files.write_text(target.with_suffix(".csv"), to_csv(surveyed))
    files.write_text(target, draw_landscape(surveyed, titles).render())
    with files.storage_errors(partial, "remove"):
        partial.unlink(missing_ok=True)


def _remark(found: Reopened, surveyed: Survey, rating: Rating) -> str:
    weights = f"weights after epoch {found.context.epoch}"
    inner = f"{rating.inner_steps} inner steps at each point" if rating.inner_steps else "no inner training"
    return f"{weights}, {inner}; path of {len(surveyed.epochs)} epochs"
