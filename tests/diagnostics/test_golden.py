"""Golden diagnostics: one file for each mistake in writing; the text beside it is what its author reads.

Run ``python -m tests.diagnostics.test_golden`` from the root to write the golden texts anew, and read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from spacec.diagnostics.codes import codes
from spacec.diagnostics.model import SpacecError
from spacec.diagnostics.render import render_text
from spacec.source import SourceFile
from spacec.syntax.parse import parse

ERRORS = Path(__file__).with_name("errors")
FILES = sorted(ERRORS.glob("*.space"))


def errors(file: Path) -> SpacecError:
    try:
        parse(SourceFile(file.name, file.read_text(encoding="utf-8")))
    except SpacecError as error:
        return error
    raise AssertionError(f"{file.name} parses")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_mistake_reads_as_recorded(file):
    assert render_text(errors(file).diagnostics) + "\n" == file.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_code_of_the_parser_is_among_them():
    seen = {d.code for file in FILES for d in errors(file).diagnostics}
    beyond = {"E0106", "E0108"}  # of texts too deep or too long to read here
    assert seen | beyond == {code for code, info in codes().items() if info.stage == "syntax"}
    assert len(FILES) >= 20


def main() -> None:
    for file in FILES:
        file.with_suffix(".txt").write_text(render_text(errors(file).diagnostics) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
