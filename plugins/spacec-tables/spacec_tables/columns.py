"""What the columns of a CSV file are: measures, questions, the cost in seconds, or neither.

A column ``dataset``, ``epochs`` or ``seed`` is a question: rows are told apart by it. ``seconds`` is the cost.
A column of numbers is a measure; its header may end in ``:min`` or ``:max`` and may hold a unit in brackets, as in
``latency [ms]:min``; without, higher is better. An empty cell is a value that the table does not have. Columns of an
index (``idx``, ``index``) or of anything but numbers are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Direction, Measure, Measured, unreadable
from spacec.space.decisions import DecisionTable
from spacec_tables.sources import number, rows_of

QUESTIONS = ("dataset", "epochs", "seed")
SECONDS = "seconds"
REPEAT, MEAN = "repeat", "mean"
LEFT_OUT = ("idx", "index", "")

_HEADER = re.compile(r"(?P<name>[^\[\]:]+?)\s*(\[(?P<unit>[^\]]*)\])?\s*(:(?P<direction>min|max))?")

Key = Callable[[Mapping[str, str]], Hashable]
"""The architecture of a row: any value that the architecture asked for is compared with."""


@dataclass(frozen=True)
class Column:
    """A measure and the header that it stands under."""

    header: str
    measure: Measure


def measure_of(header: str, lower: Sequence[str] = ()) -> Measure:
    """``latency [ms]:min`` as a measure; ``lower`` are names that are better lower without saying so."""
    match = _HEADER.fullmatch(header.strip())
    if match is None:
        return Measure(header)
    name = match["name"]
    direction: Direction = "min" if match["direction"] == "min" or (not match["direction"] and name in lower) else "max"
    return Measure(name, direction, match["unit"] or "")


def csv_benchmark(
    name: str,
    table: DecisionTable,
    path: Path,
    columns: Sequence[str],
    key_of_row: Key,
    key_of: Callable[[Architecture], Hashable],
    seconds: str = SECONDS,
    lower: Sequence[str] = (),
) -> Benchmark:
    """A benchmark from a CSV file. ``columns`` spell the architecture, and ``key_of_row`` reads them.

    Rows with one architecture and equal questions are repeated measurements: ``repeat`` asks for one of them, by
    default for their mean. A file without any measure, or with a row that cannot be read, is refused (E0734).
    """
    rows = list(_read(name, path, columns))
    header = tuple(rows[0][1]) if rows else ()
    asked = tuple(q for q in QUESTIONS if q in header)
    which = {q: tuple(dict.fromkeys(row[q] for _, row in rows)) for q in asked}
    measures = _measures(name, path, rows, (*columns, *asked, seconds, *LEFT_OUT), lower)
    answers: dict[Hashable, list[Measured]] = {}
    for line, row in rows:
        try:
            key = (key_of_row(row), *(row[q] for q in asked))
        except ValueError as error:
            raise unreadable(name, path, f"line {line}: {error}") from None
        values = {c.measure.name: number(name, path, line, row[c.header]) for c in measures if row[c.header].strip()}
        cost = number(name, path, line, row[seconds]) if row.get(seconds, "").strip() else None
        answers.setdefault(key, []).append(Measured(values, cost))
    most = max(map(len, answers.values()))
    if most > 1:
        which[REPEAT] = (MEAN, *map(str, range(most)))

    def lookup(arch: Architecture, chosen: Mapping[str, str]) -> Measured | None:
        found = answers.get((key_of(arch), *(chosen[q] for q in asked)), [])
        repeat = chosen.get(REPEAT, MEAN)
        return mean(found) if repeat == MEAN else next(iter(found[int(repeat) :]), None)

    return Benchmark(name, table, tuple(c.measure for c in measures), lookup, which, str(path))


def mean(rows: Sequence[Measured]) -> Measured | None:
    """Means of what all of the rows have; ``None`` of no rows."""
    if len(rows) < 2:
        return rows[0] if rows else None
    names = [n for n in rows[0].metrics if all(n in row.metrics for row in rows)]
    costs = [row.seconds for row in rows if row.seconds is not None]
    values = {n: fmean(row.metrics[n] for row in rows) for n in names}
    return Measured(values, fmean(costs) if len(costs) == len(rows) else None)


def _read(name: str, path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for line, row in rows_of(name, path):
        missing = [c for c in columns if c not in row]
        if missing:
            raise unreadable(name, path, f"it has no column '{missing[0]}', only {', '.join(row)}")
        yield line, row


def _measures(
    name: str, path: Path, rows: Sequence[tuple[int, Mapping[str, str]]], others: Sequence[str], lower: Sequence[str]
) -> list[Column]:
    headers = [h for h in (rows[0][1] if rows else ()) if h.strip() not in others]
    found = [Column(h, measure_of(h, lower)) for h in headers if all(_is_number(row[h]) for _, row in rows)]
    if not found:
        raise unreadable(name, path, "it has no column of numbers")
    return found


def _is_number(cell: str) -> bool:
    try:
        return not cell.strip() or float(cell) is not None
    except ValueError:
        return False
