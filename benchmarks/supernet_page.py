"""SUPERNET.md and its pictures from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from statistics import median
from typing import Any

from benchmarks.supernet_rows import BY_HAND, CASES, COMPILED, FORMS, GROWTH, PATHS, SECOND, Case
from benchmarks.supernet_rows import Row as MeasuredRow
from spacec.draw.svg import PAPER, Svg
from spacec.lower.bench.picture import drawing
from spacec.lower.bench.rows import HEAD, NOT, Row, cells, duration, facts, rows_of
from spacec.search.report.charts import Series, line_chart

NOISE = 0.95
"""What counts as never slower: times of 5 % more are noise."""

Record = Mapping[str, Any]
Records = Mapping[str, Record]

HOW = """\
Forms of one supernet, side by side. A pass is forward and backward with every candidate running, in train mode, on
one thread, in float32, to all weights and to the mask. The forms take turns in one process; times are medians of the
rounds, and ratios medians over the pairs of a round. *Best plain* is the plain form in the layout that is faster
here. *Live peak* is what tensors take at their most in a pass, beyond weights and inputs: the blocks that torch's
allocator hands out and gets back, in order. *Resident* is what a fresh process takes at its most in two passes,
beyond what it had before them. *Calls* are ops that torch dispatches, forward and backward; *products* are those of
them that are convolutions or matrix products; generated code cannot be counted so. *Compiling* is what the first pass
takes longer than the others. *Floor* is the larger of all operations of the plain graph at the measured matrix rate,
and all its bytes at the measured copy rate; an op's inputs, weights and outputs count once forward and, as values or
gradients, once or twice backward (`spacec/lower/bench/roofline.py` has the formula); *of floor* is the time over it.
"""


def page(records: Records) -> str:
    """The whole text; what has no record is said to be missing."""
    commits = dict.fromkeys(r["commit"] for r in records.values())
    lines = ["# What a supernet costs, form by form", "", HOW, *_machines(records)]
    lines += [f"Commits: {', '.join(commits)}. Made by `python -m benchmarks.supernet`.", ""]
    lines += ["## What was to be shown", "", *_claims(records), ""]
    if any(times_of(records, case) for case in CASES):
        lines += ["![the forms side by side](supernet.svg)", ""]
    for case in CASES:
        lines += [f"## {case.title}", "", *_case(records, case), ""]
    lines += ["## Beside a supernet written by hand", "", *_by_hand(records), ""]
    lines += ["## The second-order architecture step of DARTS", "", *_second(records), ""]
    lines += ["## Sampled paths", "", *_paths(records), ""]
    lines += ["## Growth", "", *_growth(records), ""]
    return "\n".join(lines)


def pictures(records: Records) -> dict[str, str]:
    """File name to SVG, of what has records."""
    drawn = [drawing(r, rows_in(records, c), c.title) for c in CASES if (r := times_of(records, c)) is not None]
    found = {"supernet.svg": _stacked(drawn)} if drawn else {}
    charts = [_chart(records[row.key], row.key.partition(".")[2]) for row in GROWTH if row.key in records]
    return {**found, "supernet_growth.svg": _beside(charts)} if charts else found


def times_of(records: Records, case: Case) -> Record | None:
    """Of generated code where there are no others; ``None`` without either."""
    times, compiled, _ = case.rows()
    return records.get(times.key, records.get(compiled.key))


def rows_in(records: Records, case: Case) -> list[Row]:
    """Of all forms with their memory: generated code was timed beside the plain forms in a process of its own."""
    times, compiled, memory = (records.get(row.key) for row in case.rows())
    known = memory["forms"] if memory else {}
    found: dict[str, Row] = {}
    for record in filter(None, (times, compiled)):
        forms = {name: {**form, "memory": known.get(name)} for name, form in record["forms"].items()}
        for row in rows_of({**record, "forms": forms}):
            found.setdefault(row.name, row)
    order = [form for form in (*FORMS, *COMPILED, *found) if form in found]
    return [found[name] for name in dict.fromkeys(order)]


def _machines(records: Records) -> list[str]:
    told = (
        f"{m['processor']} ({m['capability']}), {m['cores']} cores, Python {m['python']}, torch {m['torch']}"
        for m in (r["machine"] for r in records.values())
    )
    return [f"Machine: {'; '.join(dict.fromkeys(told))}.", "On a GPU: not measured.", ""]


# claims


def _claims(records: Records) -> list[str]:
    lines = ["| what | at least or at most | measured | |", "|---|---:|---:|---|"]
    for case in CASES:
        rows = {row.name: row for row in rows_in(records, case)}
        lines += [_claim(case.title.partition(",")[0] + f", batch {case.batch}", rows, *each) for each in _wanted(case)]
    for title, value in _paired(records, SECOND) or [("every form", None)]:
        lines.append(_line(f"second-order step, {title}: first-order passes", "<=", 4.2, value))
    for title, value in _paired(records, PATHS) or [("every form", None)]:
        lines.append(_line(f"a sampled path, {title}: passes of that network alone", "<=", 1.05, value))
    for row, most in zip(GROWTH, (1.1, 1.1), strict=True):
        for name, (title, slope) in (exponents(records[row.key]) if row.key in records else {}).items():
            if name != "plain":
                lines.append(_line(f"exponent of time over {row.key.partition('.')[2]}, {title}", "<=", most, slope))
    return lines


Claim = tuple[str, str, str, float, Callable[[Row, Row], float | None]]
"""What is claimed, of which form, whether at least or at most, how much, and how it is read off the form and the plain
one."""


def _wanted(case: Case) -> list[Claim]:
    faster: Claim = ("as fast as plain, optimised", "fast", ">=", NOISE, lambda row, _: row.faster)
    best: Claim = ("as fast as the best plain layout, optimised", "fast", ">=", NOISE, lambda r, _: r.faster_than_best)
    compiled: Claim = ("as fast as plain, compiled", "compiled", ">=", 1.5, lambda row, _: row.faster)
    if case.space == "cream":
        return [faster, best]
    if case.space != "darts":
        generated: Claim = ("as fast as plain, optimised", "fast", ">=", 1.5, lambda row, _: row.faster)
        return [faster, best, generated, compiled]
    return [
        ("as fast as plain, library calls", "eager", ">=", 2.2, lambda row, _: row.faster),
        ("as fast as the best plain layout, library calls", "eager", ">=", 1.3, lambda row, _: row.faster_than_best),
        ("as fast as plain, optimised", "fast", ">=", 3.0, lambda row, _: row.faster),
        ("as fast as the best plain layout, optimised", "fast", ">=", 2.0, lambda row, _: row.faster_than_best),
        ("as fast as plain, compiled", "compiled", ">=", 3.0, lambda row, _: row.faster),
        ("as fast as the best plain layout, compiled", "compiled", ">=", 2.0, lambda row, _: row.faster_than_best),
        ("live bytes of the plain form, optimised", "fast", "<=", 0.6, lambda row, _: row.share),
        ("products of the plain form, fewest launches", "launches", "<=", 0.25, _products),
        ("calls of the plain form, fewest launches", "launches", "<=", 1 / 3, _calls),
        ("times the floor, optimised", "fast", "<=", 3.0, lambda row, _: row.floors),
    ]  # fmt: skip


def _claim(
    title: str, rows: Mapping[str, Row], what: str, form: str, sign: str, bound: float, read: Callable[..., Any]
) -> str:
    value = read(rows[form], rows["plain"]) if form in rows and "plain" in rows else None
    return _line(f"{title}: {what}", sign, bound, value)


def _products(row: Row, plain: Row) -> float | None:
    return None if row.products is None or not plain.products else row.products / plain.products


def _calls(row: Row, plain: Row) -> float | None:
    return None if row.calls is None or not plain.calls else row.calls / plain.calls


def _line(what: str, sign: str, bound: float, value: float | None) -> str:
    if value is None:
        return f"| {what} | {sign} {bound:.3g} | {NOT} | |"
    holds = value >= bound if sign == ">=" else value <= bound
    return f"| {what} | {sign} {bound:.3g} | {value:.2f} | {'holds' if holds else 'FALLS SHORT'} |"


# sections


def _case(records: Records, case: Case) -> list[str]:
    record = times_of(records, case)
    if record is None:
        return ["Not measured."]
    lines = ["| " + " | ".join(HEAD) + " |", "|---|" + "---:|" * (len(HEAD) - 1)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows_in(records, case)]
    return [*(f"{line}." for line in facts(record)[1:]), "", *lines, "", _schedule(record), "", f"On a GPU: {NOT}."]


def _schedule(record: Record) -> str:
    found = record["schedules"].get("fast")
    if found is None:
        return "The optimised form runs by the usual schedule, without measuring."
    passes = f"the passes {', '.join(found['passes'])}" if found["passes"] else "no pass"
    return (
        f"The optimised form runs by a schedule that was chosen by measuring: {passes}; layout {found['layout']}; "
        f"kernels of {len(found['kernels'])} sites."
    )


def _by_hand(records: Records) -> list[str]:
    lines = [
        "`benchmarks/darts_by_hand.py` is DARTS' supernet as it is written by hand: a module for each operation, loops",
        "over operations and edges. With the weights of the plain form it gives the plain form's numbers bit for",
        "bit (`tests/benchmarks/test_supernet.py`), so the plain form that others are compared with is no slow one.",
    ]
    for case in CASES:
        forms = (times_of(records, case) or {"forms": {}})["forms"]
        for last in ("", "-last"):
            if f"{BY_HAND}{last}" in forms:
                peer, plain = forms[f"{BY_HAND}{last}"], forms[f"plain{last}"]
                told = median(a / b for a, b in zip(plain["seconds"], peer["seconds"], strict=True))
                lines.append(f"{case.title}: {plain['title']} takes {told:.2f} times as long as {peer['title']}.")
    return lines


def _paired(records: Records, row: MeasuredRow) -> list[tuple[str, float]]:
    """By form: its title, and the median ratio of its pairs."""
    forms = records.get(row.key, {"forms": {}})["forms"].values()
    return [(form["title"], median(a / b for a, b in form["pairs"])) for form in forms]


def _pairs(records: Records, row: MeasuredRow, head: tuple[str, str, str]) -> list[str]:
    if row.key not in records:
        return ["Not measured."]
    lines = [f"| form | {' | '.join(head)} |", "|---|---:|---:|---:|"]
    for form, (title, value) in zip(records[row.key]["forms"].values(), _paired(records, row), strict=True):
        one, other = (median(pair[k] for pair in form["pairs"]) for k in (0, 1))
        lines.append(f"| {title} | {duration(one)} | {duration(other)} | {value:.2f} |")
    return lines


def _second(records: Records) -> list[str]:
    return [
        "The architecture step of `--strategy darts -o order=2` (the weight step is not in it) beside a first-order",
        f"pass on the same batch, to all weights and logits; C = 16, 8 cells, batch {SECOND.batch}.", "",
        *_pairs(records, SECOND, ("step", "pass", "passes in a step")),
    ]  # fmt: skip


def _paths(records: Records) -> list[str]:
    return [
        f"{PATHS.rounds} architectures of DARTS are drawn, one after the other: a pass of the supernet under the mask",
        f"of one beside a pass of that network alone, the faster of two; 8 cells, C = 16, batch {PATHS.batch}.", "",
        *_pairs(records, PATHS, ("sampled path", "network alone", "ratio")),
    ]  # fmt: skip


def _growth(records: Records) -> list[str]:
    lines = [
        "A chain of equal cells, three edges each, whose candidates are alike; over the number of cells (with 4",
        "candidates), and over the number of candidates (in 8 cells). The exponent is the slope of the logarithm of",
        "time over the logarithm of the number, fitted by least squares: 1 is linear.", "",
        "![time over cells and candidates](supernet_growth.svg)", "",
        "| over | form | times | exponent |", "|---|---|---|---:|",
    ]  # fmt: skip
    for row in GROWTH:
        what = row.key.partition(".")[2]
        if row.key not in records:
            lines.append(f"| {what} | | {NOT} | |")
            continue
        for name, (title, slope) in exponents(records[row.key]).items():
            told = (f"{p[what]}: {duration(median(p['forms'][name]['seconds']))}" for p in records[row.key]["points"])
            lines.append(f"| {what} | {title} | {', '.join(told)} | {slope:.2f} |")
    return lines


def exponents(record: Record) -> dict[str, tuple[str, float]]:
    """By form: its title, and the slope over what varies."""
    points = record["points"]
    what = "cells" if points[0]["cells"] != points[-1]["cells"] else "candidates"
    xs = [log(p[what]) for p in points]
    return {
        name: (form["title"], slope(xs, [log(median(p["forms"][name]["seconds"])) for p in points]))
        for name, form in points[0]["forms"].items()
    }


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the line through points, by least squares."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


# pictures


def _chart(record: Record, what: str) -> Svg:
    series = [
        Series(
            form["title"],
            tuple((float(p[what]), 1000 * median(p["forms"][name]["seconds"])) for p in record["points"]),
        )
        for name, form in record["points"][0]["forms"].items()
    ]
    floor = Series("floor", tuple((float(p[what]), 1000 * p["floor"]) for p in record["points"]))
    return line_chart([*series, floor], f"A pass over {what}", what, "milliseconds", log=True, across="log")


def _stacked(parts: Sequence[Svg]) -> str:
    svg = Svg(max(p.width for p in parts), sum(p.height + 14 for p in parts), "Supernets, form by form")
    svg.rect(0, 0, svg.width, svg.height, PAPER)
    y = 0.0
    for part in parts:
        svg.place(part, 0, y)
        y += part.height + 14
    return svg.render()


def _beside(parts: Sequence[Svg]) -> str:
    svg = Svg(sum(p.width + 14 for p in parts), max(p.height for p in parts) + 4, "Growth")
    svg.rect(0, 0, svg.width, svg.height, PAPER)
    x = 0.0
    for part in parts:
        svg.place(part, x, 0)
        x += part.width + 14
    return svg.render()
