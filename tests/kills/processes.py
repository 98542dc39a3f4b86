"""Real processes that run ``spacec``, started fast or cold.

A *nursery* is a process that has loaded torch and waits; it forks a child for each command line, in a session of its
own, so a run starts at once and is still a process like any other, with files, locks and memory of its own. A *cold*
start is ``python -m spacec.cli`` as a person types it. Usage of the nursery: JSON lines on standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[2]
LOADED = ("spacec.lower.supernet", "spacec.search.report.write", "spacec.search.runner", "spacec.testing.synthetic")
"""What every search loads; strategies as well."""
LIMIT = 300.0
"""Seconds after which a process is taken to hang."""


def environment() -> dict[str, str]:
    """One thread, so that sums are added in one order; the modules that this process finds."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


@dataclass
class Running:
    """A process that was started: ``ended`` asks whether it has, ``status`` waits for it."""

    pid: int
    poll: Callable[[], int | None]
    status_: int | None = field(default=None, init=False)

    def ended(self) -> bool:
        if self.status_ is None:
            self.status_ = self.poll()
        return self.status_ is not None

    def kill(self) -> None:
        """SIGKILL to this process alone; what it started is cleared away by :meth:`status`."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def status(self) -> int:
        """The exit code, negative for a signal. Raises :class:`TimeoutError` for a process that hangs."""
        until = time.monotonic() + LIMIT
        while not self.ended():
            if time.monotonic() > until:
                self.kill()
                raise TimeoutError(f"process {self.pid} did not end in {LIMIT:.0f} s")
            time.sleep(0.002)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        assert self.status_ is not None, "it has ended"
        return self.status_


def cold(arguments: Sequence[str], log: Path, limits: Mapping[str, int] | None = None) -> Running:
    """``spacec`` as a person starts it."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "spacec.cli", *arguments],
            cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            preexec_fn=(lambda: limit(limits)) if limits else None,
        )  # fmt: skip
    return Running(process.pid, process.poll)


def limit(limits: Mapping[str, int]) -> None:
    """Set limits of this process: ``file`` is the size of files, ``room`` the memory beside what it has now."""
    import resource  # Unix only, as these tests

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a write fails with an error
    for name, value in limits.items():
        which = resource.RLIMIT_FSIZE if name == "file" else resource.RLIMIT_AS
        if name == "room":
            value += int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(which, (value, resource.getrlimit(which)[1]))


class Nursery:
    """One child at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.kills.processes"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdin is not None, "a pipe"
        assert self._process.stdout is not None, "a pipe"
        self._in: IO[bytes] = self._process.stdin
        self._out: IO[bytes] = self._process.stdout
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in.close()
        self._process.wait(LIMIT)
        self._out.close()

    def start(self, arguments: Sequence[str], log: Path, limits: Mapping[str, int] | None = None) -> Running:
        """Fork a process that runs ``spacec`` with ``arguments``."""
        order = {"arguments": list(arguments), "log": str(log), "limits": dict(limits or {})}
        self._in.write(json.dumps(order).encode() + b"\n")
        self._in.flush()
        pid = self._answer()["pid"]

        def poll() -> int | None:
            import select

            ready, _, _ = select.select([self._out], [], [], 0)
            return int(self._answer()["status"]) if ready else None

        return Running(pid, poll)

    def _answer(self) -> dict[str, Any]:
        line = self._out.readline()
        if not line:
            raise RuntimeError("the nursery has ended")
        found: dict[str, Any] = json.loads(line)
        return found


def _nursery() -> None:
    from spacec.cli.main import run
    from spacec.hooks import installed

    for module in LOADED:
        importlib.import_module(module)
    for name in installed().names("spacec_strategies"):
        installed().find("spacec_strategies", name).load()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    answers.write(b"{}\n")
    for line in sys.stdin.buffer:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            _child(run, order)
        answers.write(json.dumps({"pid": pid}).encode() + b"\n")
        _, status = os.waitpid(pid, 0)
        answers.write(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


def _child(run: Callable[[Sequence[str]], int], order: Mapping[str, Any]) -> None:
    code = 70
    try:
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if order["limits"]:
            limit(order["limits"])
        sys.argv = ["spacec", *order["arguments"]]
        code = run(order["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _nursery()
