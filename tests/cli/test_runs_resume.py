"""`spacec resume` and `spacec replay`: a run goes on, or comes out again, from its directory and nothing else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacec.search.record import RunStore
from tests.cli.installed import install
from tests.cli.running import Done

Run = Callable[..., Done]
GRAMMAR = """\
space points(width = 5, classes = 3)
use "parts/blocks.space"
input  x: [width]
output logits: [classes]
net = block * 2 >> linear(classes)
where latency("ms.csv") < 100
"""
BLOCKS = 'use "more.space"\ndef block = skip: identity | lin: mixed | norm: mixed >> bn\n'
MORE = "def mixed = linear(bias = 0) >> tanh\n"
TABLE = "op,input,attributes,ms\nlinear,*,,1\n*,*,,0\n"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture
def grammar(tmp_path: Path) -> Path:
    folder = tmp_path / "grammar"
    (folder / "parts").mkdir(parents=True)
    (folder / "points.space").write_text(GRAMMAR)
    (folder / "parts" / "blocks.space").write_text(BLOCKS)
    (folder / "parts" / "more.space").write_text(MORE)
    (folder / "ms.csv").write_text(TABLE)
    return folder / "points.space"


TRIALS = ("--task", "synthetic", "-t", "noise=0.2", "--strategy", "random", "-o", "mode=trials", "-o", "trial_epochs=1")
SHORT = ("-O", "steps=1", "-O", "batch_size=8", "--device", "cpu")
SEARCH = (*TRIALS, *SHORT, "--seed", "3")


def rows(out: Path) -> list[Any]:
    """All that two runs alike share."""
    with RunStore(out / "run.sqlite") as store:
        return [
            [(t["architecture"], t["metrics"]) for t in store.trials(run["id"])]
            + [(m["epoch"], m["step"], m["name"], m["value"]) for m in store.metrics(run["id"])]
            + [(r["subject"], r["split"], r["name"], r["value"]) for r in store.results(run["id"])]
            for run in store.runs()
        ]


def test_a_search_goes_on_where_nothing_but_its_directory_is(
    spacec: Run, grammar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part, moved = tmp_path / "whole", tmp_path / "part", tmp_path / "away" / "moved"
    assert spacec("search", grammar, *SEARCH, "-o", "trials=4", "--out", whole).code == 0
    monkeypatch.setattr("sys.argv", ["spacec", "search", "2"])  # which the record repeats
    done = spacec("search", grammar, *SEARCH, "-o", "trials=2", "--out", part)
    assert done.code == 0, done.err
    shutil.copytree(part, moved)
    shutil.rmtree(grammar.parent)
    monkeypatch.setattr("sys.argv", ["spacec", "resume", "--trials", "4"])
    more = spacec("resume", moved, "--trials", "4")
    assert more.code == 0, more.err
    assert rows(moved) == rows(whole)
    assert len(rows(part)[0]) < len(rows(whole)[0])
    assert spacec("resume", moved).code == 0, "what ended ends again"
    assert rows(moved) == rows(whole)
    assert _commands(moved) == ["spacec search 2", "spacec resume --trials 4"]
    fewer = spacec("resume", moved, "--trials", "3")
    assert "E0846" in fewer.err
    assert "started with 4 trials" in fewer.err
    again = spacec("replay", moved)
    assert (again.code, again.out.splitlines()[0]) == (0, "versions and hardware are the same"), again.err
    assert again.out.splitlines()[1].startswith("results are equal: all ")


def _commands(out: Path) -> list[str]:
    with RunStore(out / "run.sqlite") as store:
        return [e["message"] for run in store.runs() for e in store.events(run["id"]) if e["kind"] == "command"]


def test_a_start_that_was_killed_is_started_again(spacec: Run, grammar: Path, tmp_path: Path) -> None:
    assert spacec("search", grammar, *SEARCH, "-o", "trials=2", "--out", tmp_path / "a").code == 0
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / "job.json", tmp_path / "b")
    assert spacec("resume", tmp_path / "b").code == 0
    assert rows(tmp_path / "b") == rows(tmp_path / "a")


def test_runs_over_a_benchmark_become_more_and_longer(spacec: Run, grammar: Path, tmp_path: Path) -> None:
    base = ("search", grammar, "--benchmark", "letters", "--strategy", "random", "-o", "mode=trials")
    assert spacec(*base, "--queries", "6", "--runs", "3", "--out", tmp_path / "a").code == 0
    assert spacec(*base, "--queries", "4", "--runs", "2", "--out", tmp_path / "b").code == 0
    done = spacec("resume", tmp_path / "b", "--runs", "3", "--trials", "6")
    assert done.code == 0, done.err
    assert "runs          3: median" in done.out
    assert rows(tmp_path / "b") == rows(tmp_path / "a")
    assert spacec("replay", tmp_path / "b").code == 0


def test_a_training_goes_on_and_comes_out_again(spacec: Run, grammar: Path, tmp_path: Path) -> None:
    base = ("train", grammar, "--task", "synthetic", "--arch", "random:1", "-o", "epochs=2", "-o", "steps=1")
    assert spacec(*base, "--device", "cpu", "--out", tmp_path / "a").code == 0
    assert "E0815" in spacec(*base, "--device", "cpu", "--out", tmp_path / "a").err
    before = rows(tmp_path / "a")
    shutil.rmtree(grammar.parent)
    assert spacec("resume", tmp_path / "a").code == 0
    assert rows(tmp_path / "a") == before
    assert "--trials needs a search" in spacec("resume", tmp_path / "a", "--trials", "3").err
    assert "--runs needs a search over a benchmark" in spacec("resume", tmp_path / "a", "--runs", "3").err
    kept = spacec("replay", tmp_path / "a", "--out", tmp_path / "b", "--json")
    told = json.loads(kept.out)
    assert (told["equal"], told["differs"], told["results"]) == (True, [], [])
    assert (tmp_path / "b" / "network.py").is_file()
    assert "E0815" in spacec("replay", tmp_path / "a", "--out", tmp_path / "b").err


def test_a_search_with_a_supernet_and_its_training(spacec: Run, grammar: Path, tmp_path: Path) -> None:
    options = ("-o", "epochs=1", "-o", "steps=1", "-o", "batch_size=8", "-O", "epochs=1", *SHORT)
    out = tmp_path / "a"
    done = spacec("search", grammar, "--task", "synthetic", "--strategy", "darts", *options, "--train", "--out", out)
    assert done.code == 0, done.err
    before = rows(out)
    assert len(before) == 3
    done = spacec("resume", out)
    assert done.code == 0, done.err
    assert "The searched network is" in done.out
    assert rows(out) == before
    assert spacec("replay", out).code == 0


def changed(out: Path, sql: str) -> None:
    with sqlite3.connect(out / "run.sqlite") as record:
        record.execute(sql)
    record.close()


def test_replay_says_what_differs(spacec: Run, grammar: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    assert spacec("search", grammar, *SEARCH, "-o", "trials=2", "--out", out).code == 0
    changed(out, "UPDATE runs SET versions = json_set(versions, '$.torch', '1.13')")
    changed(out, "UPDATE trials SET metrics = json_set(metrics, '$.loss', 7.5) WHERE number = 1")
    done = spacec("replay", out)
    assert done.code == 1
    head, torch_line, first, then, now, *rest = done.out.splitlines()
    assert head.split() == ["then", "now"]
    assert torch_line.split()[:2] == ["torch", "1.13"]
    assert first == "results differ, first in search, trials 1:"
    assert (then.split()[:4], now.split()[:3]) == (["then", "metrics", "loss", "7.5"], ["now", "metrics", "loss"])
    assert rest == []


def test_replay_compares_what_a_run_had_reached(spacec: Run, grammar: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    assert spacec("search", grammar, *SEARCH, "-o", "trials=2", "--out", out).code == 0
    changed(out, "DELETE FROM trials WHERE number = 1")
    missing = spacec("replay", out)
    assert missing.code == 1
    assert "then  none" in missing.out
    changed(out, "UPDATE runs SET status = 'interrupted'")
    assert spacec("replay", out).code == 0


@pytest.fixture
def old(spacec: Run, grammar: Path, tmp_path: Path) -> Path:
    """A run of before `job.json`."""
    out = tmp_path / "old"
    assert spacec("search", grammar, *SEARCH, "-o", "trials=2", "--out", out).code == 0
    (out / "job.json").unlink()
    return out


def test_a_run_of_before_goes_on_as_far_as_its_record_tells(spacec: Run, grammar: Path, old: Path) -> None:
    before = rows(old)
    lacks = spacec("resume", old)
    assert "E0209" in lacks.err, "the record does not hold the files that the space uses"
    done = spacec("resume", old, "--library", grammar.parent)
    assert "E0530" in done.err, "nor its tables"
    shutil.copy(grammar.parent / "ms.csv", old)
    assert spacec("resume", old, "--library", grammar.parent).code == 0
    assert rows(old) == before


def test_ops_of_ones_own_are_named_again(spacec: Run, tmp_path: Path) -> None:
    ops = tmp_path / "ops.py"
    ops.write_text(
        "from torch import nn\nclass Halve(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "    def forward(self, x):\n        return x / 2\n"
    )
    (tmp_path / "s.space").write_text("space s\ninput x: [4]\noutput y: [2]\nnet = (halve | tanh) >> linear(2)\n")
    base = ("train", tmp_path / "s.space", "--task", "synthetic", "--arch", "random:1", "-o", "epochs=1")
    out = tmp_path / "a"
    assert spacec(*base, "-o", "steps=1", "--ops", ops, "--out", out).code == 0
    refused = spacec("resume", out)
    assert refused.code == 1
    assert f"namethemagain:--ops{ops}" in "".join(refused.err.split())  # a long path is folded
    assert spacec("resume", out, "--ops", ops).code == 0


def test_what_is_refused_leaves_nothing(spacec: Run, grammar: Path, tmp_path: Path) -> None:
    (tmp_path / "space.space").write_text("space s\ninput x: [4]\noutput y: [2]\nnet = tanh >> linear(2)\n")
    options = ("--task", "synthetic", "--strategy", "darts", "--out", tmp_path / "a")
    assert spacec("search", tmp_path / "space.space", *options).code == 1
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "job.json").write_text('{"print": "this"}')
    done = spacec("search", grammar, *SEARCH, "-o", "trials=1", "--out", tmp_path / "mine")
    assert "E0842" in done.err
    assert (tmp_path / "mine" / "job.json").read_text() == '{"print": "this"}'


@pytest.mark.parametrize("command", ["resume", "replay"])
def test_no_run_there(spacec: Run, command: str, tmp_path: Path) -> None:
    assert "E0840" in spacec(command, tmp_path).err
    assert "E0840" in spacec(command, tmp_path / "nowhere").err
    (tmp_path / "run.sqlite").touch()
    assert "E0841" in spacec(command, tmp_path).err
    (tmp_path / "run.sqlite").write_bytes(b"a text of some length, no database")
    assert "E0813" in spacec(command, tmp_path).err
