"""Progress bars: drawn on a real (pseudo-)terminal, nothing anywhere else, nothing with --quiet."""

from __future__ import annotations

import io
import os
import pty
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TextIO

import pytest

from spacec.cli import progress
from spacec.cli.progress import counted, notes_only, watching, working
from spacec.search.progress import Progress
from tests.cli.running import Done


class Terminal:
    """The end of a pseudo-terminal that a program writes to, and what it wrote."""

    def __init__(self) -> None:
        self._read, write = pty.openpty()
        os.set_blocking(self._read, False)
        self.stream: TextIO = os.fdopen(write, "w")

    def shown(self) -> str:
        self.stream.flush()
        found = b""
        while True:
            try:
                found += os.read(self._read, 65536)
            except BlockingIOError:
                return found.decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._read)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    found = Terminal()
    yield found
    found.close()


class NoDelay:
    """A timer that calls its function as it is started, so that no test waits for a thread."""

    def __init__(self, seconds: float, function: Callable[[], None]) -> None:
        self.start = function
        self.daemon = False

    def cancel(self) -> None:
        """It has run."""


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "threading", SimpleNamespace(Timer=NoDelay, Lock=threading.Lock))


def test_work_on_a_terminal_has_a_bar_that_is_taken_away(terminal: Terminal, at_once: None) -> None:
    with working("timing", 1234, terminal.stream) as tick:
        tick(1000, facts="conv [8, 8]")
    shown = terminal.shown()
    for fact in ("timing", "1,000/1,234", "conv [8, 8]"):
        assert fact in shown
    assert "\x1b[2K" in shown, "the line is erased at the end"
    assert shown.endswith("\x1b[2K")


def test_quick_work_shows_nothing(terminal: Terminal) -> None:
    with working("quick", 2, terminal.stream) as tick:
        tick()
    assert terminal.shown() == ""


def test_a_failure_takes_the_bar_away(terminal: Terminal, at_once: None) -> None:
    def failing() -> None:
        with working("failing", None, terminal.stream):
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        failing()
    assert "\x1b[?25h" in terminal.shown(), "the cursor is shown again"


def test_a_pipe_gets_nothing_and_items_come_as_they_are(at_once: None) -> None:
    pipe = io.StringIO()
    with working("counting", 3, pipe) as tick:
        tick(3, facts="x")
    assert list(counted(range(3), "items", 3, pipe)) == [0, 1, 2]
    assert pipe.getvalue() == ""


def test_of_a_run_a_pipe_gets_its_notes_only(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(io.StringIO()) as watch:
        assert watch is notes_only
        watch(Progress("search", 1, 50, 2, 100, 0.5))
        watch(Progress("derive", message="derived a"))
        watch(Progress("search", message="note: nothing is learnt", note=True))
    assert capsys.readouterr().err == "note: nothing is learnt\n"


def test_trials_have_their_best_so_far_and_failures(terminal: Terminal) -> None:
    with watching(terminal.stream) as watch:
        watch(Progress("trials", step=1200, steps=5000, best={"accuracy": 94.37}, failed=3, running=4))
    shown = terminal.shown()
    for fact in ("1,200/5,000", "best accuracy 94.37", "3 failed", "4 running"):
        assert fact in shown


def test_commands_draw_on_standard_error_alone_and_quiet_silences_them(
    spacec: Callable[..., Done], terminal: Terminal, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sys.stderr
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    command = ("canonical", "grammars/nas_bench_201.space", "random:1")
    seen = spacec(*command)
    assert "naming networks" in terminal.shown()
    assert seen.out.count("\n") == 1
    assert "\x1b" not in seen.out
    assert spacec(*command, "--quiet") == seen
    assert spacec("--quiet", *command) == seen
    assert terminal.shown() == ""
    monkeypatch.setattr(sys, "stderr", real)
    assert spacec(*command) == seen
