"""One process at a time in a run directory.

The lock is the system's, on ``run.lock``: it ends with the process that holds it, whatever ends that, and the file may
stay. A process may take it again while it has it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from spacec.diagnostics.model import Diagnostic
from spacec.search.files import LOCK, StorageError, storage_errors

PATIENCE = 1.0
"""Seconds to wait for a process that is about to end, or that only looks whether there is one."""


@contextmanager
def locked(run_dir: Path | None) -> Iterator[None]:
    """No other process writes in ``run_dir`` (which is made) during the body; E0830 where one does.

    Where the body left nothing, neither a directory that was made nor the lock's file stays.
    """
    if run_dir is None:
        yield
        return
    made = not run_dir.exists()
    with storage_errors(run_dir, "create"):
        run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / LOCK
    lock = FileLock(path, is_singleton=True)
    first = not lock.is_locked
    with storage_errors(path):
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise _taken(run_dir, path) from None
    try:
        if first:
            with suppress(OSError):  # who it is helps a person only
                path.write_text(f"process {os.getpid()} on {platform.node()}\n")
        yield
    finally:
        if first:
            _clear(run_dir, made)
        lock.release()


def is_locked(run_dir: Path) -> bool:
    """Whether a process writes in ``run_dir`` now. Nothing is written, so any run that can be read can be asked."""
    try:
        handle = os.open(run_dir / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        import fcntl  # not on Windows

        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):  # a system that cannot tell
        return False
    finally:
        os.close(handle)
    return False


def _clear(run_dir: Path, made: bool) -> None:
    with suppress(OSError):
        if os.listdir(run_dir) == [LOCK]:
            (run_dir / LOCK).unlink()
            if made:
                run_dir.rmdir()


def _taken(run_dir: Path, path: Path) -> StorageError:
    who = ""
    with suppress(OSError):
        who = path.read_text().strip()
    headline = f"'{run_dir}' is in use by another process"
    return StorageError(Diagnostic("E0830", headline, notes=(who,) if who else ()))
