"""Files that a command line names: single ones, folders of them, and standard input."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.source import SourceFile
from spacec.syntax.read import MAX_BYTES, decoded, source_from_path

STDIN = "-"
STDIN_NAME = "<stdin>"
SUFFIX = ".space"


def space_files(names: Sequence[str]) -> tuple[str, ...]:
    """These files, each once, in order; a folder stands for the space files in it and below, hidden ones left out.

    Raises :class:`SpacecError` (E0807) for a folder without any.
    """
    found: dict[str, None] = {}
    for name in names:
        if name == STDIN or not Path(name).is_dir():
            found[name] = None
            continue
        below = [p for p in sorted(Path(name).rglob(f"*{SUFFIX}")) if p.is_file() and not _hidden(p, Path(name))]
        if not below:
            raise SpacecError(Diagnostic("E0807", f"there is no {SUFFIX} file in '{name}'"))
        found.update(dict.fromkeys(map(str, below)))
    return tuple(found)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def read_source(name: str) -> SourceFile:
    """The text of a file, or of standard input for ``-``; raises :class:`SpacecError` as :func:`source_from_path`."""
    if name != STDIN:
        return source_from_path(name)
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise SpacecError(Diagnostic("E0803", "standard input is closed"))
    data: bytes = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise SpacecError(Diagnostic("E0805", f"'{STDIN_NAME}' has more than {MAX_BYTES // 1_000_000} MB"))
    return decoded(STDIN_NAME, data)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a file, keeping its permissions; whatever stops this, the old or the new content is there.

    A link stays a link: the file it leads to is replaced.
    """
    target = path.resolve()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, target.stat().st_mode & 0o7777 if target.exists() else 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def lines_of(name: str) -> Iterator[str]:
    """What an argument names: itself, or for ``-`` the lines of standard input that are not empty."""
    lines = (line.strip() for line in sys.stdin) if name == STDIN else (name,)
    return (line for line in lines if line)
