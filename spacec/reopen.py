"""A search taken up from its run directory alone, to look at what it left: nothing is written, nothing goes on.

The directory has the grammar, its header, the settings, the last checkpoint and the record; the task and the strategy
are those of the same names that are installed now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.driver import Session
from spacec.facade import Space
from spacec.hooks import installed
from spacec.source import SourceFile
from spacec.syntax.read import source_from_path

if TYPE_CHECKING:
    from spacec.hooks.local import Source
    from spacec.search.context import SearchContext
    from spacec.search.strategy import Strategy
    from spacec.search.task import Task

PARTS = {
    "search": (),
    "trial": (),
    "strategy": ("name", "options"),
    "task": ("name", "options"),
    "space": ("header", "digest"),
}
"""Of the settings of a search, and what each part must say."""


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
    Raises :class:`SpacecError`: E0810 or E0813 for a directory that cannot be read, E0812 where the grammar compiles
    to another space than then, E0817 where it lacks a search, its task, or a trained supernet.
    """
    from spacec.search import files
    from spacec.search.checkpoint import begin
    from spacec.search.config import SearchConfig
    from spacec.search.context import SearchContext
    from spacec.search.device import resolve_device
    from spacec.search.options import parse_options
    from spacec.search.record import NullRecorder
    from spacec.search.schedules import Schedules
    from spacec.search.seeds import own_randomness
    from spacec.search.trainer import TrainConfig
    from spacec.search.wiring import input_types, output_types

    path = Path(run_dir)
    found = _settings(path)
    space = _space(path, found["space"], ops, libraries)
    strategy: Strategy = (
        installed().find("spacec_strategies", found["strategy"]["name"]).load()(found["strategy"]["options"])
    )
    if not strategy.uses_supernet:
        raise _lacking(path, f"strategy '{strategy.name}' trained no supernet")
    if not (path / files.CHECKPOINT).exists():
        raise _lacking(path, "no epoch of it was finished, so there is no checkpoint")
    task = task or _task(path, found["task"])
    config = parse_options(SearchConfig, found["search"], owner="the search")
    config = replace(config, device=device or config.device)
    where = resolve_device(config.device)
    adapted = task.adapt(input_types(space.flat), output_types(space.flat))
    trial = parse_options(TrainConfig, found["trial"], owner="training")
    schedules = Schedules(config.optimise, NullRecorder(), path)
    context = SearchContext(space, adapted, config, trial, where, NullRecorder(), schedules)
    with own_randomness(where):
        begin(context, strategy, path)
    return Reopened(space, strategy, context, _probabilities(path))


def _settings(path: Path) -> Mapping[str, Any]:
    """What ``config.json`` says of the search."""
    from spacec.search import files

    if not (path / files.STORE).is_file():
        raise files.StorageError(Diagnostic("E0813", f"'{path}' holds no run record ({files.STORE})"))
    whole = files.read_json(path / files.CONFIG)
    search = whole.get("search") if isinstance(whole, dict) else None
    if search is None:
        raise _lacking(path, "it holds no search")
    parts = {part: search.get(part) for part in PARTS} if isinstance(search, dict) else dict.fromkeys(PARTS)
    if not all(isinstance(value, dict) and set(PARTS[part]) <= set(value) for part, value in parts.items()):
        headline = f"'{path / files.CONFIG}' is not what a search wrote"
        raise files.StorageError(Diagnostic("E0813", headline))
    return parts


def _space(path: Path, stated: Mapping[str, Any], ops: Iterable[Source], libraries: Iterable[str | Path]) -> Space:
    from spacec.search import files

    session = Session.default(ops, libraries)
    where = tuple(SourceFile("--where", text) for text in stated.get("where", ()))
    space = session.compile(source_from_path(path / files.SPACE), stated["header"], where=where)
    if space.digest != stated["digest"]:
        headline = f"'{path}' searched another form of its space: {stated['digest'][:8]} then, {space.digest[:8]} now"
        raise SpacecError(Diagnostic("E0812", headline, help="use the plugins, ops and libraries of then"))
    return space


def _task(path: Path, stated: Mapping[str, Any]) -> Task:
    name = stated["name"]
    if name not in installed().names("spacec_tasks"):
        headline = f"cannot take up '{path}': its task '{name}' is not installed"
        raise SpacecError(Diagnostic("E0817", headline, help="name its data with --task"))
    task: Task = installed().find("spacec_tasks", name).load()(stated["options"])
    return task


def _probabilities(path: Path) -> dict[int, dict[str, tuple[float, ...]]]:
    from spacec.search import files
    from spacec.search.record import RunStore

    found: dict[int, dict[str, tuple[float, ...]]] = {}
    with RunStore(path / files.STORE) as store:
        searches = [run["id"] for run in store.runs() if run["kind"] == "search"]
        for row in store.probabilities(searches[-1]) if searches else ():
            found.setdefault(row["epoch"], {})[row["slot"]] = tuple(row["values"])
    return found


def _lacking(path: Path, why: str) -> SpacecError:
    return SpacecError(Diagnostic("E0817", f"cannot take up '{path}': {why}"))
