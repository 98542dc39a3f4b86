"""``spacec fmt``: what it writes, and what it leaves alone."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import Done

Run = Callable[..., Done]
UGLY = "space  s # one\ninput x:[4]\noutput   y: [ 4 ]\n\n\n\n# two\nnet = relu>>relu+ identity\n"
TIDY = "space s  # one\ninput  x: [4]\noutput y: [4]\n\n# two\nnet = relu >> (relu + identity)\n"


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    path = tmp_path / "ugly.space"
    path.write_text(UGLY)
    return path


def test_a_file_is_laid_out_in_place(spacec: Run, ugly: Path) -> None:
    ugly.chmod(0o640)
    done = spacec("fmt", ugly)
    assert (done.code, done.out) == (0, "")
    assert f"laid out {ugly}" in done.err
    assert ugly.read_text() == TIDY
    assert ugly.stat().st_mode & 0o777 == 0o640
    assert os.listdir(ugly.parent) == ["ugly.space"]
    before = ugly.stat()
    assert spacec("fmt", ugly).code == 0
    assert ugly.stat().st_mtime_ns == before.st_mtime_ns


def test_check_and_diff_write_nothing(spacec: Run, ugly: Path) -> None:
    assert spacec("fmt", "--check", ugly).code == 1
    done = spacec("fmt", "--diff", ugly)
    assert done.code == 1
    assert "+net = relu >> (relu + identity)" in done.out.splitlines()
    assert ugly.read_text() == UGLY
    ugly.write_text(TIDY)
    assert spacec("fmt", "--check", ugly).code == 0
    done = spacec("fmt", "--diff", ugly)
    assert (done.code, done.out) == (0, "")


def test_errors_leave_a_file_alone_and_the_others_go_on(spacec: Run, ugly: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.space"
    wrong.write_text("space s\nnet = (\n")
    done = spacec("fmt", wrong, ugly, tmp_path / "absent.space")
    assert done.code == 1
    assert "E0104" in done.err
    assert "E0801" in done.err
    assert "2 files left alone for errors" in done.err
    assert wrong.read_text() == "space s\nnet = (\n"
    assert ugly.read_text() == TIDY


def test_a_folder_stands_for_its_space_files(spacec: Run, ugly: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.space").write_text(UGLY)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.space").write_text(UGLY)
    done = spacec("fmt", "--check", tmp_path)
    assert "2 files would change" in done.err
    assert "c.space" not in done.err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "E0807" in spacec("fmt", empty).err


def test_a_link_stays_a_link(spacec: Run, ugly: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.space"
    link.symlink_to(ugly)
    assert spacec("fmt", link).code == 0
    assert link.is_symlink()
    assert ugly.read_text() == TIDY


def test_standard_input_is_printed(spacec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(UGLY.encode())))
    done = spacec("fmt", "-")
    assert (done.code, done.out, done.err) == (0, TIDY, "")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"space s\nnet = (\n")))
    done = spacec("fmt", "-")
    assert (done.code, done.out) == (1, "")
    assert "<stdin>:3:1" in done.err


def test_a_file_that_cannot_be_replaced_is_kept(spacec: Run, ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", str(ugly))

    monkeypatch.setattr("spacec.cli.files.os.replace", refuse)
    done = spacec("fmt", ugly)
    assert done.code == 1
    assert "the disk is full" in done.err
    assert ugly.read_text() == UGLY
    assert os.listdir(ugly.parent) == ["ugly.space"]
