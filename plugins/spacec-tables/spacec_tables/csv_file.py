"""A CSV file of anybody's, for any space: one row for each architecture that was measured.

Columns: ``architecture`` holds the one-line text that ``spacec sample`` prints; or there is a column for each decision,
named by its id (as ``spacec info`` lists them), whose cells are candidates, or elements joined by ``+`` (``-`` for none
of them), and nothing where the decision is inactive. The other columns: see :mod:`spacec_tables.columns`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

from spacec.diagnostics.model import SpacecError
from spacec.space.benchmark import Benchmark, data_file, unreadable
from spacec.space.codec import from_text, named_value
from spacec.space.decisions import DecisionTable
from spacec.space.validate import findings
from spacec.space.values import Value
from spacec_tables.columns import csv_benchmark
from spacec_tables.sources import rows_of

NAME = "csv"
ARCHITECTURE = "architecture"
GET = "a CSV file with a column `architecture`, or one for each decision, and columns of numbers"


def open_csv(table: DecisionTable, path: Path | None) -> Benchmark:
    """The benchmark in a user's CSV file."""
    found = data_file(NAME, path, (), GET)
    header = next((tuple(row) for _, row in rows_of(NAME, found)), None)
    if header is None:
        raise unreadable(NAME, found, "it has no rows")
    ids = tuple(d.id for d in table.decisions)
    columns = (ARCHITECTURE,) if ARCHITECTURE in header else ids

    def key_of_row(row: Mapping[str, str]) -> Hashable:
        try:
            return _by_text(table, row) if ARCHITECTURE in header else _by_decisions(table, row)
        except SpacecError as error:
            raise ValueError(error.diagnostics[0].headline) from error

    return csv_benchmark(NAME, table, found, columns, key_of_row, lambda arch: arch.choices)


def _by_text(table: DecisionTable, row: Mapping[str, str]) -> Hashable:
    return from_text(table, row[ARCHITECTURE]).choices


def _by_decisions(table: DecisionTable, row: Mapping[str, str]) -> Hashable:
    chosen: dict[str, Value] = {}
    for decision in table.decisions:
        cell = row[decision.id].strip()
        value = named_value(table, decision, cell) if cell else None
        if cell and value is None:
            raise ValueError(f"{decision.id} cannot be '{cell}'")
        if value is not None:
            chosen[decision.id] = value
    wrong = findings(table, chosen, where=False)
    if wrong:
        raise SpacecError(wrong)
    return tuple(chosen.items())
