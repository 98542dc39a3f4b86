"""``spacec runs export``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spacec.cli.files import write_whole
from spacec.cli.output import tell
from spacec.cli.runs.places import every

if TYPE_CHECKING:
    from spacec.search.record import RunStore

TABLES = ("trials", "metrics", "architectures", "results", "probabilities", "readings", "events", "runs")
FORMATS = ("csv", "parquet", "json")
SPREAD = ("metrics", "costs")
"""Tables inside a row that become columns of their own, such as ``metrics.accuracy``."""
LEFT_OUT = ("grammar", "traceback")
"""Long texts that stay in the record."""

Row = dict[str, Any]


@click.command()
@click.argument("places", metavar="PLACE...", nargs=-1, required=True)
@click.option("--what", type=click.Choice(TABLES), default="trials", show_default=True, help="Which rows.")
@click.option("-o", "--output", metavar="FILE", help="A .csv, .parquet or .json file.  [default: CSV, printed]")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="[default: what FILE ends in]")
def export(places: tuple[str, ...], what: str, output: str | None, kind: str | None) -> None:
    """Write rows of runs as one table: a line for each trial, metric, architecture, result and so on.

    Each line begins with its run (the folder), part (search, run 3), space, strategy, task and seed. Metrics and costs
    of a trial are columns: metrics.accuracy, costs.params. Parquet needs pyarrow: spacec[parquet]. FILE is written
    whole or not at all.

    \b
    Example:
      spacec runs export runs -o trials.parquet
      spacec runs export runs/darts --what metrics > metrics.csv
    """
    kind = kind or _kind(output)
    if kind == "parquet" and output is None:
        raise click.UsageError("Parquet is written to a file: -o FILE.")
    rows = [row for place in places for row in _rows(place, what)]
    data = WRITERS[kind](rows)
    if output is None:
        click.echo(data, nl=False)
        return
    write_whole(Path(output), data)
    tell(f"{len(rows):,} rows in {output}")


def _kind(output: str | None) -> str:
    suffix = "csv" if output is None else Path(output).suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise click.UsageError(f"-o {output}: its name ends in none of .csv, .parquet and .json; say --format.")
    return suffix


def _rows(place: str, what: str) -> Iterator[Row]:
    for label, store, parts in every(place):
        for part in parts:
            lead = {
                "run": label,
                "part": part["name"] or part["kind"],
                "space": part["space"],
                "strategy": part["strategy"].get("name", ""),
                "task": part["task"].get("name", ""),
                "seed": part["seed"],
            }
            for row in _of(store, part, what):
                yield {**lead, **{k: v for k, v in row.items() if k not in LEFT_OUT}}


def _of(store: RunStore, part: Mapping[str, Any], what: str) -> Sequence[Mapping[str, Any]]:
    if what == "runs":
        return [part]
    found: Sequence[Mapping[str, Any]] = getattr(store, what)(part["id"])
    return found


def _flat(rows: Sequence[Row]) -> tuple[list[str], list[Row]]:
    """Rows of numbers and texts, and the names of all columns; what has structure is JSON."""
    flat: list[Row] = []
    for row in rows:
        spread = {f"{n}.{k}": v for n in SPREAD if isinstance(row.get(n), dict) for k, v in row[n].items()}
        plain = {k: v for k, v in row.items() if not (k in SPREAD and isinstance(v, dict))}
        flat.append({**{k: _plain(v) for k, v in plain.items()}, **spread})
    return list(dict.fromkeys(name for row in flat for name in row)), flat


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | tuple) else value


def _csv(rows: Sequence[Row]) -> str:
    names, flat = _flat(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue() if names else ""


def _json(rows: Sequence[Row]) -> str:
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _parquet(rows: Sequence[Row]) -> bytes:
    from spacec.search.tasks.extras import require

    arrow = require("pyarrow", "pyarrow", "writing Parquet", "parquet")
    parquet = require("pyarrow.parquet", "pyarrow", "writing Parquet", "parquet")
    names, flat = _flat(rows)
    columns = {name: [row.get(name) for row in flat] for name in names}
    whole = io.BytesIO()
    parquet.write_table(arrow.table(columns), whole)
    return whole.getvalue()


WRITERS: dict[str, Callable[[Sequence[Row]], str | bytes]] = {"csv": _csv, "json": _json, "parquet": _parquet}
