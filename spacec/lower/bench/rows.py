"""A record as rows, a row as cells. Imports no torch, so pages are made without it.

A ratio of times is the median over pairs of passes of one round; ``best`` is the plain form in the layout that is
faster here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

NOT = "not measured"
DEVICES = {"cpu": "CPU", "cuda": "GPU", "mps": "GPU"}
PLAIN = ("plain", "plain-last")
"""The layouts of the plain form, the default first."""


@dataclass(frozen=True)
class Row:
    """What was measured of a form; ``None`` is what was not.

    Times in seconds, memory in bytes. ``faster`` and ``faster_than_best`` are times of the plain form over its own, in
    the default and in the best layout; ``floors`` is its time over the machine's floor; ``share`` is its live memory
    over that of the plain form. ``resident`` is what the process took beyond what it had before the first pass.
    """

    name: str
    title: str
    seconds: float
    faster: float | None
    faster_than_best: float | None
    floors: float
    live: int | None
    share: float | None
    resident: int | None
    calls: int | None
    products: int | None
    compiling: float | None


def rows_of(record: Mapping[str, Any]) -> list[Row]:
    """Of the forms of a record, in its order."""
    forms = record["forms"]
    known = [name for name in PLAIN if name in forms]
    best = min(known, key=lambda name: median(forms[name]["seconds"])) if known else None
    rows = []
    for name, form in forms.items():
        seconds, memory, base = form["seconds"], form.get("memory") or {}, forms.get(PLAIN[0], {})
        calls = form["calls"]
        live, base_live = memory.get("live"), (base.get("memory") or {}).get("live")
        rows.append(
            Row(
                name,
                form["title"],
                median(seconds),
                _ratio(base.get("seconds"), seconds),
                _ratio(forms[best]["seconds"] if best else None, seconds),
                median(seconds) / record["floor"],
                live,
                live / base_live if live is not None and base_live else None,
                _over(memory),
                calls and calls["forward"]["all"] + calls["backward"]["all"],
                calls and calls["forward"]["products"] + calls["backward"]["products"],
                form["first"] - median(seconds) if form.get("compiled") else None,
            )
        )
    return rows


def _ratio(slow: Sequence[float] | None, fast: Sequence[float]) -> float | None:
    return None if slow is None else median(a / b for a, b in zip(slow, fast, strict=True))


def _over(memory: Mapping[str, int | None]) -> int | None:
    most, before = memory.get("resident"), memory.get("before")
    return None if most is None or before is None else most - before


HEAD = (
    "form", "time", "times as fast", "as best plain", "of floor", "live peak", "of plain", "resident", "calls",
    "products", "compiling",
)  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    """The texts of a row, for :data:`HEAD`."""
    return (
        row.title,
        duration(row.seconds),
        _times(row.faster),
        _times(row.faster_than_best),
        f"{row.floors:.1f}",
        size(row.live),
        _times(row.share),
        size(row.resident),
        _count(row.calls),
        _count(row.products),
        "-" if row.compiling is None else f"{max(0.0, row.compiling):.0f} s",
    )


def duration(seconds: float) -> str:
    """Three digits, in seconds or milliseconds."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def size(count: int | None) -> str:
    """Bytes in a unit of which there are less than a thousand."""
    if count is None:
        return NOT
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if abs(amount) < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"


def _times(value: float | None) -> str:
    return NOT if value is None else f"{value:.2f}"


def _count(value: int | None) -> str:
    return NOT if value is None else f"{value:,}"


def facts(record: Mapping[str, Any]) -> list[str]:
    """What was measured, on what, and the floor, in lines."""
    machine, rates, needed = record["machine"], record["rates"], record["work"]
    sizes = "".join(f", {name} = {value}" for name, value in record["sizes"].items())
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    return [
        f"{record['space']['name']}{_header(record)}: batch {record['batch']}{sizes}, float32; forward and backward of "
        f"the supernet, every candidate running, median of {len(next(iter(record['forms'].values()))['seconds'])}",
        f"{machine['processor']} ({machine['capability']}), {threads}, torch {machine['torch']}; measured rates: "
        f"{rates['operations'] / 1e9:.0f} GFLOP/s, {rates['bytes'] / 1e9:.0f} GB/s",
        f"floor {duration(record['floor'])}: {needed['operations'] / 1e9:.3g} GFLOP in "
        f"{duration(needed['operations'] / rates['operations'])}, {needed['bytes'] / 1e9:.3g} GB in "
        f"{duration(needed['bytes'] / rates['bytes'])}",
    ]


def _header(record: Mapping[str, Any]) -> str:
    stated = record["space"].get("header") or {}
    return f" ({', '.join(f'{name} = {value}' for name, value in stated.items())})" if stated else ""


def left_out(record: Mapping[str, Any]) -> list[str]:
    """What is said of forms and devices that were not measured."""
    generated = any(form["compiled"] for form in record["forms"].values())
    lines = [] if generated else [f"with compiled regions: {NOT} (--compile)"]
    return [*lines, f"on a {'GPU' if record['device'] == 'cpu' else 'CPU'}: {NOT}"]


def markdown(record: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Facts and table for a Markdown page."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---|" + "---:|" * (len(HEAD) - 1)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n\n".join([*facts(record), "\n".join(lines), *left_out(record)]) + "\n"
