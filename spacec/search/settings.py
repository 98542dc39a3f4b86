"""The settings of a search as its run directory keeps them, in ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.space_like import SpaceLike
from spacec.search.store.place import assign, open_at
from spacec.search.strategy import Strategy
from spacec.search.task import Task
from spacec.search.trainer import TrainConfig
from spacec.search.training import check_same, update_config

FREE = ("trials", "device")
"""Settings that may change when a search goes on."""


def settings_of(
    space: SpaceLike, strategy: Strategy, task: Task, config: SearchConfig, train_config: TrainConfig
) -> dict[str, Any]:
    """All that a search which resumes must share."""
    told = asdict(config)
    if config.optimise == "off":
        del told["optimise"]  # runs of before the option are such
    return {
        "search": told,
        "trial": asdict(train_config),
        "strategy": strategy.describe(),
        "task": task.describe(),
        "space": {"name": space.name, "digest": space.digest, "header": dict(space.header), **_narrowed(space)},
    }


def _narrowed(space: SpaceLike) -> dict[str, Any]:
    """The constraints beside those of the grammar, where there are any."""
    return {"where": [source.text for source in space.narrowed_by]} if space.narrowed_by else {}


def prepare(out_dir: Path, space: SpaceLike, settings: Mapping[str, Any], resume: bool, url: str = "") -> None:
    """Make the run directory, or check that it holds this search (E0812, E0815).

    A search that goes on may have more trials, on another device. Settings that its spacec did not know have their
    defaults. ``url``: of the database that keeps the record; one that cannot be used is refused before anything is
    written.
    """
    if not resume:
        if url:
            open_at(url).close()
        files.make_run_directory(out_dir)
        files.discard_parts(out_dir)
        files.write_text(out_dir / files.SPACE, space.text)
    else:
        stored = files.read_json(out_dir / files.CONFIG)["search"]
        given = files.as_json(settings)
        defaults = {"search": asdict(SearchConfig()), "trial": asdict(TrainConfig())}
        for part, known in defaults.items():
            stored[part] = {**{name: files.as_json(known[name]) for name in given[part]}, **stored[part]}
            for name in FREE:
                stored[part].pop(name, None)
                given[part].pop(name, None)
        check_same(out_dir, stored, given)
        files.discard_parts(out_dir)
    update_config(out_dir, "search", settings)
    if url and not resume:
        assign(out_dir, url)
