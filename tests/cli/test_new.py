"""``spacec new``: every template checks, is laid out, and replaces nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spacec.cli.new import TEMPLATES
from spacec.source import SourceFile
from spacec.syntax.tidy import tidy
from tests.cli.running import ROOT, Done

Run = Callable[..., Done]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_space_checks(spacec: Run, tmp_path: Path, template: str) -> None:
    path = tmp_path / "mine.space"
    done = spacec("new", tmp_path / "mine", "--template", template)
    assert done.code == 0
    assert f"spacec info {path}" in done.out
    text = path.read_text()
    assert "space mine(" in text
    assert "NAME" not in text
    assert tidy(SourceFile("mine.space", text)) == text
    assert spacec("check", path, tmp_path / "mine.space").code == 0
    assert spacec("check", path, "--preset", "tiny").code == 0
    done = spacec("new", path)
    assert (done.code, "E0808" in done.err, path.read_text()) == (1, True, text)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my-space", "write `my_space`"),
        ("let", "`let` is a word of the language"),
        ("2d", "begins with no digit"),
        ("é", "cannot name a space"),
        ("a" * 300, "at most 200"),
    ],
)
def test_a_name_is_a_name(spacec: Run, tmp_path: Path, name: str, words: str) -> None:
    done = spacec("new", tmp_path / name)
    assert done.code == 1
    assert words in done.err
    assert not list(tmp_path.iterdir())


def test_a_folder_must_be_there(spacec: Run, tmp_path: Path) -> None:
    done = spacec("new", tmp_path / "absent" / "mine")
    assert done.code == 1
    assert "no such file or directory" in done.err


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    command = [sys.executable, "-m", "spacec.cli", "new", str(tmp_path / "mine")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, preexec_fn=small_files)
    assert done.returncode == 1
    assert "limit on file sizes" in done.stderr
    assert not list(tmp_path.iterdir())
