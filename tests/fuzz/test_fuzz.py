"""The corpus of what fuzzing found, and a few seconds of fuzzing; ``make fuzz`` does more."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from spacec.cli.main import run
from tests.fuzz.grow import grown
from tests.fuzz.judge import Fault, judge
from tests.fuzz.mutate import CHANGES, mutated, sources

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.space"))


@pytest.mark.parametrize("file", CORPUS, ids=lambda f: f.stem)
def test_what_was_found_stays_mended(file: Path) -> None:
    judge(file.read_text(encoding="utf-8"), twice=True)


@pytest.mark.parametrize("file", CORPUS, ids=lambda f: f.stem)
def test_what_was_found_is_drawn_or_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["graph", str(file), "--format", "svg", "-o", "-"]) in (0, 1)
    assert "internal error" not in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("write", [grown, mutated])
def test_a_little_fuzzing(write, seed: int) -> None:
    rng = random.Random(f"{write.__name__} {seed}")
    for _ in range(15):
        judge(write(rng), twice=rng.randrange(5) == 0)


def test_grown_files_compile_often_enough_to_be_of_use() -> None:
    rng = random.Random(1)
    outcomes = [judge(grown(rng)) for _ in range(60)]
    assert outcomes.count("refused") < 50


def test_every_change_changes_something() -> None:
    rng = random.Random(2)
    text = next(s for s in sources() if "dag" in s)
    for change in CHANGES:
        assert any(change(rng, text) != text for _ in range(20)), change.__name__


def test_a_crash_and_a_bad_place_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> None:
        raise RecursionError(text)

    monkeypatch.setattr("tests.fuzz.judge.compiled", broken)
    with pytest.raises(Fault, match="crash: RecursionError"):
        judge("space s")
