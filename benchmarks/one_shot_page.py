"""ONE_SHOT.md and its picture, from the records of benchmarks/one_shot.py alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from string import Template
from typing import Any

from benchmarks.intervals import bootstrap, kendall, spearman
from benchmarks.one_shot_rows import (
    BATCHES,
    ENTRIES,
    NETWORKS,
    RECALIBRATE,
    SEARCH,
    SEEDS,
    SUPERNETS,
    TASK,
    TRAINING,
    drawn,
)
from benchmarks.report import HERE
from spacec.draw.svg import MUTED, PALETTE, Svg, tint
from spacec.search.report.charts import axes, linear_axis

Records = Mapping[str, Mapping[str, Any]]
Values = Sequence[float]
Statistic = Callable[[Values, Values], float]

ALONE = "networks trained alone"
TEMPLATE = HERE / "one_shot.template.md"


def page(records: Records, transfer: Mapping[str, Values]) -> str:
    """The whole text; ``transfer`` are correlations with the published table, by line, with their intervals."""
    digits, truth = _truth(records)
    if len(digits) < 2:
        return "# Shared weights beside networks trained alone\n\nNot recorded yet.\n"
    apart = [_alone(records, d) for d in digits]
    ran = [r["ran"] for r in records.values()]
    fields = {
        "machines": _each(f"{r['machine']['processor']} ({r['machine']['kind']})" for r in ran),
        "versions": _each(f"Python {r['versions']['python']}, torch {r['versions']['torch']}" for r in ran),
        "commits": _each(r["commit"] for r in ran),
        "networks": len(digits),
        "drawn": NETWORKS,
        "supernets": len([key for key in records if key.startswith("shared.")]),
        "share": f"{100 * float(TASK['options']['train']):.0f}",
        "steps": int(SEARCH["epochs"]) * int(SEARCH["steps"]),
        "own_steps": int(TRAINING["epochs"]) * int(TRAINING["steps"]),
        "seeds": len(SEEDS),
        "recalibrate": RECALIBRATE,
        "images": 256 * BATCHES,
        "low": f"{min(truth):.1f}",
        "high": f"{max(truth):.1f}",
        "spread": f"{stdev(truth):.2f}",
        "noise": f"{fmean(stdev(a) for a in apart):.2f}",
        "table": "\n".join(_comparison(records, digits, truth)),
        "measures": "\n".join(_measures(records, digits, truth)),
        "transfer": "\n".join(_transfer(transfer)),
        "list": "\n".join(_list(records, digits)),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(fields)


def transferred(records: Records, published: Mapping[str, float]) -> dict[str, list[float]]:
    """Kendall's tau of published accuracies with what the records say of the same networks, with its interval."""
    digits, truth = _truth(records)
    theirs = [published[d] for d in digits]
    lines = {ALONE: [truth], **{entry: _shared(records, entry, digits) for entry in ENTRIES}}
    return {
        name: [round(v, 4) for v in (_mean_of(kendall, own, theirs), *_interval(kendall, own, theirs))]
        for name, own in lines.items()
        if own
    }


# what the records say


def _alone(records: Records, digits: str) -> list[float]:
    """Accuracies on the test images of a network trained alone, in percent, by seed."""
    return [100 * float(run["test"]["accuracy"]) for run in records[f"alone.{digits}"]["runs"]]


def _truth(records: Records) -> tuple[list[str], list[float]]:
    """Networks that have been trained alone, and the mean of their seeds."""
    digits = [d for d in drawn() if f"alone.{d}" in records]
    return digits, [fmean(_alone(records, d)) for d in digits]


def _of_entry(records: Records, entry: str) -> list[Mapping[str, Any]]:
    found = (records.get(f"shared.{entry}.{seed}") for seed in SUPERNETS)
    return [record for record in found if record is not None]


def _shared(records: Records, entry: str, digits: Sequence[str], how: str = "recalibrated") -> list[list[float]]:
    """Accuracies with shared weights, in percent, by seed and network."""
    found = []
    for record in _of_entry(records, entry):
        rated = dict(zip(record["settings"]["networks"], record[how], strict=True))
        found.append([100 * rated[d] for d in digits])
    return found


def _mean_of(statistic: Statistic, by_seed: Sequence[Values], truth: Values) -> float:
    return fmean(statistic(own, truth) for own in by_seed)


def _interval(statistic: Statistic, by_seed: Sequence[Values], truth: Values) -> tuple[float, float]:
    """Over samples of the networks."""

    def of(places: list[int]) -> float:
        return _mean_of(statistic, [[own[i] for i in places] for own in by_seed], [truth[i] for i in places])

    return bootstrap(of, len(truth))


# the tables


def _comparison(records: Records, digits: Sequence[str], truth: Values) -> list[str]:
    lines = [
        "| shared weights | Kendall's tau, by seed | mean and 95 % interval | Spearman, mean and interval "
        "| tau, norms as training left them | mean accuracy, % | paths a step | training, CPU s |",
        "| --- | --- | --- | --- | --- | --: | --: | --: |",
    ]
    for name, entry in ENTRIES.items():
        own = _shared(records, name, digits)
        if not own:
            continue
        plain = _mean_of(kendall, _shared(records, name, digits, "plain"), truth)
        seconds = fmean(record["seconds"] for record in _of_entry(records, name))
        cells = (
            entry.title,
            " ".join(f"{kendall(one, truth):.2f}" for one in own),
            _with_interval(kendall, own, truth),
            _with_interval(spearman, own, truth),
            f"{plain:.2f}",
            f"{fmean(map(fmean, own)):.1f}",
            entry.paths,
            f"{seconds:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _measures(records: Records, digits: Sequence[str], truth: Values) -> list[str]:
    """What predicts without any shared weights: size, and another training."""
    lines = ["| measure | Kendall's tau and interval | Spearman and interval |", "| --- | --- | --- |"]
    for name, field in (("weights", "params"), ("multiplies", "macs")):
        own = [[float(records[f"alone.{d}"][field]) for d in digits]]
        lines.append(f"| {name} | {_with_interval(kendall, own, truth)} | {_with_interval(spearman, own, truth)} |")
    first, second = zip(*(_alone(records, d)[:2] for d in digits), strict=True)
    both = [_with_interval(s, [first], second) for s in (kendall, spearman)]
    lines.append(f"| the other seed of the network trained alone, with one seed | {both[0]} | {both[1]} |")
    return lines


def _with_interval(statistic: Statistic, by_seed: Sequence[Values], truth: Values) -> str:
    low, high = _interval(statistic, by_seed, truth)
    return f"{_mean_of(statistic, by_seed, truth):.2f} ({low:.2f} to {high:.2f})"


def _transfer(found: Mapping[str, Values]) -> list[str]:
    if not found:
        return ["Not recorded: it needs the authors' file (`--published`)."]
    lines = ["| with the published accuracies | Kendall's tau and interval |", "| --- | --- |"]
    titles = {name: entry.title for name, entry in ENTRIES.items()}
    for name, (tau, low, high) in found.items():
        lines.append(f"| {titles.get(name, name)} | {tau:.2f} ({low:.2f} to {high:.2f}) |")
    return lines


def _list(records: Records, digits: Sequence[str]) -> list[str]:
    shown = {name: own for name in ENTRIES if (own := _shared(records, name, digits))}
    lines = [
        f"| network | weights | multiplies | alone, by seed | {' | '.join(ENTRIES[n].title for n in shown)} |",
        f"| --- | --: | --: | --- |{' --: |' * len(shown)}",
    ]
    for k, d in enumerate(digits):
        record = records[f"alone.{d}"]
        alone = " ".join(f"{v:.1f}" for v in _alone(records, d))
        rated = " | ".join(f"{fmean(one[k] for one in own):.1f}" for own in shown.values())
        lines.append(f"| {d} | {record['params']:,} | {record['macs']:,} | {alone} | {rated} |")
    return lines


def _each(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


# the picture

_WIDE, _HIGH, _ACROSS = 300.0, 240.0, 2


def picture(records: Records) -> str:
    """A panel for each way to train: every network at its accuracy alone and with shared weights, a hue a seed."""
    digits, truth = _truth(records)
    shown = {name: own for name in ENTRIES if (own := _shared(records, name, digits))}
    rows = -(-len(shown) // _ACROSS)
    svg = Svg(_WIDE * _ACROSS + 10, rows * _HIGH + 44, "Accuracy with shared weights and alone")
    svg.text(12, 18, "NAS-Bench-Macro's space on Fashion-MNIST", 12.5, bold=True)
    svg.text(12, 34, "a dot for each network and seed of the supernet; a bar for the mean of its seeds", 10, fill=MUTED)
    for k, (name, own) in enumerate(shown.items()):
        panel = _panel(f"{ENTRIES[name].title}: tau {_mean_of(kendall, own, truth):.2f}", own, truth)
        svg.place(panel, k % _ACROSS * _WIDE, 40 + k // _ACROSS * _HIGH)
    return svg.render()


def _panel(title: str, by_seed: Sequence[Values], truth: Values) -> Svg:
    svg = Svg(_WIDE, _HIGH)
    svg.text(52, 16, title, 11, bold=True)
    x = linear_axis(list(truth), 52, _WIDE - 12)
    y = linear_axis([v for own in by_seed for v in own], _HIGH - 44, 26)
    axes(svg, x, y, "accuracy trained alone (%)", "with shared weights (%)")
    for own in by_seed:
        for a, b in zip(truth, own, strict=True):
            svg.circle(x.at(a), y.at(b), 1.8, tint(PALETTE[0], 0.45), "none")
    for a, column in zip(truth, zip(*by_seed, strict=True), strict=True):
        middle = y.at(fmean(column))
        svg.line((x.at(a) - 4, middle), (x.at(a) + 4, middle), PALETTE[0], 1.6)
    return svg
