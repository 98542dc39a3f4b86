"""Golden diagnostics: one file for each mistake a user would make; the text beside it is what they read.

Run ``python -m tests.sema.test_errors`` from the root to write the golden texts anew, and read the difference.
"""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

from spacec.diagnostics.render import render_text
from tests.sema.compile import findings

ERRORS = Path(__file__).parent / "errors"
FILES = sorted(ERRORS.glob("*.space"))


def report(file: Path) -> str:
    with chdir(file.parent):  # latency tables stand beside the file
        return render_text(findings(file.read_text(encoding="utf-8"), file.name)) + "\n"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_mistake_reads_as_recorded(file: Path) -> None:
    assert report(file) == file.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_enough() -> None:
    assert len(FILES) >= 35


if __name__ == "__main__":
    for path in FILES:
        path.with_suffix(".txt").write_text(report(path), encoding="utf-8")
