"""Streams that a shell may hand over: closed, or in an encoding that lacks a character of the grammar."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.running import ROOT

COMMAND = [sys.executable, "-m", "spacec.cli"]


def test_a_closed_standard_output_is_no_failure() -> None:
    script = f'"{sys.executable}" -m spacec.cli info grammars/tabular.space >&-'
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_character_that_the_terminal_lacks_is_shown_by_its_code(tmp_path: Path) -> None:
    file = tmp_path / "odd.space"
    file.write_text("space s\ninput x: [4] # \u03bb\u03bb\nnet = \u03bb\n", encoding="utf-8")
    surroundings = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run([*COMMAND, "check", str(file)], cwd=ROOT, capture_output=True, env=surroundings)
    assert done.returncode == 1
    assert b"E0102" in done.stdout
    assert b"\\u03bb" in done.stdout
    assert b"internal error" not in done.stderr


def test_source_takes_no_weights(tmp_path: Path) -> None:
    out = tmp_path / "network.py"
    arguments = ["compile", "grammars/tabular.space", "--arch", "random:0", "-o", str(out), "--weights", "w.pt"]
    done = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--weights" in done.stderr
    assert not out.exists()
