"""What a command on one run takes: its directory, its record, or the URL of a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
