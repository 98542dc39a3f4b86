"""Whatever goes wrong, a user sees a plain message and an exit code, never a traceback."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from spacec.cli import main
from spacec.hooks import StrategyDescriptor, installed
from spacec.hooks.manager import Plugin, Registry
from spacec.search.files import TRAINING
from tests.cli.running import ROOT, Done


@pytest.fixture
def failing() -> Iterator[Callable[[BaseException], None]]:
    """Add a command ``fail`` that raises the given exception."""

    def add(error: BaseException) -> None:
        @click.command("fail")
        def fail() -> None:
            raise error

        main.spacec.add_command(fail)

    original = main.Commands.get_command

    def get_command(self: main.Commands, ctx: click.Context, name: str) -> click.Command | None:
        return self.commands.get(name) or original(self, ctx, name)

    main.Commands.get_command = get_command  # type: ignore[method-assign]  # put back below
    yield add
    main.Commands.get_command = original  # type: ignore[method-assign]  # as it was
    main.spacec.commands.pop("fail", None)


CASES = {
    "interrupt": (KeyboardInterrupt(), 130, "interrupted"),
    "disk": (OSError(errno.ENOSPC, "No space left on device", "run.sqlite"), 1, "the disk is full"),
    "limit": (OSError(errno.EFBIG, "File too large", "weights.pt"), 1, "while writing 'weights.pt'"),
    "record": (sqlite3.OperationalError("database or disk is full"), 1, "while writing the run record"),
    "denied": (PermissionError(errno.EACCES, "Permission denied", "runs/a"), 1, "permission denied 'runs/a'"),
    "memory": (MemoryError(), 1, "out of memory"),
    "bug": (ZeroDivisionError("division by zero"), 1, "internal error: ZeroDivisionError: division by zero"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_failure_is_a_message(
    case: str, failing: Callable[[BaseException], None], spacec: Callable[..., Done]
) -> None:
    error, code, words = CASES[case]
    failing(error)
    done = spacec("fail")
    assert done.code == code
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_bug_can_be_traced_on_demand(
    failing: Callable[[BaseException], None], spacec: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(ZeroDivisionError("division by zero"))
    assert "SPACEC_DEBUG=1" in spacec("fail").err
    monkeypatch.setenv("SPACEC_DEBUG", "1")
    assert "Traceback" in spacec("fail").err


def test_a_plugin_that_fails_is_named(
    failing: Callable[[BaseException], None], spacec: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = {"spacec_strategies": (StrategyDescriptor("broken", "fails", "spacec_broken.strategy:Broken"),)}
    registry = Registry((*installed().plugins, Plugin("broken", "spacec-broken", "1.2", offered)))
    monkeypatch.setattr(main, "installed", lambda: registry)
    theirs: dict[str, Any] = {"__name__": "spacec_broken.strategy"}
    exec("def fall():\n    return int('x')", theirs)
    with pytest.raises(ValueError, match="invalid literal") as caught:
        theirs["fall"]()
    failing(caught.value)
    done = spacec("fail")
    assert done.code == 1
    assert done.err.startswith("error: plugin spacec-broken 1.2 failed: ValueError: invalid literal")
    assert "to the plugin's authors" in done.err


def test_wrong_usage_is_exit_code_2(spacec: Callable[..., Done]) -> None:
    for arguments in (["chek"], ["sample"], ["sample", "x.space", "-n", "many"], ["info", "--nonsense", "x.space"]):
        done = spacec(*arguments)
        assert done.code == 2
        assert done.err.startswith("Usage: ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output(process: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    command = [sys.executable, "-m", "spacec.cli", "sample", "grammars/nas_bench_201.space", "-n", "20000"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == "error: the disk is full, or a limit on file sizes is reached\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m spacec.cli sample grammars/nas_bench_201.space -n 20000 | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def training(out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "spacec.cli", "train", "grammars/nas_bench_201.space", "--preset", "tiny"),
        *("--arch", "random:1", "--task", "digits", "--device", "cpu", "--out", str(out), "-o", "epochs=10000"),
    ]


def readable(out: Path) -> bool:
    """Whether the record opens and every other file is whole."""
    with sqlite3.connect(out / "run.sqlite") as record:
        tables = record.execute("select count(*) from sqlite_master").fetchone()[0]
    json.loads((out / "config.json").read_text())
    return tables > 0 and not [p for p in out.iterdir() if p.name.startswith(".")]


def test_ctrl_c_during_a_training_leaves_a_readable_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(training(out), stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as child:
        assert child.stderr is not None
        while not (out / TRAINING).exists():  # until its first epoch has ended
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        told = child.stderr.read()
        code = child.wait()
    assert code == 130, told
    assert told.strip() == "interrupted", "no progress in a pipe"
    assert readable(out)


def test_a_full_disk_during_a_training_leaves_a_readable_run(tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (48 * 1024, 48 * 1024))

    out = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        training(out), capture_output=True, text=True, cwd=ROOT, env=environment, preexec_fn=small_files
    )
    assert done.returncode == 1
    assert "error[E0810]: cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [p for p in out.iterdir() if p.name.startswith(".")]
