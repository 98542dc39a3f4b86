"""One process at a time in a run directory, and its lock ends with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from spacec.search.files import StorageError
from spacec.search.lock import is_locked, locked
from tests.store.test_file import child

HOLDER = """
import sys
from pathlib import Path
from spacec.search.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_told_who_has_it_until_that_one_is_gone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert not is_locked(run)
    with child(HOLDER, run) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(run)
        with pytest.raises(StorageError, match=f"process {holder.pid} on ") as error, locked(run):
            pass
        assert error.value.diagnostics[0].code == "E0830"
        holder.send_signal(signal.SIGKILL)
    assert not is_locked(run)
    with locked(run), locked(run):
        assert is_locked(run)
        assert (run / "run.lock").read_text().startswith(f"process {os.getpid()} on ")
    assert not is_locked(run)


def test_a_lock_that_is_taken_twice_is_kept_until_the_first_is_done(tmp_path: Path) -> None:
    with locked(tmp_path):
        with locked(tmp_path):
            pass
        assert is_locked(tmp_path)
    with locked(None):
        pass
