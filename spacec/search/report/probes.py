"""What probes and the strategy measured, as charts: figures and values are read from the run record alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from spacec.draw.svg import Point, Svg
from spacec.search.figure import EPOCH, Figure, owner
from spacec.search.report.charts import Across, Series, line_chart
from spacec.search.report.gather import RunData, described, drawn_of_strategy
from spacec.search.report.html import Html, picture, section, tag
from spacec.search.report.panels import panels
from spacec.search.report.strokes import strokes

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


@dataclass(frozen=True)
class Source:
    """Whose values are drawn: ``owner`` has the tables of the record, ``prefix`` begins the names of the metrics."""

    owner: str
    prefix: str
    stem: str
    title: str
    help: str
    figures: tuple[Figure, ...]


def sources(data: RunData) -> list[Source]:
    """The strategy, if it says what is drawn, and the probes of the search."""
    if data.search is None:
        return []

    def made(name: str, told: Mapping[str, Any], whose: str, prefix: str, kind: str, title: str) -> Source:
        figures = tuple(Figure.read(values) for values in told.get("figures", ()))
        stem = f"{kind}-{re.sub(r'[^0-9A-Za-z-]', '_', name)}"
        return Source(whose, prefix, stem, title, told.get("help", ""), figures)

    mine = [
        made(name, told, owner(name), "", "strategy", f"What {name} keeps")
        for name, told in drawn_of_strategy(data.search).items()
    ]
    probes = described(data.search).items()
    return [*mine, *(made(name, told, name, f"{name}.", "probe", f"Probe {name}") for name, told in probes)]


def charts_of(data: RunData, source: Source) -> list[Chart]:
    """The charts of a source; a figure without values is left out."""
    drawn = [(f"{source.stem}-{k}", f, _drawn(data, source, f)) for k, f in enumerate(source.figures, 1)]
    wide = [f.panel > 0 or bool(f.shade) for f in source.figures]
    return [
        Chart(name, f.title, svg.render(), w) for (name, f, svg), w in zip(drawn, wide, strict=True) if svg is not None
    ]


def probe_charts(data: RunData) -> dict[str, list[Chart]]:
    """The charts of every probe of the search by its name, and of the strategy by ``strategy NAME``."""
    return {source.owner: charts_of(data, source) for source in sources(data)}


def probe_sections(data: RunData) -> list[Html]:
    """A section for the strategy and for each probe, and a warning for whatever probes raised, each reason once."""
    found = []
    for source in sources(data):
        charts = charts_of(data, source)
        small = [picture(c.svg.encode(), SVG, c.title) for c in charts if not c.wide]
        wide = [picture(c.svg.encode(), SVG, c.title) for c in charts if c.wide]
        row = [tag("div", *small, class_="charts")] if small else []
        if charts:
            found.append(section(source.title, tag("p", source.help, class_="muted"), *wide, *row))
    events = data.search["events"] if data.search else ()
    failed = dict.fromkeys(e["message"] for e in events if e["kind"] == "probe failed")
    return [*found, *(tag("p", f"A probe failed. {text}", class_="warning") for text in failed)]


def _drawn(data: RunData, source: Source, figure: Figure) -> Svg | None:
    x_label = EPOCHS if figure.x == EPOCH else figure.x_label or figure.x
    if figure.table:
        grid = _rows(data, source.owner, figure, figure.table)
        if figure.shade and grid:
            return _strokes(data, source, figure, grid)
        return panels(grid, figure.title, x_label, figure.y) if grid else None
    lines = _metrics(data, source.prefix, figure)
    if not lines:
        return None
    series = [Series(name, tuple(points)) for name, points in lines.items()]
    over_epochs = figure.x == EPOCH
    log = figure.log and all(y > 0 and (over_epochs or x > 0) for s in series for x, y in s.points)
    across: Across = "whole" if over_epochs else "log" if log else "linear"
    return line_chart(series, figure.title, x_label, figure.y, log, across=across)


def _strokes(data: RunData, source: Source, figure: Figure, grid: Mapping[str, Lines]) -> Svg:
    lines = {name: points for panel in grid.values() for name, points in panel.items()}
    shades = _rows(data, source.owner, figure, figure.shade)
    by_epoch = {name: dict(points) for panel in shades.values() for name, points in panel.items()}
    return strokes(lines, by_epoch, figure.title, ("epoch", figure.y, figure.shade_label or figure.shade))


def _metrics(data: RunData, prefix: str, figure: Figure) -> Lines:
    assert data.search is not None, "its probes are drawn"
    values: dict[str, dict[int, float]] = {}
    for row in data.search["metrics"]:
        if row["name"].startswith(prefix) and row["step"] == -1 and row["value"] is not None:
            values.setdefault(row["name"].removeprefix(prefix), {})[row["epoch"]] = row["value"]
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


def _rows(data: RunData, probe: str, figure: Figure, table: str) -> dict[str, Lines]:
    """Lines of a table by the entries of the key that name their panel."""
    assert data.search is not None, "its probes are drawn"
    depth = len(figure.where)
    found: dict[str, Lines] = {}
    for row in data.search["readings"]:
        place, value = tuple(row["place"]), row["value"]
        if (row["probe"], row["name"]) != (probe, table) or place[:depth] != figure.where:
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
