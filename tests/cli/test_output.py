"""Colour and width of what is printed, by terminal and environment."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from spacec.cli.output import colour, width
from tests.cli.running import ROOT

WRONG = "space s\ninput  x: [4]\noutput y: [4]\nnet = relo\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": ""}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colour(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], terminal: bool, wanted: bool) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert colour(Terminal() if terminal else io.StringIO()) is wanted
    assert not colour(None)


def test_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert width(io.StringIO()) == 50
    for value in ("", "0", "wide"):
        monkeypatch.setenv("COLUMNS", value)
        assert width(io.StringIO()) is None
    monkeypatch.delenv("COLUMNS")
    assert width(None) is None
    assert width(Terminal()) is None


def test_a_terminal_gets_colour_and_a_pipe_does_not(tmp_path: Path) -> None:
    path = tmp_path / "wrong.space"
    path.write_text(WRONG)
    command = [sys.executable, "-m", "spacec.cli", "check", str(path)]
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    env = {**plain, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    assert b"\x1b[" not in subprocess.run(command, capture_output=True, env=env).stdout
    forced = subprocess.run(command, capture_output=True, env={**env, "FORCE_COLOR": "1"})
    assert b"\x1b[1;31m" in forced.stdout
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said = os.read(ours, 10_000)
    os.close(ours)
    assert b"\x1b[1;31m" in said
