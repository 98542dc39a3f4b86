"""Doing something again whenever space files change.

Files are polled, so that saving by rename, deleting and making anew all work, on any file system. A file that cannot be
read at the moment is a file like any other: what is done again says so.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from spacec.cli.files import space_files
from spacec.cli.output import say
from spacec.diagnostics.model import Sink, SpacecError
from spacec.syntax import ast
from spacec.syntax.parse import parse
from spacec.syntax.read import source_from_path

PERIOD = 0.2
"""Seconds between two looks; a change counts once two looks agree."""

CLEAR = "\x1b[2J\x1b[3J\x1b[H"

Seen = dict[Path, tuple[int, int, int] | None]


def watch(names: tuple[str, ...], libraries: tuple[Path, ...], action: Callable[[], object]) -> None:
    """Call ``action`` now and after every change of these files, folders, or what they use, until interrupted.

    What they use is looked up beside them and in ``libraries``.
    """
    while True:
        seen = _look(_watched(names, libraries))
        if sys.stdout is not None and sys.stdout.isatty():
            sys.stdout.write(CLEAR)
        action()
        sys.stdout.flush()
        say(f"watching {len(seen)} file{'s' * (len(seen) != 1)}; Ctrl-C ends")
        _wait(names, seen)


def _wait(names: tuple[str, ...], seen: Seen) -> None:
    """Return once something differs from what was seen and has settled."""
    before = seen
    while True:
        time.sleep(PERIOD)
        now = _look({*seen, *_named(names)})
        if now != seen and now == before:
            return
        before = now


def _look(paths: Iterable[Path]) -> Seen:
    found: Seen = {}
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            found[path] = None
        else:
            found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def _named(names: tuple[str, ...]) -> list[Path]:
    try:
        return [Path(name) for name in space_files(names)]
    except SpacecError:  # a folder without files yet
        return []


def _watched(names: tuple[str, ...], libraries: tuple[Path, ...]) -> set[Path]:
    """The files, and every place where a file that they use is looked up, whether or not there is one."""
    found: set[Path] = set()
    pending = _named(names)
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found.add(path)
        try:
            tree = parse(source_from_path(path), Sink())
        except SpacecError:
            continue
        used = [item.path for item in tree.items if isinstance(item, ast.Use)]
        pending += [folder / name for name in used for folder in (path.parent, *libraries)]
    return found
