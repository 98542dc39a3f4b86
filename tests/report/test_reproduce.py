"""The commands that a record implies are read back by the command line's own parsers to the recorded settings."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from spacec.search.config import SearchConfig
from spacec.search.files import STORE
from spacec.search.options import parse_options, split_assignments
from spacec.search.record import RunInfo, RunStore
from spacec.search.report.gather import gather
from spacec.search.report.reproduce import commands
from spacec.search.tasks.denoise import Denoise
from spacec.search.trainer import TrainConfig


def record(folder: Path, task: Denoise, config: TrainConfig, header: dict[str, object]) -> None:
    with RunStore(folder / STORE) as store:
        info = RunInfo(
            kind="train", seed=3, space="s", digest="0" * 8, grammar="", grammar_sha256="", name="searched",
            header=header, task=task.describe(), config=asdict(config),
        )  # fmt: skip
        recorder = store.start(info)
        recorder.architecture("trained", -1, "00000000:net=a,b", {})
        recorder.close("done")


def words_after(words: list[str], flag: str) -> list[str]:
    return [b for a, b in pairwise(words) if a == flag]


def test_an_implied_command_states_every_setting(tmp_path: Path) -> None:
    task = Denoise({"sigma": 50, "quantise": True})
    config = TrainConfig(epochs=7, lr=0.003, batch_size=None, seed=3)
    record(tmp_path, task, config, {"width": 8, "text": "a b;$(c)"})
    (line,) = commands(gather(tmp_path))
    words = shlex.split(line)
    assert words[:3] == ["spacec", "train", "space.space"]
    assert words_after(words, "--arch") == ["00000000:net=a,b"]
    assert words_after(words, "--seed") == ["3"]
    assert split_assignments(words_after(words, "-p"), "-p") == {"width": "8", "text": "a b;$(c)"}
    assert parse_options(Denoise.Options, split_assignments(words_after(words, "-t"), "-t")) == task.options
    read = parse_options(TrainConfig, {**split_assignments(words_after(words, "-o")), "seed": 3})
    assert read == config


def test_an_implied_search_states_how_its_trials_train(tmp_path: Path) -> None:
    config = {**asdict(SearchConfig(epochs=2)), "trial": asdict(TrainConfig(steps=5))}
    with RunStore(tmp_path / STORE) as store:
        info = RunInfo(
            kind="search", seed=0, space="s", digest="0" * 8, grammar="", grammar_sha256="",
            strategy={"name": "random"}, header={}, task=Denoise().describe(), config=config,
        )  # fmt: skip
        store.start(info).close("done")
    (line,) = commands(gather(tmp_path))
    trained = split_assignments(words_after(shlex.split(line), "-O"), "-O")
    assert parse_options(TrainConfig, trained) == TrainConfig(steps=5)


def test_recorded_commands_win(tmp_path: Path) -> None:
    record(tmp_path, Denoise(), TrainConfig(), {})
    with RunStore(tmp_path / STORE) as store:
        recorder = store.reopen("train", "searched")
        assert recorder is not None
        recorder.event("command", "make demo")
        recorder.event("command", "make demo")
        recorder.close("done")
    assert commands(gather(tmp_path)) == ["make demo"]
