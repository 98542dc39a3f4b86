"""Where the record of a run directory is: in it (``run.sqlite``), or in a database that ``store.json`` names.

``store.json`` holds the URL without its password, and the *job*, the id under which the directory's runs stand there.
The password is given again with ``--store``, or kept where PostgreSQL's own programs look for it: ``PGPASSWORD``, or a
``.pgpass`` file.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from spacec.diagnostics.model import Diagnostic
from spacec.search import files
from spacec.search.store.backend import Backend
from spacec.search.store.sqlite import Sqlite
from spacec.search.store.url import check, is_url, shown
from spacec.search.tasks.extras import require


@dataclass(frozen=True)
class Place:
    """What ``store.json`` says."""

    url: str
    job: str


def assign(run_dir: Path, url: str) -> Place:
    """Let the record of a new run directory be kept in the database at ``url``."""
    check(url)
    place = Place(shown(url), str(uuid.uuid4()))
    files.write_json(run_dir / files.STORE_PLACE, asdict(place))
    return place


def place_of(run_dir: Path) -> Place | None:
    """What ``store.json`` says; ``None`` where the record is in the directory. Raises E0813 for another text."""
    path = run_dir / files.STORE_PLACE
    if not path.exists():
        return None
    said = files.read_json(path)
    if not (isinstance(said, dict) and set(said) == {"url", "job"} and all(isinstance(v, str) for v in said.values())):
        raise files.StorageError(Diagnostic("E0813", f"'{path}' is not what names a store"))
    check(said["url"])
    return Place(**said)


def holds_run(run_dir: Path) -> bool:
    """Whether a record belongs to ``run_dir``."""
    return (run_dir / files.STORE).is_file() or (run_dir / files.STORE_PLACE).is_file()


def open_at(place: Path | str | None, job: str = "", readonly: bool = False) -> Backend:
    """The database in a file, at a URL, or in memory."""
    if not isinstance(place, str):
        return Sqlite(place, readonly)
    check(place)
    require("sqlalchemy", "SQLAlchemy", "a store named by a URL", "postgres")
    require("psycopg", "psycopg", "a store named by a URL", "postgres")
    from spacec.search.store.alchemy import Alchemy  # an extra

    return Alchemy(place, job, readonly)


def open_of(run_dir: Path, url: str = "", readonly: bool = False) -> tuple[Backend, str]:
    """The database of a run directory, and its job there. ``url`` is that of its ``store.json`` with a password.

    Raises E0812 where ``url`` is another kind of store than that of the run.
    """
    place = place_of(run_dir)
    if place is not None:
        return open_at(url or place.url, place.job, readonly), place.job
    if url:
        headline = f"'{run_dir}' was started with another store"
        notes = (f"{files.STORE} then, {shown(url) if is_url(url) else 'a URL'} now",)
        raise files.StorageError(Diagnostic("E0812", headline, notes=notes))
    return Sqlite(run_dir / files.STORE, readonly), ""
