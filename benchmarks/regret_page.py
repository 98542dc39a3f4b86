"""REGRET.md and its pictures, from the records of benchmarks/regret.py alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.regret_rows import DATASETS, ENTRIES, FRONT, FRONTS, FULL, QUERIES, RUNS, SHORT
from benchmarks.report import HERE
from spacec.draw.svg import PALETTE, Svg, text_width
from spacec.search.report.charts import axes, linear_axis, log_axis

Record = Mapping[str, Any]
Records = Mapping[str, Record]
Point = tuple[float, float, float, float]
"""Query, low end, mean and high end."""

TOLD = (10, 25, 50, 100, 150)
FIRST = 5
"""Queries that the pictures leave out: the first ones would press all others into a line."""
SMALLEST = 1e-3
"""Where a logarithmic picture ends below."""
_SIZE = (660.0, 380.0)
_DASHES = ("", "5 3")
_NAMES = {
    "evolution": "regularised evolution, P = 50, S = 10",
    "nsga2": "NSGA-II, population 20",
    "optuna-tpe": "Optuna: TPE",
    "optuna-cma-es": "Optuna: CMA-ES, operations as integers",
    "optuna-nsga-ii": "Optuna: NSGA-II, population 20",
    "successive-halving": f"successive halving, 380 cells, eta 3, {SHORT} and {FULL} epochs",
    "hyperband": f"Hyperband, eta 3, {SHORT} and {FULL} epochs",
    "asha": f"ASHA, eta 4, {SHORT} and {FULL} epochs",
}


def of(records: Records, dataset: str) -> dict[str, Record]:
    """By entry, the records of a data set, or of the front."""
    entries = FRONTS if dataset == FRONT else ENTRIES
    return {entry: records[f"{dataset}.{entry}"] for entry in entries if f"{dataset}.{entry}" in records}


def page(records: Records) -> str:
    """The page: the template with its numbers and tables."""
    tables: list[str] = []
    for dataset, title in DATASETS.items():
        if some := of(records, dataset):
            tables += [f"## {title}", "", f"![Regret on {title}](regret_{dataset}.svg)", ""]
            tables += [*_table(some, "regret after so many queries", 1.0), ""]
    front = ["No row of this was run."]
    if some := of(records, FRONT):
        front = ["![Lacking hypervolume](regret_front.svg)", ""]
        front += _table(some, "lacking share (%) after so many queries", 100.0)
    template = (HERE / "regret.template.md").read_text(encoding="utf-8")
    sources = sorted({record["source"] for record in records.values()})
    return template.format(
        runs=RUNS, last=RUNS - 1, queries=QUERIES, full=FULL, short=SHORT, source=" and ".join(sources),
        tables="\n".join(tables), front="\n".join(front),
    )  # fmt: skip


def _table(found: Mapping[str, Record], what: str, times: float) -> list[str]:
    lines = [
        f"| strategy | {' | '.join(map(str, TOLD))} | found the best | CPU s a run |",
        f"|---|{'---:|' * len(TOLD)}---:|---:|",
    ]
    for entry, record in found.items():
        cells = [f"{times * record['mean'][n - 1]:.3f} ± {times * record['reach'][n - 1]:.3f}" for n in TOLD]
        best = sum(v <= 1e-6 for v in record["last"])
        spent = record["cpu_seconds"] / record["settings"]["runs"]
        lines.append(f"| {_NAMES.get(entry, entry)} | {' | '.join(cells)} | {best} of {RUNS} | {spent:.2f} |")
    return [f"Mean {what}, with its interval:", "", *lines]


def pictures(records: Records) -> dict[str, str]:
    """File name to SVG, of what has records."""
    found = {}
    for dataset, title in DATASETS.items():
        if some := of(records, dataset):
            found[f"regret_{dataset}.svg"] = _chart(
                some, f"{title}: mean regret of {RUNS} searches", "regret (% points)"
            )
    if some := of(records, FRONT):
        title = f"Accuracy and latency: hypervolume that {RUNS} searches lack in the mean"
        found["regret_front.svg"] = _chart(some, title, "lacking share")
    return found


def _chart(found: Mapping[str, Record], title: str, label: str) -> str:
    """Lines with their intervals over queries, on a logarithmic axis; names at the right, in order of their ends."""
    width, height = _SIZE
    svg = Svg(width, height, title)
    svg.text(52, 18, title, 12.5, bold=True)
    right = width - max(text_width(entry, 10.5) for entry in found) - 34
    curves = _visible({entry: _curve(record) for entry, record in found.items()})
    values = [v for rows in curves.values() for _, low, middle, high in rows for v in (low, middle, high)]
    x = linear_axis([float(FIRST), float(QUERIES)], 52, right, whole=True)
    y = log_axis(values, height - 42, 30)
    axes(svg, x, y, "queries", label)
    for k, rows in enumerate(curves.values()):
        edge = [(x.at(q), y.at(high)) for q, _, _, high in rows] + [(x.at(q), y.at(low)) for q, low, _, _ in rows[::-1]]
        svg.area(edge, PALETTE[k % len(PALETTE)], 0.12)
    for k, rows in enumerate(curves.values()):
        points = [(x.at(q), y.at(middle)) for q, _, middle, _ in rows]
        told = "M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        svg.path(told, PALETTE[k % len(PALETTE)], 1.7, dash=_DASHES[k // len(PALETTE)])
    _names(svg, {entry: y.at(rows[-1][2]) for entry, rows in curves.items()}, right + 6, height - 42)
    return svg.render()


def _visible(curves: Mapping[str, list[Point]]) -> dict[str, list[Point]]:
    """Without the beginnings of strategies over lengths of training, before all their searches have a full one."""
    most = max(rows[0][2] for entry, rows in curves.items() if entry not in ENTRIES or not ENTRIES[entry].lengths)
    return {entry: [row for row in rows if row[2] <= most] for entry, rows in curves.items()}


def _curve(record: Record) -> list[Point]:
    rows = zip(record["mean"], record["reach"], strict=True)
    return [
        (float(q), max(m - r, SMALLEST, m / 4), max(m, SMALLEST), max(m + r, SMALLEST))
        for q, (m, r) in enumerate(rows, 1)
        if q >= FIRST
    ]


def _names(svg: Svg, ends: Mapping[str, float], left: float, lowest: float) -> None:
    """Names beside the ends of their lines, pushed apart where these are close."""
    order = sorted(ends, key=lambda entry: ends[entry])
    places: list[float] = []
    for entry in order:
        places.append(max(ends[entry], places[-1] + 13 if places else 0.0))
    over = max(0.0, places[-1] - lowest)
    colours = {entry: k for k, entry in enumerate(ends)}
    for entry, place in zip(order, _upwards(places, places[-1] - over), strict=True):
        k = colours[entry]
        svg.line((left, place), (left + 16, place), PALETTE[k % len(PALETTE)], 2.2, dash=_DASHES[k // len(PALETTE)])
        svg.text(left + 20, place + 3.5, entry, 10.5)


def _upwards(places: Sequence[float], last: float) -> list[float]:
    """``places`` with the last one at ``last``, and those above pushed up so that 13 lie between any two."""
    found: list[float] = []
    limit = last
    for place in reversed(places):
        found.append(min(place, limit))
        limit = found[-1] - 13
    return found[::-1]
