"""``spacec runs show``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import facts, table, tell, tell_json
from spacec.cli.progress import duration
from spacec.cli.runs.listing import as_facts, moment, result_text
from spacec.cli.runs.places import opened, parts_at, place_text
from spacec.cli.spaces import json_option

if TYPE_CHECKING:
    from spacec.search.catalogue import Summary
    from spacec.search.record import RunStore

MOST = 5
"""Failed trials that are shown."""


@click.command()
@click.argument("place", metavar="RUN")
@json_option
def show(place: str, as_json: bool) -> None:
    """Show one run: what it did and where, its results, what it found, which trials failed.

    RUN is a run directory, a record (run.sqlite), or a run of a store: its URL and id, URL#ID.

    \b
    Example:
      spacec runs show runs/darts
    """
    from spacec.search.catalogue import summarise

    with opened(place) as (store, job):
        found = summarise(store, place_text(place), parts_at(store, place, job))
        failed = [(part, row) for part in found.parts for row in store.trials(part["id"]) if row["error"]]
        if as_json:
            parts = [{k: v for k, v in part.items() if k != "grammar"} for part in found.parts]
            results = {_label(part): store.results(part["id"]) for part in found.parts}
            tell_json({**as_facts(found), "parts": parts, "results": results, "command": _command(store, found)})
            return
        tell(facts({name: text for name, text in _facts(found, _command(store, found)).items() if text}))
        tell("\nparts")
        tell(table([("name", "kind", "status", "seed", "time", "trials"), *_parts(found, store)]))
        if rows := list(_results(found, store)):
            tell("\nresults")
            tell(table([("part", "subject", "data", "metric", "value"), *rows]))
    if failed:
        tell(f"\n{len(failed)} trial{'s' * (len(failed) > 1)} failed")
        tell(table([(f"{_label(part)} {row['number']}", row["error"].splitlines()[0]) for part, row in failed[:MOST]]))


def _facts(found: Summary, command: str) -> dict[str, str]:
    first = found.first
    costs = ", ".join(f"{value:,} {name}" for name, value in found.costs.items())
    ended = "" if found.seconds is None else f", {duration(found.seconds)} in all"
    return {
        "run": found.place,
        "status": found.status + (f": {found.reason}" if found.reason else ""),
        "goes on": f"spacec resume {found.place}" if _goes_on(found) else "",
        "space": f"{found.space} ({first['digest'][:8]}) {_settings(first['header'])}".rstrip(),
        "strategy": f"{found.strategy} {_settings(first['strategy'].get('options', {}))}".rstrip(),
        "task": f"{found.task} {_settings(first['task'].get('options', {}))}".rstrip(),
        "seed": str(found.seed),
        "started": moment(found.started) + ended,
        "versions": _settings(first["versions"]),
        "machine": _settings(first["environment"]),
        "command": command,
        "result": result_text(found),
        "architecture": found.architecture,
        "costs": costs,
    }


def _goes_on(found: Summary) -> bool:
    return found.status in ("interrupted", "failed", "cut off") and Path(found.place).is_dir()


def _settings(values: Mapping[str, Any]) -> str:
    """``C = 4, sizes = [8, 16]``."""
    return ", ".join(f"{name} = {value}" for name, value in values.items() if value is not None)


def _command(store: RunStore, found: Summary) -> str:
    told = (e["message"] for part in found.parts for e in store.events(part["id"]) if e["kind"] == "command")
    return next(told, "")


def _label(part: Mapping[str, Any]) -> str:
    return str(part["name"] or part["kind"])


def _parts(found: Summary, store: RunStore) -> Iterator[tuple[str, ...]]:
    for part in found.parts:
        ended = part["ended"]
        time = "" if ended is None else duration(ended - part["started"])
        count = len(store.trials(part["id"])) or ""
        yield _label(part), part["kind"], store.status(part), str(part["seed"]), time, str(count)


def _results(found: Summary, store: RunStore) -> Iterator[tuple[str, ...]]:
    """Of all samples together: single ones, as ``psnr/camera``, are left out."""
    for part in found.parts:
        for row in store.results(part["id"]):
            if "/" not in row["name"] and row["value"] is not None:
                text = found.metric.text(row["value"]) if row["name"] == found.metric.name else f"{row['value']:.6g}"
                yield _label(part), row["subject"], row["split"], row["name"], text
