"""``spacec runs compare``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import table, tell, tell_json
from spacec.cli.runs.listing import as_facts
from spacec.cli.runs.places import opened, parts_at, place_text
from spacec.cli.spaces import json_option

if TYPE_CHECKING:
    from spacec.search.catalogue import MetricInfo, Summary
    from spacec.search.comparing import Course


@click.command()
@click.argument("places", metavar="RUN RUN...", nargs=-1, required=True)
@click.option("--metric", "name", metavar="NAME", help="Follow this metric.  [default: the first run's main one]")
@json_option
def compare(places: tuple[str, ...], name: str | None, as_json: bool) -> None:
    """Compare runs: the settings that differ, their results side by side, and how the best value grew.

    The best value so far is that after so many trials, or after so many epochs on validation data where a search has no
    trials; of several searches in one run the median.

    \b
    Example:
      spacec runs compare runs/random runs/evolution
    """
    from spacec.search.catalogue import summarise
    from spacec.search.comparing import course, differing, settings_of_run

    if len(places) < 2:
        raise click.UsageError("A comparison needs two runs, or more.")
    with ExitStack() as stack:
        stores = [stack.enter_context(opened(place)) for place in places]
        named = zip(places, stores, strict=True)
        runs = [summarise(store, place_text(place), parts_at(store, place, job)) for place, (store, job) in named]
        metric = _metric(runs, name)
        courses = [course(store, found, metric) for (store, _), found in zip(stores, runs, strict=True)]
    settings = differing([settings_of_run(found) for found in runs])
    if as_json:
        best = [None if c is None else {"unit": c.unit, "best": list(c.values)} for c in courses]
        told = {"settings": settings, "runs": [as_facts(found) for found in runs]}
        tell_json({**told, "metric": metric.name, "courses": best})
        return
    head = ("", *(found.place for found in runs))
    tell("settings that differ")
    rows = [(key, *map(_text, values)) for key, values in settings.items()]
    tell(table([head, *rows]) if rows else "  none")
    tell("\nresults")
    tell(table([head, *_results(runs)]))
    for unit in dict.fromkeys(c.unit for c in courses if c is not None):
        tell(f"\nbest {metric.name} after {unit}")
        tell(table([head, *_courses(unit, courses, metric)]))


def _metric(runs: list[Summary], name: str | None) -> MetricInfo:
    """The metric that the runs are followed by, as the first task that has it describes it."""
    from spacec.search.catalogue import MetricInfo

    if name is None:
        return runs[0].metric
    told = [m for found in runs for part in found.parts for m in part["task"].get("metrics", ())]
    described = [MetricInfo.of(m) for m in told if m.get("name") == name]
    if not described:
        known = ", ".join(dict.fromkeys(str(m.get("name")) for m in told))
        raise click.UsageError(f"--metric {name}: no run has it; there are {known or 'none'}.")
    return described[0]


def _results(runs: list[Summary]) -> list[tuple[str, ...]]:
    from spacec.cli.progress import duration

    rows: list[tuple[str, ...]] = [
        ("status", *(found.status for found in runs)),
        ("measured on", *(found.split for found in runs)),
    ]
    for what in ("metrics", "costs"):
        tables = [getattr(found, what) for found in runs]
        for name in dict.fromkeys(name for values in tables for name in values):
            rows.append((name, *("" if name not in values else _number(values[name]) for values in tables)))
    rows.append(("trials", *(str(found.trials) if found.trials else "" for found in runs)))
    rows.append(("failed trials", *(str(found.failed) if found.trials else "" for found in runs)))
    rows.append(("time", *("" if found.seconds is None else duration(found.seconds) for found in runs)))
    rows.append(("architecture", *(found.architecture for found in runs)))
    return [row for row in rows if any(row[1:])]


def _courses(unit: str, courses: list[Course | None], metric: MetricInfo) -> list[tuple[str, ...]]:
    from spacec.search.comparing import moments

    mine = [c.values if c is not None and c.unit == unit else () for c in courses]
    return [
        (str(n), *(metric.text(values[n - 1]) if n <= len(values) else "" for values in mine))
        for n in sorted({n for values in mine if values for n in moments(len(values))})
    ]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
