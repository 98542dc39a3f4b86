"""``spacec diff``: what it says, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import ROOT, Done

Run = Callable[..., Done]
BENCH = "grammars/nas_bench_201.space"


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    text = (ROOT / BENCH).read_text(encoding="utf-8")
    path = tmp_path / "edited.space"
    path.write_text(text.replace("pool: avg_pool(3)", "conv5: relu >> conv(5) >> bn"), encoding="utf-8")
    return path


def test_nothing_differs(spacec: Run) -> None:
    assert spacec("diff", BENCH, BENCH) == Done(0, "", "")
    assert spacec("diff", BENCH) == Done(0, "", "")
    assert json.loads(spacec("diff", BENCH, "--json").out)["same"] is True


def test_two_files(spacec: Run, edited: Path) -> None:
    done = spacec("diff", BENCH, edited)
    assert done.code == 1
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[:2] == [f"--- {BENCH}", f"+++ {edited}"]
    assert any(line.startswith("digest 5d01f23b -> ") for line in lines)
    assert lines.count("candidates: + conv5, - pool") == 1
    assert lines[-2:] == ["~ cell.edge[5]", "candidates: + conv5, - pool"]


def test_ops_that_no_fact_shows(spacec: Run, tmp_path: Path) -> None:
    path = tmp_path / "edited.space"
    path.write_text((ROOT / BENCH).read_text(encoding="utf-8").replace("avg_pool(3)", "max_pool(3)"), encoding="utf-8")
    done = spacec("diff", BENCH, path, "-p", "N=1")
    assert done.code == 1
    assert done.out.splitlines()[2].split() == ["ops", "18", "removed", "18", "added"]


def test_two_forms(spacec: Run) -> None:
    done = spacec("diff", "grammars/darts.space", "--preset", "tiny", "--p2", "C=8")
    assert done.code == 1
    assert "parameter C" in done.out
    assert "digest" not in done.out
    done = spacec("diff", "grammars/darts.space", "--preset1", "tiny", "--preset2", "tiny")
    assert done.code == 0
    done = spacec("diff", "grammars/tabular.space", "--p1", "limit=40000", "--json")
    facts = json.loads(done.out)
    assert facts["facts"]["parameter limit"] == [40000, 41153]
    assert facts["facts"]["architectures"] == [824, 856]


def test_two_architectures(spacec: Run) -> None:
    a, b = "5d01f23b:cell=skip,none,none,none,none,none", "5d01f23b:cell=conv1,none,none,none,none,none"
    done = spacec("diff", BENCH, "--arch", a, "--arch", b)
    assert done.code == 1
    assert [line.split() for line in done.out.splitlines()[2:]] == [
        ["weights", "73,306", "->", "101,306"],
        ["multiplies", "7,783,040", "->", "11,715,200"],
        ["cell.edge[0]", "skip", "->", "conv1"],
    ]
    assert spacec("diff", BENCH, "--arch", a, "--arch", a) == Done(0, "", "")


def test_free_sizes(spacec: Run) -> None:
    pair = ("--arch", "random:1", "--arch", "random:2")
    assert "multiplies" not in spacec("diff", "grammars/clearer.space", *pair).out
    assert "multiplies" in spacec("diff", "grammars/clearer.space", *pair, "--size", "H=8", "--size", "W=8").out


def test_trouble(spacec: Run) -> None:
    assert spacec("diff", BENCH, "nowhere.space").code == 2
    assert spacec("diff", BENCH, "--arch", "random:1").code == 2
    assert spacec("diff", BENCH, BENCH, "--arch", "random:1", "--arch", "random:2").code == 2
    assert "E0601" in spacec("diff", BENCH, "--arch", "nothing", "--arch", "random:2").err
