"""STRATEGIES.md from the records alone: the same records give the same page, on any machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from string import Template
from typing import Any

from benchmarks.intervals import concordance, interval, ranks
from benchmarks.report import HERE
from benchmarks.strategy_rows import (
    ARMS,
    BASELINE,
    CHECKED,
    ENTRIES,
    PAIR_SEEDS,
    SEARCH,
    SEEDS,
    SHORTER,
    SPACES,
    TABLE,
    TITLES,
    TRAINING,
    TRAVEL,
    Pair,
    Row,
    entries_of,
)

Record = Mapping[str, Any]
Records = Mapping[str, Record]
Values = Mapping[str, Sequence[float]]
"""A number for each seed, by line of the table."""

TEMPLATE = HERE / "strategies.template.md"


def page(records: Records) -> str:
    """The whole text; what has no record is said to be missing."""
    pair = Pair("paper", 0).settings()
    ran = [r["ran"] for r in records.values()]
    fields = {
        "machines": _each(f"{r['machine']['processor']} ({r['machine']['kind']})" for r in ran),
        "versions": _each(f"Python {r['versions']['python']}, torch {r['versions']['torch']}" for r in ran),
        "commits": _each(r["commit"] for r in ran),
        "batch": SEARCH["batch_size"],
        "seeds": len(SEEDS),
        "baseline": BASELINE,
        "tables": "\n".join(line for space in SPACES for line in _section(records, space)),
        "search": _options(SEARCH),
        "training": _options(TRAINING),
        "spaces": "; ".join(f"`{space}` with `{_options(given)}`" for space, given in SPACES.items()),
        "shorter": "; ".join(
            f"`{space}`: `{_options(own['search'])}`, retraining `{_options(own['training'])}`"
            for space, own in SHORTER.items()
        ),
        "travel": TRAVEL,
        "entries": "\n".join(
            _cells(name, e.strategy or "", f"`{_options(e.options)}`" if e.options else "", e.shortened)
            for name, e in ENTRIES.items()
        ),
        "pair_space": _options(pair["space"]["parameters"]),
        "pair_search": _options(pair["strategy"]["options"]),
        "pair_training": _options(pair["training"]),
        "count": pair["random"]["count"],
        "tolerance": f"{100 * pair['random']['tolerance']:.0f}",
        "pairs": "\n".join(_pairs(records)),
        "checked": "\n".join(f"- `{c.key}`: accuracy {_recorded(records, c)}" for c in CHECKED),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(fields)


# the comparison of strategies


def by_entry(records: Records, space: str) -> dict[str, list[Record]]:
    """The records of all seeds by line, best mean first; lines without all of them, or refused, are left out."""
    found = {e: _of_seeds(records, space, e) for e in entries_of(space)}
    whole = {e: [r for r in some if r] for e, some in found.items() if all(r and "unsupported" not in r for r in some)}
    return dict(sorted(whole.items(), key=lambda item: -mean(map(accuracy, item[1]))))


def accuracy(record: Record) -> float:
    """Of the retrained pick on the test images, in percent."""
    return 100 * float(record["retraining"]["test"]["accuracy"])


def _of_seeds(records: Records, space: str, entry: str) -> list[Record | None]:
    return [records.get(Row(TABLE, space, entry, seed).key) for seed in SEEDS]


def _recorded(records: Records, row: Row) -> str:
    record = records.get(row.key)
    return f"{accuracy(record):.1f} %" if record else "not recorded"


def _section(records: Records, space: str) -> list[str]:
    whole = by_entry(records, space)
    if len(whole) < 2:
        return [f"### {TITLES[space]}", "", f"Not recorded; `--only {TABLE}.{space}` makes its rows.", ""]
    values = {e: [accuracy(r) for r in some] for e, some in whole.items()}
    by_seed = [ranks(list(column)) for column in zip(*values.values(), strict=True)]
    places = {e: [seed[k] for seed in by_seed] for k, e in enumerate(values)}
    search, training = (SHORTER.get(space, {}).get(part, {}) for part in ("search", "training"))
    steps, again = _steps({**SEARCH, **search}), _steps({**TRAINING, **training})
    heads = ("strategy", "accuracy, %", "mean ± deviation", "rank", f"against {BASELINE}", "search, s", "memory, MiB",
             "skips", "weights", "Hessian")  # fmt: skip
    return [
        f"### {TITLES[space]}",
        "",
        f"{steps} weight steps in the search, {again} in the retraining.",
        "",
        _cells(*heads),
        _cells("---", "---", "--:", "---", "--:", "--:", "--:", "--:", "--:", "---"),
        *(_line(e, some, values, places[e]) for e, some in whole.items()),
        "",
        *_lacking(records, space),
        *_spread(values, places),
        "",
        f"![Accuracy by strategy](strategies_{space}.svg)",
        "",
    ]


def _steps(given: Mapping[str, str]) -> int:
    return int(given["epochs"]) * int(given["steps"])


def _line(entry: str, some: Sequence[Record], values: Values, places: Sequence[float]) -> str:
    own = values[entry]
    searched = [r["search"] for r in some if r["search"]]
    return _cells(
        entry,
        " ".join(f"{a:.1f}" for a in own),
        f"{mean(own):.1f} ± {stdev(own):.1f}",
        " ".join(f"{p:g}" for p in places),
        "" if entry == BASELINE or BASELINE not in values else _text(_against(entry, values), 1),
        _mean((s["seconds"] for s in searched), 1),
        _mean((s["memory"] for s in searched if s["memory"] is not None), 0),
        _mean((r["pick"]["skips"] for r in some), 1),
        _mean((r["pick"]["params"] for r in some), 0),
        " ".join(f"{r['hessian']['eigenvalue']:.2g}" for r in some if "hessian" in r),
    )


def _against(entry: str, values: Values) -> tuple[float, float, float]:
    return interval([a - b for a, b in zip(values[entry], values[BASELINE], strict=True)])


def _lacking(records: Records, space: str) -> list[str]:
    """Lines on what the table lacks."""
    found = []
    for entry in entries_of(space):
        some = _of_seeds(records, space, entry)
        refused = next((r["unsupported"] for r in some if r and "unsupported" in r), "")
        if refused:
            found.append(f"- **{entry}** cannot search this space: {refused}.")
        elif not all(some):
            found.append(f"- **{entry}** has {sum(map(bool, some))} of {len(SEEDS)} records.")
    return [*found, ""] if found else []


def _spread(values: Values, places: Values) -> list[str]:
    """What the seeds say about the ranking."""
    judges = list(zip(*values.values(), strict=True))
    widest = max(places, key=lambda e: max(places[e]) - min(places[e]))
    between, within = stdev(map(mean, values.values())), mean(map(stdev, values.values()))
    lines = [
        f"How far the ranking can be trusted: Kendall's W of the {len(judges)} seeds is {concordance(judges):.2f}",
        f"(1: the same order every time; {1 / len(judges):.2f}: expected of chance). Means of lines deviate by "
        f"{between:.1f} points, seeds of one line",
        f"by {within:.1f}. The widest ranks are those of {widest}: {min(places[widest]):g} to {max(places[widest]):g}.",
    ]
    if BASELINE in values:
        ends = {e: _against(e, values)[1:] for e in values if e != BASELINE}
        clear = [f"{e} ({'above' if low > 0 else 'below'})" for e, (low, high) in ends.items() if low > 0 or high < 0]
        names = ", ".join(clear) if clear else "none"
        lines.append(
            f"The interval against {BASELINE} leaves out zero for {names} of {len(ends)} lines; by chance alone about "
            f"{0.05 * len(ends):.1f} would."
        )
    return lines


# CLEARER beside random architectures


def arm(records: Records, name: str) -> list[Record]:
    """The records that there are, by seed; none where there is one, of which no interval can be made."""
    some = [r for seed in PAIR_SEEDS if (r := records.get(Pair(name, seed).key))]
    return some if len(some) > 1 else []


def psnr(trained: Record) -> float:
    """Of a trained network on the test photographs, in dB."""
    return float(trained["retraining"]["test"]["psnr"])


def _pairs(records: Records) -> list[str]:
    lines = []
    for name, (title, _) in ARMS.items():
        some = arm(records, name)
        lines += [f"### {title}", "", *(_arm(some) if some else [f"Not recorded; `--only {name}` makes its rows.", ""])]
    return [*lines, "![PSNR by seed](clearer_pairs.svg)", ""] if any(arm(records, a) for a in ARMS) else lines


def _arm(some: Sequence[Record]) -> list[str]:
    differences = [psnr(r) - mean(map(psnr, r["random"])) for r in some]
    _, low, high = found = interval(differences)
    verdict = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
    lines = [
        _cells("seed", "pick", "weights", "PSNR, dB", "random: weights", "random: PSNR, dB", "difference"),
        _cells("--:", "---", "--:", "--:", "---", "---", "--:"),
    ]
    for record, difference in zip(some, differences, strict=True):
        lines.append(
            _cells(
                str(record["settings"]["seed"]),
                "".join(name[0].upper() for name in record["pick"]["text"].partition("=")[2].split(",")),
                f"{record['pick']['params']:,}",
                f"{psnr(record):.2f}",
                " ".join(f"{r['pick']['params']:,}" for r in record["random"]),
                " ".join(f"{psnr(r):.2f}" for r in record["random"]),
                f"{difference:+.2f}",
            )
        )
    words = f"Mean difference in dB, and its 95 % interval (Student's t, {len(some)} pairs): {_text(found, 2)}."
    return [*lines, "", words, f"The picks are {verdict} random architectures of their size.", ""]


# words and cells


def _cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def _each(texts: Iterable[str]) -> str:
    return "; ".join(sorted(set(texts)))


def _options(given: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}".replace(" ", "") for name, value in given.items())


def _mean(values: Iterable[float], digits: int) -> str:
    found = list(values)
    return f"{mean(found):,.{digits}f}" if found else ""


def _text(found: tuple[float, float, float], digits: int) -> str:
    middle, low, high = (f"{value:+.{digits}f}" for value in found)
    return f"{middle} ({low} to {high})"
