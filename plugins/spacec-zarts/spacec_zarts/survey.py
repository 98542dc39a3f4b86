"""L on a grid and along a path, point by point, so that what is computed survives an interruption.

Points are computed in order and kept in a file beside the output after every row, with all that they depend on; a
second call with the same settings goes on from there. Points are independent: the same ones in one go or in two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, Literal

from torch import Tensor

from spacec.search import files
from spacec.search.context import SearchContext
from spacec.search.loader import ordered
from spacec.search.progress import Progress, ProgressFn, silent
from spacec.search.seeds import stable_seed
from spacec_zarts.landscape import Grid, Path, Plane
from spacec_zarts.objective import InnerSGD, Objective

Statistics = Literal["batch", "running"]


@dataclass(frozen=True)
class Rating:
    """How L is computed: M inner steps of plain SGD, and the batches of the arch split on which it is judged.

    ``statistics``: norms see the batch, as in the search's own architecture steps, or their running statistics.
    """

    inner_steps: int = 0
    inner_batch_size: int = 48
    inner_lr: float = 1e-3
    batches: int = 1
    statistics: Statistics = "batch"


@dataclass(frozen=True)
class Survey:
    """L by cell of ``grid`` (row by row from the lowest y) and by point of the path, with its ``shadow`` ``(T, 2)``."""

    grid: Grid
    losses: tuple[float, ...]
    path_losses: tuple[float, ...]
    shadow: Tensor
    epochs: tuple[int, ...]


def objective_of(ctx: SearchContext, rating: Rating) -> Objective:
    """L with the weights of the context: unaugmented validation batches, inner batches as the weights see them."""
    stream = ctx.stream("weights", "landscape", batch_size=rating.inner_batch_size)
    inner = [stream.batch(0, m).to(ctx.device) for m in range(rating.inner_steps)]
    val = [batch.to(ctx.device) for batch in ordered(ctx.splits.arch, ctx.eval_batch_size, rating.batches)]
    sgd = InnerSGD(rating.inner_lr, 0.0, ctx.config.weight_decay, ctx.config.clip)
    return Objective(ctx, inner, val, sgd, stable_seed(ctx.seed, "landscape"))


def survey(
    ctx: SearchContext,
    path: Path,
    plane: Plane,
    grid: Grid,
    rating: Rating,
    partial: File | None = None,
    progress: ProgressFn = silent,
) -> Survey:
    """L of every cell and of every point of the path; ``partial`` is the file that keeps what there is so far."""
    loss = objective_of(ctx, rating)
    like = next(p for p in ctx.supernet.parameters())
    points = [*(plane.at(x, y) for x, y in grid.cells), *path.points]
    key = _key(ctx, points, rating)
    found = _so_far(partial, key)[: len(points)]
    with ctx.mode(rating.statistics == "batch"):
        for k in range(len(found), len(points)):
            found.append(loss(path.mask(points[k], like)))
            progress(Progress("landscape", step=k, steps=len(points), loss=found[-1]))
            if partial is not None and len(found) % len(grid.xs) == 0:
                files.write_json(partial, {"key": key, "losses": found})
    cells = len(grid.cells)
    return Survey(grid, tuple(found[:cells]), tuple(found[cells:]), plane.project(path.points), path.epochs)


def to_csv(found: Survey) -> str:
    """One line per cell and per point of the path: ``part,epoch,x,y,loss``."""
    lines = ["part,epoch,x,y,loss"]
    lines += [f"grid,,{x!r},{y!r},{v!r}" for (x, y), v in zip(found.grid.cells, found.losses, strict=True)]
    rows: Sequence[Sequence[float]] = found.shadow.tolist()
    for epoch, (x, y), value in zip(found.epochs, rows, found.path_losses, strict=True):
        lines.append(f"path,{epoch},{x!r},{y!r},{value!r}")
    return "\n".join(lines) + "\n"


def _key(ctx: SearchContext, points: Sequence[Tensor], rating: Rating) -> str:
    """What the losses depend on, in short: points, rating, and the weights."""
    weights = sum(float(t.double().sum()) for t in ctx.supernet.state_dict().values())
    places = repr([[float(p.sum()), float(p.square().sum())] for p in points])
    return f"{stable_seed(repr(rating), places, repr(weights), ctx.step, str(ctx.device)):x}"


def _so_far(partial: File | None, key: str) -> list[float]:
    if partial is None or not partial.is_file():
        return []
    stored: Any = files.read_json(partial)
    fits = isinstance(stored, Mapping) and stored.get("key") == key
    return [float(v) for v in stored["losses"]] if fits else []
