"""What probes measured, as charts: their figures and values are read from the run record alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

from spacec.draw.svg import Point, Svg
from spacec.search.figure import EPOCH, Figure
from spacec.search.report.charts import Across, Series, line_chart
from spacec.search.report.gather import RunData, described
from spacec.search.report.html import Html, picture, section, tag
from spacec.search.report.panels import panels

SVG = "image/svg+xml"
Lines = dict[str, list[Point]]
"""Points by the line's name."""

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
    for probe, told in (described(data.search) if data.search else {}).items():
        figures = [Figure.read(values) for values in told.get("figures", ())]
        stem = f"probe-{re.sub(r'[^0-9A-Za-z-]', '_', probe)}"
        drawn = [(f"{stem}-{k}", f, _drawn(data, probe, f)) for k, f in enumerate(figures, 1)]
        found[probe] = [Chart(name, f.title, svg.render(), f.panel > 0) for name, f, svg in drawn if svg is not None]
    return found


def probe_sections(data: RunData) -> list[Html]:
    """A section for each probe, and a warning for whatever probes raised, each reason once."""
    found = []
    told = described(data.search) if data.search else {}
    for probe, charts in probe_charts(data).items():
        small = [picture(c.svg.encode(), SVG, c.title) for c in charts if not c.wide]
        wide = [picture(c.svg.encode(), SVG, c.title) for c in charts if c.wide]
        row = [tag("div", *small, class_="charts")] if small else []
        if charts:
            note = tag("p", told[probe].get("help", ""), class_="muted")
            found.append(section(f"Probe {probe}", note, *wide, *row))
    events = data.search["events"] if data.search else ()
    failed = dict.fromkeys(e["message"] for e in events if e["kind"] == "probe failed")
    return [*found, *(tag("p", f"A probe failed. {text}", class_="warning") for text in failed)]


def _drawn(data: RunData, probe: str, figure: Figure) -> Svg | None:
    x_label = EPOCHS if figure.x == EPOCH else figure.x_label or figure.x
    if figure.table:
        grid = _rows(data, probe, figure)
        return panels(grid, figure.title, x_label, figure.y) if grid else None
    lines = _metrics(data, probe, figure)
    if not lines:
        return None
    series = [Series(name, tuple(points)) for name, points in lines.items()]
    over_epochs = figure.x == EPOCH
    log = figure.log and all(y > 0 and (over_epochs or x > 0) for s in series for x, y in s.points)
    across: Across = "whole" if over_epochs else "log" if log else "linear"
    return line_chart(series, figure.title, x_label, figure.y, log, across=across)


def _metrics(data: RunData, probe: str, figure: Figure) -> Lines:
    assert data.search is not None, "its probes are drawn"
    values: dict[str, dict[int, float]] = {}
    for row in data.search["metrics"]:
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


def _rows(data: RunData, probe: str, figure: Figure) -> dict[str, Lines]:
    """Lines by the entries of the key that name their panel."""
    assert data.search is not None, "its probes are drawn"
    depth = len(figure.where)
    found: dict[str, Lines] = {}
    for row in data.search["readings"]:
        place, value = tuple(row["place"]), row["value"]
        if (row["probe"], row["name"]) != (probe, figure.table) or place[:depth] != figure.where:
            continue
        if value is not None and isfinite(value):
            panel, line = (", ".join(part) for part in (place[depth:][: figure.panel], place[depth:][figure.panel :]))
            found.setdefault(panel, {}).setdefault(line, []).append((float(row["epoch"] + 1), value))
    slots = list(data.labels)
    candidates = list(dict.fromkeys(label for labels in data.labels.values() for label in labels))
    ordered = {
        panel: {line: sorted(found[panel][line]) for line in _order(found[panel], figure.lines, (*candidates, *slots))}
        for panel in _order(found, figure.panels, slots)
    }
    return {panel: lines for panel, lines in ordered.items() if lines}


def _order(names: Iterable[str], wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The wanted ones in their order; else all, in the order of the known ones, the rest with numbers as numbers."""
    if wanted:
        return [name for name in wanted if name in set(names)]
    place = {name: k for k, name in enumerate(known)}
    return sorted(names, key=lambda name: (place.get(name, len(place)), _natural(name)))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
