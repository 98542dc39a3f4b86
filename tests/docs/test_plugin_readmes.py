"""Every search that a plugin's README shows starts: its options, space, task and probes are there and fit."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from spacec.cli.main import run
from tests.docs.blocks import read_blocks

ROOT = Path(__file__).resolve().parents[2]
READMES = sorted((ROOT / "plugins").glob("*/README.md"))


class Started(BaseException):
    """Raised where the supernet would be built; no handler of failures takes it."""


def searches(readme: Path) -> list[str]:
    """The commands, continued lines joined; without those that name a file of the reader's or a table's data."""
    blocks = [b for b in read_blocks(readme) if b.language == "console"]
    lines = [line for b in blocks for line in re.sub(r"\\\n\s*", "", b.text).splitlines()]
    shown = [line.removeprefix("$ ") for line in lines if line.startswith("$ spacec search ")]
    return [line for line in shown if " FILE " not in line and "--benchmark" not in line]


@pytest.mark.parametrize("readme", READMES, ids=lambda p: p.parent.name)
def test_the_searches_of_a_readme_start(readme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        raise Started

    monkeypatch.setattr("spacec.search.runner.begin", started)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grammars").symlink_to(ROOT / "grammars")
    (tmp_path / "here.csv").write_text("op,input,ms\n*,*,0.1\n")  # what `spacec profile` measures there
    for command in searches(readme):
        with pytest.raises(Started):
            pytest.fail(f"{command} ended with code {run(shlex.split(command)[1:])}")


def test_strategies_have_such_examples() -> None:
    assert {p.parent.name for p in READMES if searches(p)} >= {"spacec-darts", "spacec-clearer", "spacec-random"}
