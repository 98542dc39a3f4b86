"""The recipe of a run that kept none, from its record: what a spacec of before, or Python code, left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.job.recipe import Asked, Grammar, Named, Recipe, TaskNamed, read_job
from spacec.search import files
from spacec.search.catalogue import open_record

Part = Mapping[str, Any]


def recipe_in(run_dir: Path) -> Recipe:
    """The recipe of a run: as it was kept, else as the record tells it.

    Files that the space uses, whether the pick was to be retrained, and where a benchmark's file is, a record does not
    tell: the first have to stand where they stood, the second is so where the retraining has begun. Raises
    :class:`SpacecError`: E0840 and E0841 where there is no run, E0842 and E0843 for a recipe that cannot be read,
    E0845 for a record that tells too little.
    """
    kept = read_job(run_dir) if run_dir.is_dir() else None
    if kept is not None:
        return kept
    with open_record(run_dir) as store:
        parts = store.runs()
        if not parts:
            raise SpacecError(Diagnostic("E0841", f"'{run_dir}' holds the record of a run that never began"))
        searches = [part for part in parts if part["kind"] == "search"]
        if not searches:
            texts = [a["text"] for a in store.architectures(parts[0]["id"]) if a["role"] == "trained"]
            if not texts:
                raise _lacking(run_dir, "it does not say which architecture was trained")
            return _of_training(run_dir, parts[0], texts[0])
    return _of_search(run_dir, searches, [part["name"] for part in parts if part["kind"] == "train"])


def _of_training(run_dir: Path, part: Part, architecture: str) -> Recipe:
    task = TaskNamed(*_named(part["task"], run_dir, "task"))
    return Recipe("train", _grammar(part, ()), task=task, train=part["config"], architecture=architecture)


def _of_search(run_dir: Path, searches: Sequence[Part], trained: Sequence[str]) -> Recipe:
    first = searches[0]
    settings = {name: value for name, value in first["config"].items() if name != "trial"}
    where = _stated(run_dir).get("space", {}).get("where", ())
    grammar = _grammar(first, where)
    shared: dict[str, Any] = {"strategy": Named(*_named(first["strategy"], run_dir, "strategy")), "search": settings}
    name, options = _named(first["task"], run_dir, "task")
    if "benchmark" in first["task"]:
        asked = Asked(name, options.get("which", {}), str(options.get("metric", "")), runs=len(searches))
        return Recipe("queries", grammar, benchmark=asked, **shared)
    return Recipe(
        "search and train" if trained else "search",
        grammar,
        task=TaskNamed(name, options),
        train=first["config"].get("trial", {}),
        compare="random" in trained or len(trained) < 2,
        **shared,
    )


def _grammar(part: Part, where: Sequence[str]) -> Grammar:
    return Grammar(str(part["space"]), part["grammar"], part["header"], part["digest"], tuple(where))


def _named(told: Part, run_dir: Path, what: str) -> tuple[str, dict[str, Any]]:
    name, options = told.get("name"), told.get("options", {})
    if not isinstance(name, str) or not isinstance(options, dict):
        raise _lacking(run_dir, f"it does not say which {what} it had")
    return name, options


def _stated(run_dir: Path) -> Part:
    """What ``config.json`` says of the search."""
    path = run_dir / files.CONFIG
    whole = files.read_json(path) if path.is_file() else {}
    found = whole.get("search", {}) if isinstance(whole, dict) else {}
    return found if isinstance(found, dict) else {}


def _lacking(run_dir: Path, why: str) -> SpacecError:
    headline = f"the record of '{run_dir}' tells too little to go on: {why}"
    return SpacecError(Diagnostic("E0845", headline, help="give the command line that started it, with --resume"))
