"""Reports made from a run's record alone: the record is read, its grammar is compiled as data, and a page is written.

Nothing of a record runs code. Its grammar is compiled with what is installed and without looking for files on this
machine; a space that needs more (ops of the user's own, files it uses that the record lacks) is reported without a
drawing, and the page says why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.diagnostics.model import Diagnostic, Sink, SpacecError
from spacec.driver import Session
from spacec.job.recipe import read_job
from spacec.source import OWN, Kept, SourceFile
from spacec.syntax import ast
from spacec.syntax.parse import parse

if TYPE_CHECKING:
    from spacec.facade import Space
    from spacec.search.record import RunStore
    from spacec.search.report.gather import RunData

MOST_NODES = 20_000
"""Nodes of a network that is drawn, at most."""


def write_run_report(run_dir: Path, url: str = "") -> Path:
    """Make ``report.html`` and the charts of a run directory, at any time; see :func:`report_page`.

    ``url`` is that of its store, with a password, where it has one.
    """
    from spacec.search.report.write import write_report

    kept = _kept(run_dir)
    return write_report(run_dir, lambda data: drawn(data, kept), url)


def _kept(run_dir: Path) -> Kept:
    """The files that the space of a run directory uses; none where the run kept no recipe that can be read."""
    with suppress(SpacecError):
        job = read_job(run_dir)
        return job.grammar.kept() if job is not None else Kept()
    return Kept()


def report_page(store: RunStore, job: str = "") -> str:
    """The report of a record alone, as an HTML page.

    ``job``: which run directory's runs, in a database of several. Raises :class:`SpacecError`: E0870 where the record
    holds runs of several directories and none is named, or not that one.
    """
    from spacec.search.report.gather import gather_store
    from spacec.search.report.page import page

    data = gather_store(store)
    known = list(dict.fromkeys(str(run.get("job", "")) for run in data.runs))
    if (not job and len(known) > 1) or (job and job not in known):
        headline = f"the store holds runs of {len(known)} directories" + (f", none of them {job}" if job else "")
        raise SpacecError(Diagnostic("E0870", headline, notes=tuple(known[:20]), help="name one: URL#ID"))
    if job:
        data = gather_store(store, job=job)
    return page(drawn(data))


def drawn(data: RunData, kept: Kept | None = None) -> RunData:
    """``data`` with a drawing of the architecture that it is about, or with the reason why there is none.

    ``kept``: the files that its space uses.
    """
    ours = data.ours
    if ours is None or not ours.architecture:
        return data
    run = next(
        (r for r in reversed(data.runs) if any(a["text"] == ours.architecture for a in r["architectures"])), None
    )
    if run is None:
        return data
    try:
        return replace(data, drawing=_drawing(data, run, ours.architecture, kept))
    except SpacecError as error:
        return replace(data, undrawn=error.diagnostics[0].headline)


class Pictures:
    """Draws architectures of recorded runs as PNG files; a space is compiled once."""

    def __init__(self) -> None:
        self._spaces: dict[tuple[str, str], Space | None] = {}

    def __call__(self, run: Mapping[str, Any], text: str) -> bytes:
        """The picture of an architecture; empty where it cannot be drawn."""
        from spacec.search.report.draw import draw_architecture
        from spacec.search.report.raster import png_of

        key = str(run["grammar"]), repr(run["header"])
        try:
            if key not in self._spaces:
                self._spaces[key] = None
                self._spaces[key] = _drawable(run)
            space = self._spaces[key]
            return b"" if space is None else png_of(draw_architecture(space, space.architecture(text)))
        except SpacecError:
            return b""


def _drawable(run: Mapping[str, Any], kept: Kept | None = None) -> Space:
    """Raises :class:`SpacecError` as :func:`space_of_record` does, and E0871 for a network that is too large."""
    space = space_of_record(run, kept)
    if len(space.flat.nodes) > MOST_NODES:
        headline = f"its space has {len(space.flat.nodes):,} nodes, and no more than {MOST_NODES:,} are drawn"
        raise SpacecError(Diagnostic("E0871", headline))
    return space


def _drawing(data: RunData, run: Mapping[str, Any], text: str, kept: Kept | None) -> str:
    from spacec.search.report.draw import draw_architecture

    space = _drawable(run, kept)
    rows = data.search["probabilities"] if data.search else ()
    last = max((row["epoch"] for row in rows), default=-1)
    probabilities = {row["slot"]: row["values"] for row in rows if row["epoch"] == last}
    return draw_architecture(space, space.architecture(text), probabilities, space.name)


def space_of_record(run: Mapping[str, Any], kept: Kept | None = None) -> Space:
    """The space of a recorded run, from its text; constraints are left out, which no drawing needs.

    Raises :class:`SpacecError`: what the compiler finds, E0871 for a text that uses files.
    """
    from spacec.hooks import installed

    kept = kept or Kept()
    with tempfile.TemporaryDirectory() as empty:
        source = SourceFile(str(Path(empty) / "space.space"), str(run["grammar"]))
        sink = Sink()
        file = parse(source, sink)
        sink.check()
        libraries = set(installed().names("spacec_library"))
        for item in file.items:
            if (
                isinstance(item, ast.Use)
                and (OWN, item.path) not in kept.uses
                and not _in_library(item.path, libraries)
            ):
                raise SpacecError(Diagnostic("E0871", f"its space uses the file '{item.path}', which the record lacks"))
        session = replace(Session.default(), folders=(), constrained=False, kept=kept)
        return session.compile(source, run["header"])


def _in_library(path: str, libraries: set[str]) -> bool:
    name, _, rest = path.partition("/")
    return name in libraries and bool(rest) and ".." not in path.split("/")
