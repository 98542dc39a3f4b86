"""``spacec convert``: between formats, and wherever an architecture is named."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ROOT

CELL = str(ROOT / "grammars" / "nas_bench_201.space")
TEXT = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"


def test_there_and_back(spacec: Any) -> None:
    own = spacec("convert", CELL, TEXT).out.strip()
    assert own == "5d01f23b:cell=conv3,conv3,none,skip,pool,conv1"
    assert spacec("convert", CELL, own, "--to", "nas-bench-201").out.strip() == TEXT
    assert (
        spacec("convert", CELL, "(2, 2, 0, 1, 4, 3)", "--from", "naslib", "--to", "nas-bench-201").out.strip() == TEXT
    )
    assert json.loads(spacec("convert", CELL, TEXT, own, "--json").out) == [own, own]


def test_named_architectures_are_read(spacec: Any) -> None:
    assert spacec("encode", CELL, TEXT, "--scheme", "categorical").out.splitlines()[1].endswith(",3,3,0,1,4,2")


def test_files_and_standard_input_hold_texts_of_other_projects(
    spacec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cell.txt").write_text(TEXT + "\n")
    own = "5d01f23b:cell=conv3,conv3,none,skip,pool,conv1"
    assert spacec("convert", CELL, str(tmp_path / "cell.txt")).out.strip() == own
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEXT}\n\n{own}\n"))
    assert spacec("convert", CELL, "-").out.split() == [own, own]
    monkeypatch.setattr("sys.stdin", io.StringIO(TEXT))
    assert spacec("convert", CELL, "-", "--from", "nas-bench-201").out.strip() == own


def test_mistakes(spacec: Any) -> None:
    assert "E0630" in spacec("convert", CELL, TEXT, "--to", "nasbench").err
    assert "E0631" in spacec("convert", CELL, TEXT, "--to", "darts").err
    done = spacec("convert", CELL, TEXT.replace("none", "nope"))
    assert done.code == 1
    assert "E0632" in done.err
