"""FEASIBLE.md and its pictures, from the records of benchmarks/feasible.py alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from string import Template
from typing import Any

from benchmarks.feasible_rows import (
    BATCH,
    BETAS,
    REJECTION,
    REWARDS,
    RUNS,
    SHARES,
    SIZES,
    TABLES,
    TRIALS,
    Searches,
    limit_of,
)
from benchmarks.report import HERE
from spacec.draw.svg import MUTED, PALETTE, Svg
from spacec.search.report.charts import axes, legend, linear_axis, log_axis

Records = Mapping[str, Mapping[str, Any]]
TEMPLATE = HERE / "feasible.template.md"
NORMAL = 1.96
"""Of a normal distribution, 2.5 % exceed so many deviations."""


@dataclass(frozen=True)
class Ends:
    """Where the searches of a row ended. ``regrets`` are of those within the limit, in points of accuracy.

    ``tested``: the same on the test part; ``rated``: of the best within the limit that a search has rated, of all.
    """

    runs: int
    regrets: tuple[float, ...]
    tested: tuple[float, ...]
    rated: tuple[float, ...]

    @property
    def beyond(self) -> float:
        """The percentage of searches that end beyond the limit."""
        return 100 * (1 - len(self.regrets) / self.runs)


@dataclass(frozen=True)
class Networks:
    """A table: weights and accuracies (percent, means of the seeds) by network."""

    params: Mapping[str, int]
    valid: Mapping[str, float]
    test: Mapping[str, float]

    @staticmethod
    def of(record: Mapping[str, Any]) -> Networks:
        rows = record["rows"]
        accuracies = [{k: 100 * fmean(row[part]) for k, row in rows.items()} for part in ("valid", "test")]
        return Networks({k: int(row["params"]) for k, row in rows.items()}, *accuracies)

    def best(self, limit: int) -> str:
        """The network of the highest accuracy on valid within the limit."""
        return max((k for k, size in self.params.items() if size <= limit), key=lambda k: self.valid[k])

    def ends(self, record: Mapping[str, Any], limit: int) -> Ends:
        best = self.best(limit)
        within = [k for k in record["likely"] if self.params[k] <= limit]
        return Ends(
            len(record["likely"]),
            tuple(self.valid[best] - self.valid[k] for k in within),
            tuple(self.test[best] - self.test[k] for k in within),
            tuple(self.valid[best] - self.valid[k] for k in record["rated"] if k),
        )


def page(records: Records) -> str:
    """The whole text; what has no record is said to be missing."""
    ran = [r["ran"] for r in records.values()]
    fields = {
        "machines": _each(f"{r['machine']['processor']} ({r['machine']['kind']})" for r in ran),
        "versions": _each(f"Python {r['versions']['python']}, torch {r['versions']['torch']}" for r in ran),
        "commits": _each(r["commit"] for r in ran),
        "sizes": ", ".join(map(str, SIZES)),
        "networks": len(SIZES) ** 3,
        "runs": RUNS,
        "trials": TRIALS,
        "batch": BATCH,
        "tables": "\n".join(line for data in TABLES for line in _section(records, data)),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(fields)


def _section(records: Records, data: str) -> list[str]:
    table = TABLES[data]
    if table.key not in records:
        return [f"## {table.title}", "", f"Not recorded; `--only {table.key}` makes it.", ""]
    record, networks = records[table.key], Networks.of(records[table.key])
    counts = record["samples"]
    settings = table.training
    lines = [
        f"## {table.title}",
        "",
        f"{counts['train']:,} images to train on, {counts['valid']:,} whose accuracy the searches are told, "
        f"{counts['test']:,} to test; every network trained {table.seeds} times for {settings['epochs']} epochs of "
        f"batches of {settings['batch_size']} by Adam ({settings['lr']}, falling linearly to 0), accuracies averaged: "
        f"{record['seconds']:,.0f} CPU seconds for all {len(networks.params) * table.seeds:,} trainings.",
        "",
        f"Of the accuracies on valid, seeds of one network deviate by {_noise(record):.1f} points and networks by "
        f"{stdev(networks.valid.values()):.1f}.",
        "",
    ]
    if shown := _shown(records, data):
        lines += [f"![Regret under limits]({_file(data)})", ""]
    for share in shown:
        lines += [*_limit(records, networks, data, share), ""]
    return lines


def _noise(record: Mapping[str, Any]) -> float:
    return 100 * sqrt(fmean(stdev(row["valid"]) ** 2 for row in record["rows"].values()))


def _limit(records: Records, networks: Networks, data: str, share: int) -> list[str]:
    limit = limit_of(data, share)
    best = networks.best(limit)
    lines = [
        f"### At most {limit:,} weights: {share} % of the networks",
        "",
        f"The best of them is {best}, with {networks.params[best]:,} weights and {networks.valid[best]:.1f} %.",
        "",
        "| reward | beta | ends beyond the limit | ends at the best | regret of ends within, points "
        "| on the test images | regret of the best rated within |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for searches, ends in _rows(records, networks, data, share):
        cells = (
            searches.reward,
            f"{searches.beta:g}" if searches.beta else "",
            f"{ends.beyond:.0f} %",
            f"{100 * sum(r <= 1e-9 for r in ends.regrets) / ends.runs:.0f} %",
            _mean(ends.regrets),
            _mean(ends.tested),
            _mean(ends.rated),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rows(records: Records, networks: Networks, data: str, share: int) -> list[tuple[Searches, Ends]]:
    """What has records of a limit: rejection, then reward by reward, the weakest beta first."""
    wanted = [Searches(data, share, REJECTION)]
    wanted += [Searches(data, share, reward, beta) for reward in REWARDS for beta in sorted(BETAS, reverse=True)]
    limit = limit_of(data, share)
    return [(w, networks.ends(records[w.key], limit)) for w in wanted if w.key in records]


def _shown(records: Records, data: str) -> list[int]:
    """Limits that have a search."""
    return [s for s in sorted(SHARES) if any(key.startswith(f"{data}.{s}.") for key in records)]


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "" if not values else f"{values[0]:.2f}"
    return f"{fmean(values):.2f} ± {NORMAL * stdev(values) / sqrt(len(values)):.2f}"


def _each(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


# the pictures

_WIDE, _HIGH = 236.0, 176.0


def _file(data: str) -> str:
    return f"feasible_{data}.svg"


def pictures(records: Records) -> dict[str, str]:
    """File name to SVG, of what has records."""
    return {_file(data): _picture(records, data) for data in TABLES if _shown(records, data)}


def _picture(records: Records, data: str) -> str:
    """A column for each limit: which share of the searches ends beyond it, and the mean regret of the others."""
    networks, shares = Networks.of(records[TABLES[data].key]), _shown(records, data)
    svg = Svg(max(2, len(shares)) * _WIDE + 10, 2 * _HIGH + 62, f"Regret under limits: {TABLES[data].title}")
    svg.text(12, 18, TABLES[data].title, 12.5, bold=True)
    legend(svg, REWARDS, 12, 38)
    dashed = 12 + sum(9 * len(name) + 24 for name in REWARDS)
    svg.line((dashed, 34), (dashed + 14, 34), MUTED, 1.6, dash="4 3")
    svg.text(dashed + 18, 38, REJECTION, 11)
    found = {share: _rows(records, networks, data, share) for share in shares}
    regrets = [fmean(e.regrets) for rows in found.values() for _, e in rows if e.regrets]
    for column, (share, rows) in enumerate(found.items()):
        title = f"{share} % of networks within"
        ends = {(s.reward, s.beta): e for s, e in rows}
        beyond = {key: e.beyond for key, e in ends.items()}
        regret = {key: fmean(e.regrets) for key, e in ends.items() if e.regrets}
        svg.place(_panel(title, "ends beyond (%)", beyond, (0.0, 100.0)), column * _WIDE, 44)
        svg.place(_panel("", "regret of the others", regret, (0.0, max(regrets))), column * _WIDE, 44 + _HIGH)
    return svg.render()


def _panel(title: str, label: str, values: Mapping[tuple[str, float], float], span: Sequence[float]) -> Svg:
    svg = Svg(_WIDE, _HIGH)
    svg.text(46, 14, title, 10.5, bold=True)
    x = log_axis([-b for b in BETAS], 46, _WIDE - 10)
    y = linear_axis(span, _HIGH - 40, 22)
    axes(svg, x, y, "strength of the penalty, -beta", label)
    for k, reward in enumerate(REWARDS):
        points = sorted((x.at(-beta), y.at(v)) for (name, beta), v in values.items() if name == reward)
        _line(svg, points, PALETTE[k])
    if (REJECTION, 0.0) in values:
        height = y.at(values[REJECTION, 0.0])
        svg.line((x.start, height), (x.end, height), MUTED, 1.6, dash="4 3")
    return svg


def _line(svg: Svg, points: Sequence[tuple[float, float]], colour: str) -> None:
    if len(points) > 1:
        svg.polyline(points, colour, 1.6)
    for a, b in points:
        svg.circle(a, b, 2.2, colour, colour)
