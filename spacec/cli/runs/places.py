"""What commands on runs take: directories, records, or the URL of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacec.cli.output import show
from spacec.diagnostics.model import SpacecError

if TYPE_CHECKING:
    from spacec.search.record import RunStore


@contextmanager
def opened(place: str) -> Iterator[tuple[RunStore, str]]:
    """The store at ``place``, to be read, and the job there that is meant (empty: the only one).

    Raises :class:`SpacecError`: E0840 where there is no run, and what opening a store raises.
    """
    from spacec.search.catalogue import open_record
    from spacec.search.record import RunStore
    from spacec.search.store.url import is_url

    path = Path(place)
    if is_url(place):
        store = RunStore(place, readonly=True)
    else:
        store = RunStore(path, readonly=True) if path.is_file() else open_record(path)
    with store:
        yield store, ""


def every(place: str) -> Iterator[tuple[str, RunStore, Sequence[Mapping[str, Any]]]]:
    """The runs at a place: in and below a folder, or in a record. Each with its name, its store and its parts.

    A run that cannot be read is warned of and left out. Raises :class:`SpacecError` (E0840) for a place that is not
    there.
    """
    from spacec.search.catalogue import find_runs, parts_in

    path = Path(place)
    for label in [place] if path.is_file() else map(str, find_runs(path)):
        try:
            with opened(label) as (store, job):
                yield label, store, parts_in(store, label, job)
        except SpacecError as error:
            warn(error)


def warn(error: SpacecError) -> None:
    """Show what one of many runs lacks."""
    show([replace(d, severity="warning") for d in error.diagnostics])
