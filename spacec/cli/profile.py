"""``spacec profile``: a latency table of a space, measured on this machine."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spacec.cli.files import write_whole
from spacec.cli.output import say, tell
from spacec.cli.progress import working
from spacec.cli.spaces import file_argument, input_sizes, named_architecture, open_space, space_options
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.syntax.read import source_from_path

if TYPE_CHECKING:
    from spacec.lower.profile import Timing
    from spacec.space.latency import Application

SAVED = 2.0
"""Seconds after which what is measured is written."""

Key = tuple[str, str, str]
"""Op, input and attributes, as a row has them."""


@click.command()
@file_argument
@space_options
@click.option("--arch", metavar="A", help="Only the ops of one architecture: its text, a file, or random:SEED.")
@click.option("--size", "sizes", multiple=True, metavar="NAME=N", help="A free input size (H=64). Repeatable.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the CPU; torch's default without it.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Samples at a time.")
@click.option("--repeats", type=click.IntRange(min=1), default=20, show_default=True, help="Their median counts.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    default="latency.csv",
    show_default=True,
    metavar="FILE.csv",
    help="Rows that are there are kept, and not measured again.",
)
def profile(
    file: str,
    params: tuple[str, ...],
    preset: str | None,
    ops: tuple[str, ...],
    arch: str | None,
    sizes: tuple[str, ...],
    device: str,
    threads: int | None,
    batch: int,
    repeats: int,
    output: str,
) -> None:
    """Measure every op of a space on this machine, at every size that decisions can give it.

    The table is what `where latency("latency.csv") <= 30ms` reads. An op runs alone, in evaluation, and its row is the
    median of several repeats after a warm-up. What is measured is kept when the command is stopped; the next
    one goes on from there.

    \b
    Example:
      spacec profile grammars/nas_bench_201.space -o laptop.csv
      spacec profile mine.space --arch random:1 --device cuda --batch 64 -o gpu.csv
    """
    from spacec.ir.flatten import flatten
    from spacec.space.latency import distinct_applications

    space = open_space(file, params, preset, ops, constrained=False)
    chosen = None if arch is None else named_architecture(space, arch)
    flat = flatten(space.graph, full=True)
    wanted, left = distinct_applications(flat, space.table, input_sizes(space, sizes), chosen)
    for span in left:
        say(f"left out: `{span.text}` has sizes that follow what is picked; --arch measures them for one architecture")

    from spacec.lower.profile import VERSION, Timing, device_name, milliseconds, use_threads
    from spacec.search.device import resolve_device

    if threads is not None:
        use_threads(threads)
    timing = Timing(resolve_device(device), batch, repeats)
    table = _Table.opened(Path(output), {"device": device_name(timing.device), "batch": str(batch)})
    table.notes = _notes(space.name, timing, VERSION)
    missing = [a for a in wanted if _key(a) not in table.rows]
    say(f"{len(wanted)} ops on {table.about['device']}, {len(wanted) - len(missing)} of them in {output} already")
    with table.kept(), working("timing", len(missing)) as tick:
        for application in missing:
            ms = milliseconds(flat, application.node, application.values, timing)
            table.add(_key(application), ms)
            tick(facts=f"{application.op} {application.input}  {ms:.4g} ms")
    tell(f"{output}: {len(table.rows)} rows")


def _key(application: Application) -> Key:
    return application.op, application.input, application.attributes


def _notes(name: str, timing: Timing, version: str) -> tuple[str, ...]:
    today = datetime.now(UTC).date().isoformat()
    return (f"spacec profile of {name}, torch {version}, {today}", f"milliseconds, median of {timing.repeats}")


@dataclass
class _Table:
    """A latency table as it grows: what it is about, its rows as texts, and when it was last written."""

    path: Path
    about: dict[str, str]
    rows: dict[Key, str]
    notes: tuple[str, ...] = ()
    saved: float = field(default_factory=time.monotonic)

    @staticmethod
    def opened(path: Path, about: dict[str, str]) -> _Table:
        """The table of a file, empty where there is none. Raises E0531 for no table, E0535 for another device's."""
        from spacec.space.latency import read_latencies

        if not path.exists():
            return _Table(path, about, {})
        source = source_from_path(path)
        rows = read_latencies(source).rows
        stated = (line.lstrip("# ").partition(": ") for line in source.text.splitlines() if line.startswith("#"))
        for name, _, value in stated:
            if name in about and about[name] != value:
                headline = f"{path} was measured with {name} {value}, and this would be {about[name]}"
                raise SpacecError(Diagnostic("E0535", headline, help="give another file with -o"))
        written = {}
        for row in rows:
            told = " ".join(f"{a}={b}" for a, b in row.attributes)
            written[row.op, row.input, told] = f"{float(row.ms):.6g}"
        return _Table(path, about, written)

    def add(self, key: Key, ms: float) -> None:
        self.rows[key] = f"{ms:.6g}"
        if time.monotonic() - self.saved > SAVED:
            self.write()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever stops the body, what was measured is written."""
        try:
            yield
        finally:
            self.write()

    def write(self) -> None:
        out = io.StringIO()
        for note in (*self.notes, *(f"{name}: {value}" for name, value in self.about.items())):
            out.write(f"# {note}\n")
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(("op", "input", "attributes", "ms"))
        rows.writerows((*key, ms) for key, ms in self.rows.items())
        write_whole(self.path, out.getvalue())
        self.saved = time.monotonic()
