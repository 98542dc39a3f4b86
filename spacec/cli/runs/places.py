"""What commands on runs take: directories, records, or the URL of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.cli.output import show
from spacec.diagnostics.model import Diagnostic, SpacecError

if TYPE_CHECKING:
    from spacec.search.record import RunStore

SHORT = 8
"""Letters of an id that are shown."""
MOST = 20
"""Ids that a message lists."""


@contextmanager
def opened(place: str) -> Iterator[tuple[RunStore, str]]:
    """The store at ``place``, to be read, and the job there that is meant (empty: the only one).

    A run of a database is named by its URL and id, or by the first letters of the id: ``URL#ID``. Raises
    :class:`SpacecError`: E0840 where there is no run, and what opening a store raises.
    """
    from spacec.search.catalogue import open_record
    from spacec.search.record import RunStore
    from spacec.search.store.url import is_url

    if is_url(place):
        url, _, job = place.partition("#")
        with RunStore(url, readonly=True) as store:
            yield store, _job(store, url, job)
        return
    path = Path(place)
    with RunStore(path, readonly=True) if path.is_file() else open_record(path) as store:
        yield store, ""


def parts_at(store: RunStore, place: str, job: str) -> list[dict[str, Any]]:
    """The parts of the one run that ``place`` names.

    Raises :class:`SpacecError`: E0840 for a database of several, with their ids, and E0841 where nothing began.
    """
    from spacec.search.catalogue import parts_in

    parts = parts_in(store, place_text(place), job)
    jobs = list(dict.fromkeys(part.get("job", "") for part in parts))
    if len(jobs) > 1:
        headline = f"'{place_text(place)}' holds {len(jobs)} runs"
        raise SpacecError(Diagnostic("E0840", headline, notes=tuple(jobs[:MOST]), help="name one: URL#ID"))
    return parts


def every(place: str) -> Iterator[tuple[str, RunStore, Sequence[Mapping[str, Any]]]]:
    """The runs at a place: in and below a folder, or in a record. Each with its name, its store and its parts.

    A run that cannot be read is warned of and left out. Raises :class:`SpacecError` (E0840) for a place that is not
    there.
    """
    from spacec.search.catalogue import find_runs, parts_in
    from spacec.search.store.url import is_url

    if is_url(place):
        with opened(place) as (store, job):
            runs = store.runs()
            for one in dict.fromkeys(part["job"] for part in runs if job in ("", part["job"])):
                label = f"{place_text(place.partition('#')[0])}#{one[:SHORT]}"
                yield label, store, [part for part in runs if part["job"] == one]
        return
    path = Path(place)
    for label in [place] if path.is_file() else map(str, find_runs(path)):
        try:
            with opened(label) as (store, _):
                yield label, store, parts_in(store, label)
        except SpacecError as error:
            warn(error)


def place_text(place: str) -> str:
    """``place`` as it may be shown: without a password."""
    from spacec.search.store.url import is_url, shown

    return shown(place) if is_url(place) else place


def _job(store: RunStore, url: str, job: str) -> str:
    """The whole id that begins with ``job``."""
    if not job:
        return ""
    found = [one for one in dict.fromkeys(part["job"] for part in store.runs()) if one.startswith(job)]
    if len(found) != 1:
        headline = f"the store has {'no run' if not found else f'{len(found)} runs'} '{job}'"
        raise SpacecError(Diagnostic("E0840", headline, help=f"spacec runs list {place_text(url)}"))
    return str(found[0])


def warn(error: SpacecError) -> None:
    """Show what one of many runs lacks."""
    show([replace(d, severity="warning") for d in error.diagnostics])
