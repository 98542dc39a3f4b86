"""The command of the matrix: what it runs again, what it shows, and that nothing is hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import matrix
from benchmarks.matrix_page import page
from tests.docs.workplace import ROOT

SHOWN = {"commit": "abc1234", "date": "2026-01-02", "notes": []}
RESULTS: dict[matrix.Pair, dict[str, Any]] = {
    ("darts", "tabular"): {"result": "ok", "text": "", "seconds": 2.04, "fingerprint": "a", **SHOWN},
    ("darts", "wide"): {"result": "unsupported", "text": "slot 'a' decides sizes", "seconds": 0.1, **SHOWN},
    ("gdas", "wide"): {"result": "unsupported", "text": "slot 'b' decides sizes", "seconds": 0.1, **SHOWN},
    ("gdas", "tabular"): {"result": "failed", "text": "it forgets\\nits state", "seconds": 1.0, **SHOWN},
}


def test_the_page_hides_nothing() -> None:
    text = page(("darts", "gdas"), ("tabular", "wide", "new"), RESULTS, {"spacec": "1", "torch": "2"})
    assert "| tabular | 2.0 | **failed** |" in text
    assert "| wide | A | A |" in text
    assert "| new | not run | not run |" in text
    assert "1 pairs work, 2 are refused with a reason, 1 fail, 2 were not run." in text
    assert "spacec 1, torch 2. 4 pairs at commit abc1234 on 2026-01-02." in text
    assert "- A: slot …" in text
    assert "- gdas on tabular: it forgets" in text


def test_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "fingerprint", lambda pair: {"tabular": "a", "wide": "b"}[pair[1]])
    pairs = [("darts", "tabular"), ("darts", "wide"), ("gdas", "tabular"), ("gdas", "new")]
    results = {pair: {"fingerprint": "a", **row} for pair, row in RESULTS.items()}
    assert matrix.due(pairs, results, keep=False) == pairs[1:]
    assert matrix.due(pairs, results, keep=True) == pairs[2:]


def test_results_are_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    assert matrix.read_results(path) == {}
    rows = {pair: {"strategy": pair[0], "space": pair[1], **row} for pair, row in RESULTS.items()}
    matrix.write_results(path, rows)
    assert matrix.read_results(path) == rows
    assert [p.name for p in tmp_path.iterdir()] == ["matrix.json"]


def test_a_fingerprint_is_of_what_a_pair_depends_on() -> None:
    pairs = [("darts", "tabular"), ("darts", "ddnas"), ("random", "tabular")]
    assert len({matrix.fingerprint(pair) for pair in pairs}) == 3


def test_a_failing_pair_fails_and_says_why() -> None:
    found = matrix.judge(("darts", "no_such_space"))
    assert found["result"] == "failed"
    assert "no_such_space" in found["text"]
    found = matrix.judge(("darts", "nas_bench_101"))
    assert (found["result"], "decides sizes" in found["text"]) == ("unsupported", True)


def test_a_pair_that_takes_too_long_fails() -> None:
    done: dict[matrix.Pair, dict[str, Any]] = {}
    matrix.run_all([("darts", "auto_deeplab")], 1, 1, done.__setitem__)
    assert done["darts", "auto_deeplab"]["result"] == "failed"
    assert "it took longer than 1 seconds" in done["darts", "auto_deeplab"]["text"]


def test_the_committed_page_is_that_of_the_committed_results() -> None:
    text = (ROOT / "docs/matrix.md").read_text(encoding="utf-8")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    strategies, spaces = table[0][1:], [row[0] for row in table[1:]]
    path = ROOT / "benchmarks/matrix.json"
    assert text == page(strategies, spaces, matrix.read_results(path), matrix.read_json(path)["versions"])
