"""The report as one HTML page that stands alone: no links outside, no scripts, pictures inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from math import isfinite
from typing import Any

from spacec.search.catalogue import MetricInfo
from spacec.search.report.curves import charts, probability_chart
from spacec.search.report.gather import PICTURES, RunData, Subject
from spacec.search.report.html import Html, Part, joined, pairs, picture, section, table, tag, text
from spacec.search.report.probes import probe_sections
from spacec.search.report.reproduce import GRAMMAR, commands
from spacec.search.report.trials import median_trial, trial_sections

SVG, PNG = "image/svg+xml", "image/png"
ARCHITECTURE_PICTURE = "architecture"
_ALLOWED = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
POLICY = f'<meta http-equiv="Content-Security-Policy" content="{_ALLOWED}">'
"""What a browser is told to refuse, were anything to slip through: scripts, and every address outside the page."""
PANEL = ("noisy", "denoised", "clean")
"""Kinds of a sample's pictures, in the order in which they are shown."""
COSTS = {"params": "parameters", "macs": "multiply-adds"}
MOST_SAMPLES = 8
"""How many samples are shown in pictures, and side by side in a table."""


def page(data: RunData) -> str:
    """The whole document."""
    style = resources.files("spacec.search.report").joinpath("style.css").read_text(encoding="utf-8")
    title = _title(data)
    body = joined(
        [
            tag("header", tag("h1", title), tag("p", _subtitle(data), class_="muted")),
            *_warnings(data),
            _headline(data),
            _comparison(data),
            _architecture(data),
            _before_after(data),
            _per_sample(data),
            _curves(data),
            *trial_sections(data),
            *probe_sections(data),
            _reproduce(data),
            _settings(data),
            tag("footer", f"Made by spacec {_versions(data).get('spacec', '')} from the run record alone."),
        ]
    )
    head = (
        f'<meta charset="utf-8">{POLICY}<meta name="viewport" content="width=device-width"><title>{text(title)}</title>'
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}\n<style>\n{style}</style></head>\n'
        f"<body><main>\n{body}\n</main></body>\n</html>\n"
    )


def _main_run(data: RunData) -> Mapping[str, Any]:
    return data.search or data.runs[-1] if data.runs else {}


def _title(data: RunData) -> str:
    run = _main_run(data)
    if not run:
        return "An empty run record"
    task = run["task"].get("name", "a task")
    if data.search is None:
        return f"{run['space']} trained for {task}"
    return f"{run['space']} searched for {task} by {run['strategy'].get('name', 'a strategy')}"


def _subtitle(data: RunData) -> str:
    run = _main_run(data)
    if not run:
        return ""
    start = datetime.fromtimestamp(run["started"], UTC)
    ends = [r["ended"] for r in data.runs if r["ended"] is not None]
    spent = sum(r["ended"] - r["started"] for r in data.runs if r["ended"] is not None)
    took = f" · {_duration(spent)} of computing" if ends else ""
    seeds = sorted({r["seed"] for r in data.runs if r["kind"] == run["kind"]})
    seed = f"seed {run['seed']}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    return f"{start:%d %B %Y, %H:%M} UTC · {seed}{took}"


def _warnings(data: RunData) -> list[Html]:
    """One remark per run that did not end well; a run still marked as running was cut off, or goes on."""
    found = []
    for run in data.runs:
        name = " ".join(filter(None, (run["kind"], run["name"] and f"'{run['name']}'")))
        if run["status"] == "running":
            found.append(f"The {name} run had not ended when this report was made.")
        elif run["status"] != "done":
            ended = "failed" if run["status"] == "failed" else f"was {run['status']}"
            found.append(f"The {name} run {ended}" + (f": {run['reason']}." if run["reason"] else "."))
    return [tag("p", line, class_="warning") for line in found]


def _headline(data: RunData) -> Html:
    ours, m = data.ours, data.metric
    value = ours.values.get(m.name) if ours else None
    if ours is None or value is None:
        return Html("")
    sentence = " ".join(filter(None, (_meaning(data, ours, value), _against(data, value))))
    return tag("div", tag("div", m.text(value), class_="value"), tag("p", sentence), class_="headline")


def _meaning(data: RunData, ours: Subject, value: float) -> str:
    m = data.metric
    what = m.help or m.name
    n = len(ours.samples)
    where = f"on {n} held-out samples" if n else "on held-out data"
    if ours.name == "derived":
        benchmark = _main_run(data)["task"].get("benchmark")
        alone = any(t["weights"] == "standalone" for t in _main_run(data)["trials"])
        weights = "trained alone as a trial" if alone else "with the weights of the supernet"
        where = f"on the search's validation data, {weights}"
        where = f"as the benchmark has it ({benchmark})" if benchmark else where
    first = f"Mean {what}, {where}"
    noisy = _value(data, "noisy")
    if noisy is None or m.unit != "dB":
        return first + "."
    return f"{first}; the noisy input has {m.text(noisy)}, so {_share(value - noisy)} of its squared error is removed."


def _against(data: RunData, value: float) -> str:
    """What the best baseline and the random architecture reach."""
    m = data.metric
    parts = []
    for name, what in (("blur", "the best fixed Gaussian blur"), ("nlm", "non-local means"),
                       ("random", "a random architecture with the same budget")):  # fmt: skip
        other = _value(data, name)
        if other is None:
            continue
        gap = abs(value - other)
        word = "above" if value > other else "below"
        level = f"{gap:.{m.digits}f}" == f"{0:.{m.digits}f}"
        parts.append(f"level with {what}" if level else f"{m.text(gap)} {word} {what}")
    return f"The network is {_listed(parts)}." if parts else ""


def _value(data: RunData, name: str) -> float | None:
    return next((s.values.get(data.metric.name) for s in data.subjects if s.name == name), None)


def _share(gain: float) -> str:
    """The share of squared error that a gain in dB removes."""
    return f"{100 * (1 - 10 ** (-gain / 10)):.0f} %"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _comparison(data: RunData) -> Html:
    m = data.metric
    middle = median_trial(data)
    shown = [s for s in (*([middle] if middle else []), *data.subjects) if m.name in s.values]
    if len(shown) < 2 and "benchmark" in _main_run(data).get("task", {}):
        return Html("")
    if not shown:
        return Html("")
    others = list(dict.fromkeys(n for s in shown for n in s.values if n not in (m.name, "loss")))
    costs = [c for c in COSTS if any(c in s.costs for s in shown)]
    head = ["", m.column, *others, *(COSTS[c] for c in costs)]
    rows = []
    for s in shown:
        title: Part = joined([s.title, tag("span", f" ({s.remark})", class_="muted")]) if s.remark else s.title
        cells: list[Part] = [title, _cell(m, s.values[m.name]), *(_plain(s.values.get(n)) for n in others)]
        rows.append([*cells, *(_count(s.costs.get(c)) for c in costs)])
    strong = [k for k, s in enumerate(shown) if s is data.ours]
    order = "higher" if m.direction == "max" else "lower"
    note = tag("p", f"{m.help or m.name}; {order} is better.", class_="muted")
    title = "Comparison on held-out data" if data.trainings else "Comparison"
    return section(title, tag("div", table(head, rows, strong=strong), class_="wide"), note)


def _architecture(data: RunData) -> Html:
    ours = data.ours
    found = data.drawing.encode() or data.pictures.get(f"{ARCHITECTURE_PICTURE}.svg")
    if ours is None or not (ours.architecture or found):
        return Html("")
    parts: list[Part] = []
    if found:
        parts.append(picture(found, SVG, "The searched architecture", class_="drawing"))
    elif data.undrawn:
        parts.append(tag("p", f"It is not drawn here: {data.undrawn}.", class_="muted"))
    if ours.architecture:
        parts.append(tag("p", "As text, for --arch: ", tag("code", ours.architecture)))
    costs = {k: _count(v) for k, v in ours.costs.items()}
    if costs:
        parts.append(tag("p", "Cost: " + ", ".join(f"{v} {COSTS.get(k, k)}" for k, v in costs.items()) + "."))
    return section("The architecture", *parts)


def _before_after(data: RunData) -> Html:
    """Pictures named ``SAMPLE.KIND.png``: a row per sample, in the order noisy, denoised, clean."""
    rows: dict[str, dict[str, bytes]] = {}
    for name, file in data.pictures.items():
        stem, _, kind = name.removesuffix(".png").rpartition(".")
        if name.endswith(".png") and stem:
            rows.setdefault(stem, {})[kind] = file
    noisy = next((s.samples for s in data.subjects if s.name == "noisy"), {})
    ours = data.ours.samples if data.ours else {}
    blocks: list[Part] = []
    for sample, files in list(rows.items())[:MOST_SAMPLES]:
        levels = {"noisy": noisy.get(sample), "denoised": ours.get(sample)}
        order = [*(k for k in PANEL if k in files), *sorted(set(files) - set(PANEL))]
        figures = []
        for kind in order:
            level = levels.get(kind)
            caption = kind if level is None else f"{kind}: {data.metric.text(level)}"
            figures.append(picture(files[kind], PNG, f"{sample}, {kind}", caption))
        blocks += [tag("h3", sample), tag("div", *figures, class_="panels")]
    if len(rows) > MOST_SAMPLES:
        more = f"{len(rows) - MOST_SAMPLES} further samples are in the folder {PICTURES}."
        blocks.append(tag("p", more, class_="muted"))
    return section("Before and after", *blocks)


def _per_sample(data: RunData) -> Html:
    m = data.metric
    shown = [s for s in data.subjects if s.samples]
    samples = list(dict.fromkeys(n for s in shown for n in s.samples))
    if not samples:
        return Html("")
    rows = [[m.column, *samples, "mean"]]
    for s in shown:
        cells = [_cell(m, s.samples[n]) if n in s.samples else "" for n in samples]
        mean = s.values.get(m.name)
        rows.append([s.title, *cells, "" if mean is None else _cell(m, mean)])
    strong = [k for k, s in enumerate(shown) if s is data.ours]
    if len(samples) > MOST_SAMPLES:  # too wide for a page: one row per sample
        rows, strong = [list(column) for column in zip(*rows, strict=True)], []
    return section("Held-out samples, one by one", table(rows[0], rows[1:], strong=strong))


def _curves(data: RunData) -> Html:
    found = [picture(svg.encode(), SVG, stem.replace("-", " ")) for stem, svg in charts(data).items()]
    probabilities = probability_chart(data)
    parts: list[Part] = [tag("div", *found, class_="charts")] if found else []
    if probabilities:
        parts.append(picture(probabilities.encode(), SVG, "Architecture probabilities by epoch"))
    return section("Search and training", *parts)


def _reproduce(data: RunData) -> Html:
    lines = commands(data)
    if not lines:
        return Html("")
    run = _main_run(data)
    known = ", ".join(f"{name} {version}" for name, version in _versions(data).items())
    what = f"Seed {run['seed']}; {known}. " if known else f"Seed {run['seed']}. "
    free = any(r["config"].get("search", r["config"]).get("asynchronous") is True for r in data.searches)
    repeats = (
        "Results were told as they came, so that from several workers their order, and what is found, may differ."
        if free
        else "With the same versions and machine it repeats."
    )
    note = (
        f"The grammar is below, and in the run directory as {GRAMMAR}. `spacec replay` repeats the run from its"
        f" directory and says what differs. {repeats}"
    )
    return section("How to reproduce", tag("pre", "\n".join(lines)), tag("p", what + note, class_="muted"))


def _settings(data: RunData) -> Html:
    run = _main_run(data)
    if not run:
        return Html("")
    blocks = [
        ("Space", {"space": run["space"], "digest": run["digest"], **run["header"]}),
        ("Task", {"task": run["task"].get("name"), **run["task"].get("options", {})}),
    ]
    if data.search:
        strategy = data.search["strategy"]
        blocks.append(("Strategy", {"strategy": strategy.get("name"), **strategy.get("options", {})}))
        blocks.append(("Search", data.search["config"].get("search", data.search["config"])))
    if data.trainings:
        blocks.append(("Retraining", data.trainings[-1]["config"]))
    blocks += [("Versions", _versions(data)), ("Machine", run["environment"])]
    grammar = (tag("h3", "Grammar"), tag("pre", run["grammar"])) if run["grammar"] else ()
    columns = tag("div", *(tag("div", tag("h3", name), pairs(values)) for name, values in blocks), class_="columns")
    return section("Settings, versions and machine", columns, *grammar)


def _versions(data: RunData) -> dict[str, Any]:
    return {name: version for run in data.runs for name, version in run["versions"].items()}


def _cell(metric: MetricInfo, value: float) -> str:
    return f"{value:.{metric.digits}f}" if isfinite(value) else str(value)


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}".replace(",", "\u2009")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
