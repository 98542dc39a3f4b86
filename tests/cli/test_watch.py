"""``spacec check --watch``, in a process of its own, as files come, change and go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from tests.cli.running import ROOT, Done

GOOD = "space s\ninput  x: [4]\noutput y: [4]\nnet = relu\n"
USER = 'space s\ninput  x: [4]\noutput y: [4]\nuse "blocks.space"\nnet = block\n'


class Watch:
    """A running ``spacec check FILE --watch --format concise``."""

    def __init__(self, *arguments: Path | str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spacec.cli", "check", *map(str, arguments), "--watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        )
        self.lines: Queue[str] = Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def round(self, seconds: float = 30) -> str:
        """What the next check prints, up to the line that says what is watched."""
        lines: list[str] = []
        end = time.monotonic() + seconds
        while not (lines and lines[-1].startswith("watching ")):
            try:
                lines.append(self.lines.get(timeout=max(0.0, end - time.monotonic())))
            except Empty:
                raise AssertionError(f"no check within {seconds} s; so far: {lines}") from None
        return "\n".join(lines)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def watching() -> Iterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def start(*arguments: Path | str) -> Watch:
        made.append(Watch(*arguments))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_every_save_is_checked(watching: Callable[..., Watch], tmp_path: Path) -> None:
    path = tmp_path / "s.space"
    path.write_text(GOOD)
    watch = watching(path)
    assert f"{path}: no errors" in watch.round()
    path.write_text(GOOD.replace("relu", "relo"))
    assert "E0201" in watch.round()
    path.write_text("space s\ninput  x: [4]\noutp")  # half written
    assert "error[E01" in watch.round()
    path.unlink()
    assert "E0801" in watch.round()
    (tmp_path / "other").write_text(GOOD)
    (tmp_path / "other").rename(path)  # as many editors save
    assert "no errors" in watch.round()
    watch.process.send_signal(signal.SIGINT)
    assert watch.process.wait(20) == 130
    watch.reader.join()
    rest = [watch.lines.get_nowait() for _ in range(watch.lines.qsize())]
    assert list(filter(None, rest)) == ["interrupted"]


def test_libraries_that_are_used_are_watched(watching: Callable[..., Watch], tmp_path: Path) -> None:
    path, library = tmp_path / "s.space", tmp_path / "blocks.space"
    path.write_text(USER)
    watch = watching(path)
    assert "E0209" in watch.round()
    library.write_text("def block = relu\n")
    assert "no errors" in watch.round()
    library.write_text("def block = reluu\n")
    assert "reluu" in watch.round()


def test_the_library_path_is_watched(watching: Callable[..., Watch], tmp_path: Path) -> None:
    path, folder = tmp_path / "s.space", tmp_path / "lib"
    path.write_text(USER)
    folder.mkdir()
    watch = watching(path, "--library", folder)
    assert "E0209" in watch.round()
    (folder / "blocks.space").write_text("def block = tanh\n")
    assert "no errors" in watch.round()


def test_a_folder_is_watched_for_new_files(watching: Callable[..., Watch], tmp_path: Path) -> None:
    watch = watching(tmp_path)
    assert "E0807" in watch.round()
    (tmp_path / "a.space").write_text(GOOD)
    assert "a.space: no errors" in watch.round()


def test_standard_input_cannot_be_watched(spacec: Callable[..., Done]) -> None:
    done = spacec("check", "-", "--watch")
    assert done.code == 2
    assert "--watch needs files" in done.err
