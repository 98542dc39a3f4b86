"""What probes measured, as charts: their figures and values are read from the run record alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from spacec.draw.svg import Point, Svg
from spacec.search.figure import EPOCH, Figure
from spacec.search.report.charts import Series, line_chart
from spacec.search.report.gather import RunData
from spacec.search.report.html import Html, picture, section, tag
from spacec.search.report.panels import panels

SVG = "image/svg+xml"
Lines = dict[str, list[Point]]
"""Points by the line's name."""

MOST_LINES = 8
"""As many as there are colours; of more lines, those with the largest values are shown."""
EPOCHS = "epoch (0: before the first step)"


@dataclass(frozen=True)
class Chart:
    """``stem`` names its file; a ``wide`` one takes the page's whole width."""

    stem: str
    title: str
    svg: str
    wide: bool


def probe_charts(data: RunData) -> dict[str, list[Chart]]:
    """The charts of every probe of the search, by its name; a figure without values is left out."""
    found: dict[str, list[Chart]] = {}
    for probe, told in _described(data).items():
        figures = [Figure.read(values) for values in told.get("figures", ())]
        stem = f"probe-{re.sub(r'[^0-9A-Za-z-]', '_', probe)}"
        drawn = [(f"{stem}-{k}", f, _drawn(data, probe, f)) for k, f in enumerate(figures, 1)]
        found[probe] = [Chart(name, f.title, svg.render(), f.panel > 0) for name, f, svg in drawn if svg is not None]
    return found


def probe_sections(data: RunData) -> list[Html]:
    """A section for each probe, and a warning for whatever probes raised, each reason once."""
    found = []
    for probe, charts in probe_charts(data).items():
        small = [picture(c.svg.encode(), SVG, c.title) for c in charts if not c.wide]
        wide = [picture(c.svg.encode(), SVG, c.title) for c in charts if c.wide]
        row = [tag("div", *small, class_="charts")] if small else []
        if charts:
            note = tag("p", _described(data)[probe].get("help", ""), class_="muted")
            found.append(section(f"Probe {probe}", note, *wide, *row))
    events = data.search["events"] if data.search else ()
    failed = dict.fromkeys(e["message"] for e in events if e["kind"] == "probe failed")
    return [*found, *(tag("p", f"A probe failed. {text}", class_="warning") for text in failed)]


def _described(data: RunData) -> dict[str, Mapping[str, Any]]:
    events = data.search["events"] if data.search else ()
    return {e["message"]: e["data"] for e in events if e["kind"] == "probe"}


def _drawn(data: RunData, probe: str, figure: Figure) -> Svg | None:
    run = data.search
    assert run is not None, "its probes are drawn"
    x_label = EPOCHS if figure.x == EPOCH else figure.x_label or figure.x
    if figure.table and figure.panel:
        grid = _panels(run, probe, figure)
        return panels(grid, figure.title, x_label, figure.y) if grid else None
    lines = _rows(run, probe, figure).get((), {}) if figure.table else _metrics(run, probe, figure)
    if not lines:
        return None
    shown, left_out = strongest(lines)
    title = figure.title + (f" ({len(shown)} largest of {len(lines)})" if left_out else "")
    series = [Series(name, tuple(points)) for name, points in shown.items()]
    if len(series) == 1 and not figure.table:
        series = [Series(figure.title, series[0].points)]
    positive = all(y > 0 for s in series for _, y in s.points)
    return line_chart(series, title, x_label, figure.y, figure.log and positive)


def strongest(lines: Lines, most: int = MOST_LINES) -> tuple[Lines, int]:
    """At most ``most`` lines, those with the largest last values by amount, in their order; and how many are left."""
    ranked = sorted(lines, key=lambda name: -abs(lines[name][-1][1]))[:most]
    return {name: points for name, points in lines.items() if name in ranked}, len(lines) - len(ranked)


def _metrics(run: Mapping[str, Any], probe: str, figure: Figure) -> Lines:
    values: dict[str, dict[int, float]] = {}
    for row in run["metrics"]:
        if row["name"].startswith(f"{probe}.") and row["step"] == -1 and row["value"] is not None:
            values.setdefault(row["name"].removeprefix(f"{probe}."), {})[row["epoch"]] = row["value"]
    across = values.get(figure.x, {})
    found: Lines = {}
    for name in figure.lines:
        points = [
            (float(epoch + 1) if figure.x == EPOCH else across[epoch], value)
            for epoch, value in sorted(values.get(name, {}).items())
            if figure.x == EPOCH or epoch in across
        ]
        if points:
            found[name] = points
    return found


def _rows(run: Mapping[str, Any], probe: str, figure: Figure) -> dict[tuple[str, ...], Lines]:
    """Lines by the entries of the key that name their panel."""
    depth = len(figure.where)
    found: dict[tuple[str, ...], Lines] = {}
    for row in run["readings"]:
        place, value = tuple(row["place"]), row["value"]
        if (row["probe"], row["name"]) != (probe, figure.table) or place[:depth] != figure.where:
            continue
        if value is None or not isfinite(value):
            continue
        panel, line = place[depth : depth + figure.panel], ", ".join(place[depth + figure.panel :])
        found.setdefault(panel, {}).setdefault(line, []).append((float(row["epoch"] + 1), value))
    return {panel: _ordered(lines, figure.lines) for panel, lines in found.items()}


def _ordered(lines: Lines, wanted: Sequence[str]) -> Lines:
    names: Iterable[str] = (n for n in wanted if n in lines) if wanted else lines
    return {name: sorted(lines[name]) for name in names}


def _panels(run: Mapping[str, Any], probe: str, figure: Figure) -> dict[str, Lines]:
    return {" · ".join(key): lines for key, lines in _rows(run, probe, figure).items() if lines}
