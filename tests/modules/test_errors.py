"""Golden diagnostics of modules: one folder for each mistake, and what its author reads.

Run ``python -m tests.modules.test_errors`` from the root to write the golden texts anew, and read the difference.
"""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

from spacec.diagnostics.model import SpacecError
from spacec.diagnostics.render import render_text
from spacec.syntax.read import source_from_path
from tests.modules.libraries import session

ERRORS = Path(__file__).parent / "errors"
FOLDERS = sorted(p for p in ERRORS.iterdir() if p.is_dir())


def report(folder: Path) -> str:
    with chdir(folder):
        try:
            session().compile(source_from_path("main.space"))
        except SpacecError as error:
            return render_text(error.diagnostics) + "\n"
    raise AssertionError(f"{folder.name} compiles")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_mistake_reads_as_recorded(folder: Path) -> None:
    assert report(folder) == (folder / "expected.txt").read_text(encoding="utf-8")


def test_there_are_enough() -> None:
    assert len(FOLDERS) >= 10


if __name__ == "__main__":
    for each in FOLDERS:
        (each / "expected.txt").write_text(report(each), encoding="utf-8")
