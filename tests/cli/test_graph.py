"""``spacec graph``: what it writes, where, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import Done

Run = Callable[..., Done]
TABULAR = "grammars/tabular.space"


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.svg", "<svg"),
        ("a.SVG", "<svg"),
        ("a.dot", "digraph"),
        ("a.gv", "digraph"),
        ("a.mmd", "---"),
        ("a.mermaid", "---"),
    ],
)
def test_the_suffix_chooses(spacec: Run, tmp_path: Path, name: str, begins: str) -> None:
    done = spacec("graph", TABULAR, "-o", tmp_path / name)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"wrote {tmp_path / name}\n"
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_standard_output_and_formats(spacec: Run, tmp_path: Path) -> None:
    assert spacec("graph", TABULAR, "-o", "-").out.startswith("<svg")
    assert spacec("graph", TABULAR, "--format", "dot", "-o", "-").out.startswith("digraph")
    assert spacec("graph", TABULAR, "--format", "dot", "-o", tmp_path / "figure").code == 0
    assert (tmp_path / "figure").read_text(encoding="utf-8").startswith("digraph")


def test_forms_and_architectures(spacec: Run) -> None:
    small = spacec("graph", TABULAR, "--preset", "tiny", "--format", "mermaid", "-o", "-").out
    assert "out: 2 | 4 | 8" in small
    assert "%% where params" in small
    chosen = spacec("graph", TABULAR, "--arch", "e0178c64:net=32,144,24", "--format", "mermaid", "-o", "-").out
    assert "linear, 144 · relu<br/>out 144" in chosen
    assert "%% 41,153 weights" in chosen
    opened = spacec("graph", "grammars/nas_bench_201.space", "--depth", "1", "--format", "mermaid", "-o", "-").out
    assert 'subgraph p0_3["cell<br/>\u00d7 5"]' in opened
    assert "let cell" not in opened


def test_an_unknown_suffix_is_named_before_anything_is_read(spacec: Run, tmp_path: Path) -> None:
    done = spacec("graph", "nowhere.space", "-o", tmp_path / "a.png")
    assert done.code == 1
    assert "E0717" in done.err
    assert "'a.png'" in done.err


def test_a_file_with_errors_gives_diagnostics_and_writes_nothing(spacec: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.space"
    wrong.write_text("space s\ninput x: [3]\noutput y: [1]\nnet = nothing\n", encoding="utf-8")
    done = spacec("graph", wrong, "-o", tmp_path / "a.svg")
    assert done.code == 1
    assert "error[" in done.err
    assert not (tmp_path / "a.svg").exists()


def test_a_foreign_architecture_is_refused(spacec: Run, tmp_path: Path) -> None:
    done = spacec("graph", TABULAR, "--arch", "5d01f23b:cell=skip", "-o", tmp_path / "a.svg")
    assert done.code == 1
    assert "E0602" in done.err


def test_an_unwritable_place(spacec: Run, tmp_path: Path) -> None:
    done = spacec("graph", TABULAR, "-o", tmp_path / "no" / "a.svg")
    assert done.code == 1
    assert "E0810" in done.err


def test_a_picture_that_is_too_large(spacec: Run, tmp_path: Path) -> None:
    lines = ["space s", "input x: [4, 8, 8]", "output y: [4, 8, 8]", "def f0 = residual(conv(3) | bn)"]
    lines += [f"def f{k} = dag(x) {{ return x + (x >> f{k - 1} >> relu >> f{k - 1}) }}" for k in range(1, 11)]
    (tmp_path / "s.space").write_text("\n".join([*lines, "net = f10\n"]), encoding="utf-8")
    assert spacec("graph", tmp_path / "s.space", "-o", tmp_path / "a.svg").code == 0
    done = spacec("graph", tmp_path / "s.space", "--expand", "-o", tmp_path / "b.svg")
    assert done.code == 1
    assert "E0718" in done.err
    assert not (tmp_path / "b.svg").exists()
