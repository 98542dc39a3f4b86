"""The charts of a run record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spacec.draw.svg import Point
from spacec.search.report.charts import Series, line_chart, probability_panels
from spacec.search.report.gather import OURS, TITLES, RunData
from spacec.search.report.trials import trial_charts

Rows = Sequence[Mapping[str, Any]]


def charts(data: RunData) -> dict[str, str]:
    """SVG documents by file stem; a chart without values is left out."""
    m = data.metric
    label = m.column
    searches = [("supernet", data.search)] if data.search else []
    ours_first = sorted(data.trainings, key=lambda run: run["name"] not in OURS)
    trainings = [(_title(run), run) for run in ours_first]
    specs = [
        ("search-loss", "Search: training loss of the supernet", "loss",
         [_loss(t, r, "search") for t, r in searches], True),
        ("search-metric", f"Search: validation {m.name} of the supernet", label,
         [_epochs(t, r, "search", m.name) for t, r in searches], False),
        ("training-loss", "Retraining: training loss", "loss", [_loss(t, r, "train") for t, r in trainings], True),
        ("training-metric", f"Retraining: validation {m.name}", label,
         [_epochs(t, r, "valid", m.name) for t, r in trainings], False),
    ]  # fmt: skip
    found: dict[str, str] = {}
    for stem, title, y_label, series, log in specs:
        kept = [s for s in series if s.points]
        positive = all(y > 0 for s in kept for _, y in (*s.points, *s.raw))
        if kept:
            found[stem] = line_chart(kept, title, "epoch", y_label, log and positive).render()
    return found | trial_charts(data)


def probability_chart(data: RunData) -> str | None:
    """The small multiples of the search's probabilities, or ``None`` where there are none."""
    rows: Rows = data.search["probabilities"] if data.search else ()
    history: dict[str, list[tuple[int, Sequence[float]]]] = {}
    for row in rows:
        history.setdefault(row["slot"], []).append((row["epoch"] + 1, row["values"]))
    if not history:
        return None
    order = list(data.labels) or sorted(history)
    ordered = {s: history[s] for s in (*(s for s in order if s in history), *(s for s in history if s not in order))}
    return probability_panels(ordered, data.labels).render()


def _title(run: Mapping[str, Any]) -> str:
    name: str = run["name"]
    return TITLES.get(name, name).split(",")[0]


def _loss(title: str, run: Mapping[str, Any], phase: str) -> Series:
    """Mean of every epoch, with single steps behind."""
    rows = [r for r in run["metrics"] if r["phase"] == phase and r["name"] == "loss" and r["step"] >= 0]
    rows = [r for r in rows if r["value"] is not None]
    steps: dict[int, int] = {}
    for r in rows:
        steps[r["epoch"]] = max(steps.get(r["epoch"], 0), r["step"] + 1)
    raw = tuple((r["epoch"] + (r["step"] + 0.5) / steps[r["epoch"]], r["value"]) for r in rows)
    means: list[Point] = []
    for epoch in steps:
        values = [r["value"] for r in rows if r["epoch"] == epoch]
        means.append((epoch + 0.5, sum(values) / len(values)))
    return Series(title, tuple(means), raw)


def _epochs(title: str, run: Mapping[str, Any], phase: str, name: str) -> Series:
    rows = (r for r in run["metrics"] if r["phase"] == phase and r["name"] == name and r["step"] == -1)
    return Series(title, tuple((r["epoch"] + 1.0, r["value"]) for r in rows if r["value"] is not None))
