"""What a report says of trials: the search curve, trade-offs, training budgets, and those that failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import isfinite
from typing import Any

from spacec.draw.svg import Point
from spacec.search.catalogue import MetricInfo
from spacec.search.incumbents import by_trial, incumbents, medians
from spacec.search.pareto import direction_of
from spacec.search.report.charts import Series, line_chart
from spacec.search.report.gather import RunData, Subject
from spacec.search.report.html import Html, Part, section, table, tag
from spacec.search.report.scatter import Aim, front, scatter
from spacec.space.benchmark import Direction

Row = Mapping[str, Any]
REAL = 1e8
"""Moments beyond it are of a real clock, whose seconds count from 1970; a virtual one begins at 0."""
UNITS = ((2 * 86400.0, 86400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
MOST_REASONS = 12
MOST_TRACEBACK = 6_000
"""Characters of a traceback, of its end."""
MOST_FRONT = 30
"""Rows of the table of a front."""
MOST_PAIRS = 4
MOST_STEPS = 1_000
"""Points of a curve."""


def trial_charts(data: RunData) -> dict[str, str]:
    """SVG documents by file stem; a chart without values is left out."""
    found: dict[str, str] = {}
    runs = [r for r in data.searches if any(t["weights"] == "standalone" for t in r["trials"])]
    if curve := _by_trials(data.metric, runs):
        found["incumbents"] = line_chart([curve], curve.name, "trials", data.metric.column).render()
    timed = [(run, _moments(run)) for run in runs]
    if lines := _by_seconds(data.metric, [(run, moments) for run, moments in timed if moments is not None]):
        series, what, unit = lines
        title = f"Search: best {data.metric.name} by {what}"
        found["incumbents-time"] = line_chart(series, title, f"{what} ({unit})", data.metric.column).render()
    for k, (x, y, points, _) in enumerate(tradeoffs(data), 1):
        title = f"{y.label} against {x.label}"
        found[f"front-{k}"] = scatter(points, x, y, title).render()
    return found


def trial_sections(data: RunData) -> list[Html]:
    """Tables of trade-offs and budgets, and the trials that failed."""
    return [_front(data), _budgets(data), _failures(data)]


def _by_trials(metric: MetricInfo, runs: Sequence[Mapping[str, Any]]) -> Series | None:
    """The best value by the number of trials; of several searches, the median and the quartiles around it.

    Of trials with shared weights there is none: they are rated on batches of their own. The first twentieth is left
    out, so that the first trials of all do not press the rest into a line.
    """
    curves = [incumbents([_value(t, metric.name) for t in r["trials"]], metric) for r in runs]
    points = by_trial(curves)
    points = [(n, q) for n, q in points if n > len(points) // 20]
    if not points:
        return None
    band = tuple((float(n), q.low, q.high) for n, q in points) if len(runs) > 1 else ()
    several = f": median and quartiles of {len(runs)} runs" if len(runs) > 1 else ""
    name = f"Search: best {metric.name} so far{several}"
    return Series(name, tuple((float(n), q.median) for n, q in points), band=band)


def _moments(run: Mapping[str, Any]) -> tuple[str, list[tuple[float, Row]]] | None:
    """When the trials of a run were rated, in seconds since its first, and what that time is.

    Over a benchmark read by this process nothing is waited for: the time is the sum of what the trials would have
    taken. Else it is the clock of what rated them.
    """
    rows = [t for t in run["trials"] if t["status"] != "running"]
    asked = min((t["asked"] for t in run["trials"]), default=0.0)
    if "benchmark" in run["task"] and asked > REAL:
        spent = accumulate(t["seconds"] for t in rows)
        found, what = list(zip(spent, rows, strict=True)), "training time"
    else:
        ended = sorted((t["finished"], k) for k, t in enumerate(rows) if t["finished"] is not None)
        found, what = [(moment - asked, rows[k]) for moment, k in ended], "time"
    return (what, found) if found and found[-1][0] > 0 else None


def _by_seconds(
    metric: MetricInfo, runs: Sequence[tuple[Mapping[str, Any], tuple[str, list[tuple[float, Row]]]]]
) -> tuple[list[Series], str, str] | None:
    """One staircase per run (of many runs the first eight), the kind of its time, and the unit.

    The first fiftieth of the time is left out, as the first trials are by number.
    """
    if not runs:
        return None
    longest = max(moments[-1][0] for _, (_, moments) in runs)
    size, unit = next((size, unit) for least, size, unit in UNITS if longest >= least)
    series = []
    for run, (_, moments) in runs[:8]:
        best = incumbents([_value(row, metric.name) for _, row in moments], metric)
        steps = [(t / size, b) for (t, _), b in zip(moments, best, strict=True) if b == b and t >= longest / 50]
        if steps:
            series.append(Series(f"seed {run['seed']}", tuple(_staircase(steps, longest / size))))
    return (series, runs[0][1][0], unit) if series else None


def _staircase(steps: Sequence[Point], end: float) -> list[Point]:
    """A value holds until the next one is better."""
    changes = [p for k, p in enumerate(steps) if not k or p[1] != steps[k - 1][1]]
    changes = changes[:: -(-len(changes) // MOST_STEPS)]
    found: list[Point] = []
    for x, y in changes:
        if found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    return [*found, (end, found[-1][1])]


Tradeoff = tuple[Aim, Aim, list[Point], list[str]]
"""Two aims, the points of all trials over them, and the architecture of each."""


def tradeoffs(data: RunData) -> list[Tradeoff]:
    """What the trials trade off: the main metric against the strategy's other objectives, else against their costs.

    Of training budgets the largest counts: others are not comparable.
    """
    rows = [t for run in data.searches for t in run["trials"] if t["status"] == "done"]
    most = max((t["budget"] or 0 for t in rows), default=0)
    rows = [t for t in rows if (t["budget"] or 0) == most]
    rows = list({t["architecture"]: t for t in rows}.values())
    y = Aim(data.metric.column, direction_of(data.metric.direction))
    found = []
    for name, direction in _others(data, rows)[:MOST_PAIRS]:
        known = [(p, q, t["architecture"]) for t in rows if (p := _either(t, name)) is not None
                 and (q := _value(t, data.metric.name)) is not None]  # fmt: skip
        if len({p for p, _, _ in known}) > 1:
            label = data.metrics[name].column if name in data.metrics else COLUMNS.get(name, name)
            found.append((Aim(label, direction), y, [(p, q) for p, q, _ in known], [a for _, _, a in known]))
    return found


COLUMNS = {"params": "weights", "macs": "multiply-adds"}


def _others(data: RunData, rows: Iterable[Row]) -> list[tuple[str, Direction]]:
    options = data.search["strategy"].get("options", {}) if data.search else {}
    stated = options.get("objectives") if isinstance(options, dict) else None
    if isinstance(stated, list | tuple) and stated:
        found = []
        for text in map(str, stated):
            name, _, direction = text.partition(":")
            told = data.metrics[name].direction if name in data.metrics else "min"
            if name != data.metric.name:
                found.append((name, direction_of(direction or told)))
        return found
    return [(name, "min") for name in dict.fromkeys(n for t in rows for n in t["costs"])]


def median_trial(data: RunData) -> Subject | None:
    """The median of what the trials measured and cost, where nothing was retrained: what a search's pick is above."""
    rows = [t for run in data.searches for t in run["trials"] if t["status"] == "done" and t["weights"] == "standalone"]
    if data.trainings or len(rows) < 2:
        return None
    values = medians([t["metrics"] for t in rows])
    return Subject("trials", f"median of {len(rows):,} trials", values, costs=medians([t["costs"] for t in rows]))


def _front(data: RunData) -> Html:
    """The architectures on the first front."""
    parts: list[Part] = []
    for x, y, points, archs in tradeoffs(data)[:1]:
        best = front(points, x, y)
        rows: list[list[Part]] = [
            [tag("code", archs[k]), _short(points[k][1]), _short(points[k][0])] for k in best[:MOST_FRONT]
        ]
        head = ["architecture", y.label, x.label]
        text = f"No trial is better in both {y.label} and {x.label} than one of these {len(best)}."
        more = f" The first {MOST_FRONT} are shown." if len(best) > MOST_FRONT else ""
        parts += [tag("p", text + more, class_="muted"), tag("div", table(head, rows), class_="wide")]
    return section("Pareto front", *parts)


def _budgets(data: RunData) -> Html:
    """Trials by training budget, where there are several: of successive halving, its rungs."""
    rows = [t for run in data.searches for t in run["trials"]]
    if len({t["budget"] for t in rows}) < 2:
        return Html("")
    found = []
    for budget in sorted({t["budget"] for t in rows}, key=lambda b: b or 0):
        own = [t for t in rows if t["budget"] == budget]
        values = [v for t in own if (v := _value(t, data.metric.name)) is not None]
        best = (max if data.metric.direction == "max" else min)(values, default=None)
        resumed = sum(t["resume"] is not None for t in own)
        failed = sum(t["status"] == "failed" for t in own)
        found.append(
            [
                "whole training" if budget is None else f"{budget:,}",
                f"{len(own):,}",
                f"{resumed:,}",
                f"{failed:,}",
                "" if best is None else data.metric.text(best),
            ]
        )
    head = ["epochs", "trials", "gone on with", "failed", f"best {data.metric.name}"]
    return section("Training budgets", table(head, found))


def _failures(data: RunData) -> Html:
    """Trials that failed, by their reasons, with one traceback of each, folded away."""
    rows = [(run, t) for run in data.searches for t in run["trials"] if t["status"] == "failed"]
    total = sum(len(run["trials"]) for run in data.searches)
    if not rows:
        return Html("")
    reasons: dict[str, list[tuple[Mapping[str, Any], Row]]] = {}
    for run, row in rows:
        reasons.setdefault(row["error"] or "no reason was recorded", []).append((run, row))
    by_count = sorted(reasons.items(), key=lambda item: -len(item[1]))
    parts: list[Part] = [tag("p", f"{len(rows):,} of {total:,} trials failed; the search went on without them.")]
    several = len(data.searches) > 1
    for reason, own in by_count[:MOST_REASONS]:
        numbers = ", ".join(f"{run['name']}: {t['number']}" if several else str(t["number"]) for run, t in own[:8])
        more = f" and {len(own) - 8:,} more" if len(own) > 8 else ""
        first = own[0][1]
        inner: list[Part] = [tag("p", "First: ", tag("code", first["architecture"]))]
        if first["traceback"]:
            text = first["traceback"]
            cut = "…\n" if len(text) > MOST_TRACEBACK else ""
            inner.append(tag("pre", cut + text[-MOST_TRACEBACK:]))
        summary = tag("summary", reason, tag("span", f" (trial {numbers}{more})", class_="muted"))
        parts.append(tag("details", summary, *inner))
    if len(by_count) > MOST_REASONS:
        parts.append(tag("p", f"{len(by_count) - MOST_REASONS} further reasons are in the record.", class_="muted"))
    return section("Trials that failed", *parts)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.6g}"


def _value(row: Row, name: str) -> float | None:
    """A metric of a trial that did not fail."""
    value = row["metrics"].get(name) if row["status"] == "done" else None
    return value if value is not None and isfinite(value) else None


def _either(row: Row, name: str) -> float | None:
    value = row["metrics"].get(name, row["costs"].get(name))
    return value if value is not None and isfinite(value) else None
