"""How a search's supernets run is chosen once, kept with the run, and is what a resumed run goes on by."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spacec.lower.schedule import Schedule
from spacec.lower.supernet import Supernet
from spacec.lower.tuning import store, tune
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.gradient import GradientStrategy
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.strategy import Strategy
from tests.search.test_runner import Climber, Gradient
from tests.search.toy import SPACE, TASK

CONFIG = SearchConfig(epochs=3, steps=3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "cache_folder", lambda name: tmp_path / "cache")


def weights(found: SearchResult) -> dict[str, torch.Tensor]:
    kept: dict[str, torch.Tensor] = found.context.supernet.state_dict()
    return kept


def interrupted(config: SearchConfig, make: type[Strategy], run: Path) -> None:
    def stop(now: Progress) -> None:
        if (now.phase, now.epoch, now.step) == ("search", 1, 1):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, make(), TASK, config, run, progress=stop)


@pytest.mark.parametrize("make", [Gradient, Climber])
def test_a_resumed_search_runs_by_the_recorded_schedule(
    make: type[Strategy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, optimise="fast")
    # a schedule that is not the plain form, whatever the clock says of a net of this size
    chosen = Schedule(("mixes",), otherwise="expected")
    monkeypatch.setattr(tune._Tuner, "schedule", lambda self: chosen)
    whole = search(SPACE, make(), TASK, config, tmp_path / "whole")
    interrupted(config, make, tmp_path / "cut")

    def refuse(*given: Any, **named: Any) -> None:
        raise AssertionError("what was chosen is recorded")

    monkeypatch.setattr(Supernet, "tune", refuse)
    resumed = search(SPACE, make(), TASK, config, tmp_path / "cut", resume=True)
    assert resumed.context.supernet.schedule == chosen
    assert resumed.metrics == whole.metrics
    assert weights(resumed).keys() == weights(whole).keys()
    assert all(torch.equal(tensor, weights(resumed)[name]) for name, tensor in weights(whole).items())
    stored = json.loads((tmp_path / "cut" / files.SCHEDULES).read_text(encoding="utf-8"))
    assert {name: Schedule.from_json(value) for name, value in stored.items()} == {"main": chosen}
    with RunStore(tmp_path / "cut" / files.STORE) as record:
        (event,) = [e for e in record.events(1) if e["kind"] == "schedule"]
    assert event["data"] == stored["main"]


def test_measuring_changes_nothing_but_the_rounding(tmp_path: Path) -> None:
    heard: list[str] = []
    plain = search(SPACE, Gradient(), TASK, CONFIG)
    config = replace(CONFIG, optimise="launches")
    found = search(SPACE, Gradient(), TASK, config, tmp_path / "run", progress=lambda now: heard.append(now.message))
    assert found.context.supernet.schedule.goal == "launches"
    assert any(text.startswith("choosing how the supernet runs: the network") for text in heard)
    for name, tensor in weights(plain).items():
        torch.testing.assert_close(weights(found)[name], tensor, rtol=1e-3, atol=1e-4)


def test_the_plain_form_is_the_default_and_leaves_no_file(tmp_path: Path) -> None:
    found = search(SPACE, Gradient(), TASK, replace(CONFIG, epochs=1), tmp_path / "run")
    assert found.context.supernet.schedule is None
    assert not (tmp_path / "run" / files.SCHEDULES).exists()
    settings = json.loads((tmp_path / "run" / files.CONFIG).read_text(encoding="utf-8"))["search"]["search"]
    assert "optimise" not in settings, "runs of before the option resume"


def test_a_guessed_schedule_is_recorded_too(tmp_path: Path) -> None:
    class Two(GradientStrategy):
        name = "two"

        def setup(self, ctx: Any) -> None:
            super().setup(ctx)
            ctx.add_supernet("other", {"partial": 1})

    search(SPACE, Two(), TASK, replace(CONFIG, epochs=1, optimise="default"), tmp_path / "run")
    stored = json.loads((tmp_path / "run" / files.SCHEDULES).read_text(encoding="utf-8"))
    assert list(stored) == ["main", 'other {"partial": 1}']
