"""``spacec compile --explain-schedule``: alternatives, choice and reason, anew or from the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spacec.lower.schedule import Schedule
from spacec.lower.tuning import store
from tests.cli.running import Done

Run = Callable[..., Done]
TABULAR = ("compile", "grammars/tabular.space", "--preset", "tiny", "--explain-schedule", "--batch", "4")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "cache_folder", lambda name: tmp_path / "cache")


def test_it_tells_alternatives_choice_and_reason_and_then_knows_them(spacec: Run, tmp_path: Path) -> None:
    done = spacec(*TABULAR, "--budget", "1", "-o", tmp_path / "schedule.json")
    assert done.code == 0, done.err
    assert "supernet of tabular, batch 4: device " in done.out
    assert "(from the cache)" not in done.out
    assert "network\n" in done.out
    assert " ms  plain\n" in done.out
    assert "chosen  " in done.out
    assert "timing" not in done.err, "no progress in a pipe"
    stored = Schedule.from_json(json.loads((tmp_path / "schedule.json").read_text(encoding="utf-8")))
    again = spacec(*TABULAR, "--json")
    told = json.loads(again.out)
    assert (told["cached"], Schedule.from_json(told["schedule"])) == (True, stored)
    assert "(from the cache)" in spacec(*TABULAR).out
    assert "(from the cache)" not in spacec(*TABULAR, "--fresh", "--budget", "0", "--goal", "launches").out


def test_what_does_not_go_together_is_said(spacec: Run) -> None:
    both = spacec(*TABULAR, "--arch", "random:1")
    assert both.code == 2
    assert "--explain-schedule is about the supernet" in both.err
    lost = spacec("compile", "grammars/tabular.space", "--arch", "random:1", "-o", "x.py", "--batch", "3")
    assert lost.code == 2
    assert "--batch is read with --explain-schedule only" in lost.err
    for given, missing in ((("-o", "x.py"), "'--arch'"), (("--arch", "random:1"), "'-o' / '--output'")):
        done = spacec("compile", "grammars/tabular.space", *given)
        assert done.code == 2
        assert f"Missing option {missing}" in done.err
