"""Files of a run directory: written whole or not at all, and every refusal of the disk is a diagnostic.

A file is written beside its final name, flushed to the disk and renamed, so a reader (or a run that resumes)
never meets half a file, whatever stopped the writer.
"""

from __future__ import annotations

import errno
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from spacec.diagnostics.model import Diagnostic, SpacecError

ARCHITECTURE_JSON = "architecture.json"
ARCHITECTURE_TEXT = "architecture.txt"
CHECK = "check.pt"
CHECKPOINT = "checkpoint.pt"
CONFIG = "config.json"
FRONT = "front.json"
JOB = "job.json"
LOCK = "run.lock"
REPORT = "report.html"
SCHEDULES = "schedules.json"
SPACE = "space.space"
STORE = "run.sqlite"
STORE_PLACE = "store.json"
TRAINING = "training.pt"
TRIALS = "trials.pt"
TRIAL_STATES = "trials"
WEIGHTS = "weights.pt"

PART = ".part"
"""How the name of a file ends that is not whole yet."""

MAX_JSON = 64_000_000
"""Bytes of a JSON file that is read."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


class StorageError(SpacecError):
    """E0810: the disk refused a write, or E0812 to E0815: a run directory that cannot be used."""


@contextmanager
def storage_errors(path: Path | str, action: str = "write") -> Iterator[None]:
    """Turn an :class:`OSError` of the body into E0810 that says what could not be done, where and why."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            why, help = "the disk is full", "free some space"
        elif error.errno in _DENIED:
            why, help = "permission denied", ""
        else:
            why, help = error.strerror or str(error), ""
        raise StorageError(Diagnostic("E0810", f"cannot {action} '{path}': {why}", help=help)) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step."""
    with storage_errors(path):
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=False, ensure_ascii=False) + "\n")


def write_tensors(path: Path, value: Any) -> None:
    """``torch.save`` in one step; ``value`` holds tensors, numbers, texts, lists, tuples and dicts only."""
    import torch  # heavy, and every other file is written without it

    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_bytes(path, buffer.getvalue())


def read_tensors(path: Path) -> Any:
    """What :func:`write_tensors` wrote, on the CPU; nothing in the file can run code (``weights_only``).

    Raises E0813 for a file that is not one of ours, E0810 if it cannot be read.
    """
    import torch  # as above

    data = read_bytes(path)
    try:
        check_unpacked(io.BytesIO(data))
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # strange bytes may fail anywhere in torch's reader
        raise StorageError(Diagnostic("E0813", f"'{path}' is not a checkpoint that can be read")) from error


@contextmanager
def of_this_search(path: Path) -> Iterator[None]:
    """E0813 where what a checkpoint holds does not fit what it is loaded into."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        headline = f"'{path}' is not a checkpoint of this search"
        raise StorageError(Diagnostic("E0813", headline, notes=(what,))) from error


def check_unpacked(file: IO[bytes]) -> None:
    """Raise :class:`ValueError` for an archive that is larger than its file: torch's are not compressed."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its members are compressed")
    if sum(member.file_size for member in members) > file.seek(0, os.SEEK_END):
        raise ValueError("its members are larger than the file")


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """The content of a regular file.

    Raises E0810 if it cannot be read, E0813 if it is no regular file (a pipe may never end) or has over ``most`` bytes.
    """
    with storage_errors(path, "read"):
        if path.exists() and not path.is_file():
            raise StorageError(Diagnostic("E0813", f"'{path}' is no regular file"))
        with path.open("rb") as file:
            data = file.read() if most is None else file.read(most + 1)
    if most is not None and len(data) > most:
        raise StorageError(Diagnostic("E0813", f"'{path}' has more than {most // 1_000_000} MB"))
    return data


def read_json(path: Path) -> Any:
    """Raises E0813 for a text that is not JSON, E0810 if it cannot be read."""
    data = read_bytes(path, MAX_JSON)
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StorageError(Diagnostic("E0813", f"'{path}' is not JSON: {error}")) from error


def make_run_directory(path: Path) -> None:
    """Create ``path``; E0815 if it already holds a run."""
    if (path / STORE).exists() or (path / STORE_PLACE).exists():
        raise StorageError(
            Diagnostic(
                "E0815", f"'{path}' already holds a run", help="choose another --out, or go on with `spacec resume`"
            )
        )
    with storage_errors(path, "create"):
        path.mkdir(parents=True, exist_ok=True)


def discard_parts(path: Path) -> None:
    """Remove what a killed writer left beside the files of a run, and in its folders."""
    with storage_errors(path, "clean up"):
        for part in path.rglob(f".*{PART}"):
            part.unlink(missing_ok=True)


def as_json(value: Any) -> Any:
    """``value`` as it reads back from a file: tuples as lists, keys as texts."""
    return json.loads(json.dumps(value))


def discard_job(path: Path) -> None:
    """Take back a start that was refused before there was a record, and the directory where nothing else is in it."""
    with storage_errors(path, "remove"):
        (path / JOB).unlink(missing_ok=True)
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def discard_run(path: Path) -> None:
    """Take back a run that was refused before its first step, so that the mended command meets no E0815."""
    with storage_errors(path, "remove"):
        record = (f"{STORE}{end}" for end in ("", "-wal", "-shm"))
        for name in (CONFIG, JOB, SCHEDULES, SPACE, *record, STORE_PLACE, LOCK):
            (path / name).unlink(missing_ok=True)
        if not any(path.iterdir()):
            path.rmdir()
