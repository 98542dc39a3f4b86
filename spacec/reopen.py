"""A search taken up from its run directory alone, to look at what it left: nothing is written, nothing goes on.

The directory has the recipe (:mod:`spacec.job`), the last checkpoint and the record; the task and the strategy are
those of the same names that are installed now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.facade import Space
from spacec.job.before import recipe_in
from spacec.job.parts import Code, parts_of

if TYPE_CHECKING:
    from spacec.hooks.local import Source
    from spacec.search.context import SearchContext
    from spacec.search.strategy import Strategy
    from spacec.search.task import Task


@dataclass(frozen=True)
class Reopened:
    """A search as its last checkpoint left it; ``context`` has the supernet, optimisers, data and settings.

    ``probabilities``: epoch to slot to values, as recorded at the end of each epoch.
    """

    space: Space
    strategy: Strategy
    context: SearchContext
    probabilities: Mapping[int, Mapping[str, tuple[float, ...]]]


def reopen(
    run_dir: str | Path,
    *,
    task: Task | None = None,
    ops: Iterable[Source] = (),
    libraries: Iterable[str | Path] = (),
    device: str | None = None,
) -> Reopened:
    """The latest search in ``run_dir``. ``task`` is needed for data that no installed task names.

    ``ops`` and ``libraries`` are those it was started with; ``device`` is where to compute now (its own by default).
    Raises :class:`SpacecError`: what :func:`spacec.job.before.recipe_in` and :func:`spacec.job.parts.parts_of` raise
    for a directory that cannot be read or a space that is another one now, E0817 where it lacks a search, its task, or
    a trained supernet.
    """
    from spacec.search import files
    from spacec.search.checkpoint import begin
    from spacec.search.context import SearchContext
    from spacec.search.device import resolve_device
    from spacec.search.record import NullRecorder
    from spacec.search.schedules import Schedules
    from spacec.search.seeds import own_randomness
    from spacec.search.wiring import input_types, output_types

    path = Path(run_dir)
    job = recipe_in(path)
    if job.strategy is None or job.benchmark is not None:
        raise _lacking(path, "it holds no search of a supernet")
    parts = parts_of(job, path, Code(tuple(ops), tuple(libraries), device=device), task)
    assert parts.make_strategy is not None, "a search has a strategy"
    assert parts.search is not None, "and its settings"
    assert parts.train is not None, "and those of its trials"
    strategy, space = parts.make_strategy(), parts.space
    if not strategy.uses_supernet:
        raise _lacking(path, f"strategy '{strategy.name}' trained no supernet")
    if not (path / files.CHECKPOINT).exists():
        raise _lacking(path, "no epoch of it was finished, so there is no checkpoint")
    where = resolve_device(parts.search.device)
    adapted = parts.task.adapt(input_types(space.flat), output_types(space.flat))
    schedules = Schedules(parts.search.optimise, NullRecorder(), path)
    context = SearchContext(space, adapted, parts.search, parts.train, where, NullRecorder(), schedules)
    with own_randomness(where):
        begin(context, strategy, path)
    return Reopened(space, strategy, context, _probabilities(path))


def _probabilities(path: Path) -> dict[int, dict[str, tuple[float, ...]]]:
    from spacec.search.record import RunStore

    found: dict[int, dict[str, tuple[float, ...]]] = {}
    with RunStore.of(path, readonly=True) as store:
        searches = [run["id"] for run in store.runs() if run["kind"] == "search"]
        for row in store.probabilities(searches[-1]) if searches else ():
            found.setdefault(row["epoch"], {})[row["slot"]] = tuple(row["values"])
    return found


def _lacking(path: Path, why: str) -> SpacecError:
    return SpacecError(Diagnostic("E0817", f"cannot take up '{path}': {why}"))
