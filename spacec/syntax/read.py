"""Files to source texts."""

from __future__ import annotations

from pathlib import Path

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.source import SourceFile, Span

MAX_BYTES = 4_000_000


def source_from_path(path: str | Path) -> SourceFile:
    """The text of a file, which must be UTF-8 and at most 4 MB.

    Raises :class:`SpacecError` if there is no such file, if it is no regular file, or if it cannot be read.
    """
    name = str(path)
    where = Path(path)
    try:
        if where.is_dir():
            raise SpacecError(Diagnostic("E0802", f"'{name}' is a directory"))
        if where.exists() and not where.is_file():
            raise SpacecError(Diagnostic("E0802", f"'{name}' is no regular file"))
        with where.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpacecError(Diagnostic("E0801", f"there is no file '{name}'")) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SpacecError(Diagnostic("E0803", f"cannot read '{name}': {why}")) from error
    if len(data) > MAX_BYTES:
        raise SpacecError(Diagnostic("E0805", f"'{name}' has more than {MAX_BYTES // 1_000_000} MB"))
    return decoded(name, data)


def decoded(name: str, data: bytes) -> SourceFile:
    """The text of these bytes; raises :class:`SpacecError` at the first byte that is not UTF-8."""
    try:
        return SourceFile(name, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        source = SourceFile(name, data.decode("utf-8", errors="replace"))
        start = len(data[: error.start].decode("utf-8"))
        headline = f"byte 0x{data[error.start]:02X} at offset {error.start} is not UTF-8"
        label = "expected text in UTF-8"
        raise SpacecError(Diagnostic("E0804", headline, Span(source, start, start + 1), label)) from error
