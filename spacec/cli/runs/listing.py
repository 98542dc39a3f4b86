"""``spacec runs list``."""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.output import table, tell, tell_json
from spacec.cli.progress import duration
from spacec.cli.runs.places import every
from spacec.cli.spaces import json_option
from spacec.diagnostics.suggest import nearest

if TYPE_CHECKING:
    from spacec.search.catalogue import Summary

KEYS: dict[str, Callable[[Summary], Any]] = {
    "started": lambda s: s.started,
    "run": lambda s: s.place,
    "space": lambda s: s.space,
    "strategy": lambda s: s.strategy,
    "task": lambda s: s.task,
    "status": lambda s: s.status,
    "seed": lambda s: s.seed,
    "trials": lambda s: s.trials,
    "time": lambda s: s.seconds or 0.0,
}
"""What ``--sort`` takes, besides metrics and costs."""

HEAD = ("run", "kind", "space", "strategy", "task", "status", "started", "time", "trials", "result")
OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

_CONDITION = re.compile(r"\s*([^<>=\s]+)\s*(?:(<=|>=|<|>)\s*(\S+))?\s*")


@click.command("list")
@click.argument("places", metavar="[PLACE]...", nargs=-1)
@click.option("--strategy", metavar="NAME", help="Runs of this strategy; * and ? stand for any letters.")
@click.option("--space", metavar="NAME", help="Runs over this space.")
@click.option("--task", metavar="NAME", help="Runs for this task or benchmark.")
@click.option("--status", metavar="NAME", help="Runs with this status: done, running, interrupted, failed, cut off.")
@click.option("--metric", metavar="NAME[>=N]", help="Show this metric; leave out runs without it, or beyond the limit.")
@click.option(
    "--sort", "key", default="started", show_default=True, metavar="KEY", help=f"{', '.join(KEYS)}, a metric or a cost."
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("-n", "--limit", type=click.IntRange(1), metavar="N", help="The first N only.")
@json_option
def list_(
    places: tuple[str, ...],
    strategy: str | None,
    space: str | None,
    task: str | None,
    status: str | None,
    metric: str | None,
    key: str,
    reverse: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List runs, one a line: those in and below folders (by default the one at hand), or of a store by its URL.

    Metrics are those of the retrained network on held-out data, else of what the search found with the search's own
    weights or by the benchmark; of several runs the median. A metric sorts the best first, all else the least first.

    \b
    Example:
      spacec runs list runs --strategy 'darts*' --metric 'psnr>=27' --sort psnr
    """
    wanted = {"strategy": strategy, "space": space, "task": task, "status": status}
    name, holds = _condition(metric)
    found = [s for s in summaries(places or (".",)) if _fits(s, wanted) and holds(s)]
    found = _sorted(found, key, reverse)[:limit]
    if as_json:
        tell_json([as_facts(s) for s in found])
    elif found:
        tell(table([HEAD, *(_row(s, name) for s in found)], indent=""))
    else:
        tell("no runs")


def summaries(places: Sequence[str]) -> Iterator[Summary]:
    """A summary of each run at ``places``; see :func:`spacec.cli.runs.places.every`."""
    from spacec.search.catalogue import summarise

    for label, store, parts in (run for place in places for run in every(place)):
        yield summarise(store, label, parts)


def as_facts(found: Summary) -> dict[str, Any]:
    """A summary as JSON-ready values."""
    names = ("kind", "status", "reason", "space", "strategy", "task", "seed", "started", "seconds", "trials", "failed")
    told = {name: getattr(found, name) for name in names}
    metrics = {"metric": found.metric.name, "split": found.split, "metrics": dict(found.metrics)}
    return {"run": found.place, **told, **metrics, "architecture": found.architecture, "costs": dict(found.costs)}


def moment(seconds: float) -> str:
    """A time of the record, as clocks here show it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def result_text(found: Summary, name: str = "") -> str:
    """``psnr 27.3012 dB (test)``."""
    name = name or found.metric.name
    if name not in found.metrics:
        return ""
    value = found.metrics[name]
    text = found.metric.text(value) if name == found.metric.name else f"{value:.6g}"
    return f"{name} {text} ({found.split})"


def _row(found: Summary, metric: str) -> tuple[str, ...]:
    seconds = found.seconds
    trials = f"{found.trials} ({found.failed} failed)" if found.failed else str(found.trials or "")
    return (
        found.place,
        found.kind,
        found.space,
        found.strategy,
        found.task,
        found.status,
        moment(found.started),
        "" if seconds is None else duration(seconds),
        trials,
        result_text(found, metric),
    )


def _fits(found: Summary, wanted: dict[str, str | None]) -> bool:
    return all(fnmatchcase(str(KEYS[name](found)), text) for name, text in wanted.items() if text is not None)


def _condition(text: str | None) -> tuple[str, Callable[[Summary], bool]]:
    """The metric that ``--metric`` names (none: an empty text), and which runs it keeps."""
    if text is None:
        return "", lambda found: True
    parts = _CONDITION.fullmatch(text)
    limit = _number(parts[3]) if parts and parts[2] else 0.0
    if parts is None or limit is None:
        raise click.UsageError(f"--metric {text}: not a name, or a name, one of < <= > >= and a number")
    name, compare = parts[1], OPERATORS.get(parts[2] or "")
    return name, lambda found: name in found.metrics and (compare is None or compare(found.metrics[name], limit))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _sorted(found: Sequence[Summary], key: str, reverse: bool) -> list[Summary]:
    """In order of ``key``, equals by their paths; those without a value come last either way."""
    if key in KEYS:
        return sorted(sorted(found, key=KEYS["run"]), key=KEYS[key], reverse=reverse)
    values = [{**s.costs, **s.metrics}.get(key) for s in found]
    rated = [(value, s) for value, s in zip(values, found, strict=True) if value is not None]
    if found and not rated:
        names = sorted({name for s in found for name in (*s.metrics, *s.costs)})
        near = nearest(key, [*KEYS, *names])
        help = f" Did you mean '{near}'?" if near else ""
        raise click.UsageError(f"--sort {key}: no run has it; there are {', '.join([*KEYS, *names])}.{help}")
    most_first = rated[0][1].metric.direction == "max" and rated[0][1].metric.name == key if rated else False
    rated.sort(key=lambda pair: pair[1].place)
    rated.sort(key=lambda pair: pair[0], reverse=most_first != reverse)
    return [s for _, s in rated] + [s for value, s in zip(values, found, strict=True) if value is None]
