"""The URL of a store, and the form of it that may be shown: without a password.

No message, record or file ever holds a password: all of them are given :func:`shown`'s form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from spacec.diagnostics.model import Diagnostic, SpacecError

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SECRET = re.compile(r"[^=]*(password|secret)", re.I)


def is_url(text: str) -> bool:
    return _URL.match(text) is not None


def check(url: str) -> None:
    """Raise E0832 for what is not the URL of a store."""
    scheme = url.partition("://")[0]
    if not is_url(url) or scheme not in SCHEMES:
        what = f"'{scheme}'" if is_url(url) else "a text without a scheme"
        note = "a store is a PostgreSQL database: postgresql://USER@HOST:PORT/DATABASE"
        raise SpacecError(Diagnostic("E0832", f"{what} names no store", notes=(note,)))
    try:
        parts = urlsplit(url)
        usable = bool(parts.path.strip("/")) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        headline = "the URL of the store lacks a database, or has a part that is none"
        note = "postgresql://USER@HOST:PORT/DATABASE; special characters of a password are written as %HH"
        raise SpacecError(Diagnostic("E0832", headline, notes=(note,)))


def shown(url: str) -> str:
    """``url`` without its password, wherever it stands in it, and whatever else is wrong with it."""
    scheme, _, rest = url.partition("://")
    who, at, where = rest.rpartition("@")
    place, question, query = where.partition("?")
    if not at:  # a part after a colon that is no port can only be a password whose host is missing
        host, _, path = place.partition("/")
        name, colon, port = host.rpartition(":")
        place = f"{name}/{path}" if colon and not port.isdigit() else place
    kept = "&".join(part for part in query.split("&") if not _SECRET.match(part))
    return f"{scheme}://{who.partition(':')[0]}{at}{place}{question if kept else ''}{kept}"


def without_passwords(arguments: Iterable[str]) -> list[str]:
    """Words of a command line, with :func:`shown` in the place of every URL."""
    out = []
    for word in arguments:
        found = _URL.search(word)
        out.append(word if found is None else word[: found.start()] + shown(word[found.start() :]))
    return out
