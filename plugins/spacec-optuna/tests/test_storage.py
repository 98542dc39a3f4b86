"""The study in a storage: a copy that agrees with the record whatever was killed, and that Optuna's dashboard shows."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from spacec_optuna.mirror import FILE, Mirror, key_of, open_storage
from spacec_optuna.strategy import OptunaSearch

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.record import RunStore
from spacec.search.runner import search
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

ROOT = Path(__file__).resolve().parents[3]
SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 3 >> linear(classes)
""")
TRAIN = TrainConfig(epochs=1, steps=1, batch_size=4)


def run(out: Path | None, trials: int = 3, resume: bool = False, **options: object) -> OptunaSearch:
    strategy = OptunaSearch(options)
    search(SPACE, strategy, Synthetic(), SearchConfig(trials=trials), out, train_config=TRAIN, resume=resume)
    return strategy


def rows(out: Path) -> list[dict[str, Any]]:
    with RunStore(out / files.STORE) as store:
        return store.trials(store.runs()[-1]["id"])


def study(storage: str) -> optuna.Study:
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage)


def agree(out: Path) -> int:
    """Check that storage and record tell the same; the number of trials."""
    seen, told = study(f"sqlite:///{out / FILE}").trials, rows(out)
    assert [t.user_attrs["architecture"] for t in seen] == [r["architecture"] for r in told]
    assert [t.state.name for t in seen] == ["COMPLETE" if r["status"] == "done" else "FAIL" for r in told]
    assert [t.value for t in seen] == [r["metrics"]["score"] for r in told]
    return len(seen)


def test_a_killed_process_leaves_what_the_resumed_one_mends(tmp_path: Path) -> None:
    out = tmp_path / "run"
    (tmp_path / "points.space").write_text(SPACE.text)
    command = [sys.executable, "-m", "spacec.cli", "search", str(tmp_path / "points.space"), "--task"]
    command += ["spacec.testing.synthetic:Synthetic", "--strategy", "optuna", "--out", str(out), "-o", "trials=12"]
    command += ["-o", "sampler_options=n_startup_trials=4", "-o", "budgets=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 100
        while process.poll() is None and time.monotonic() < deadline:
            if (out / FILE).exists() and (out / files.TRIALS).exists() and len(rows(out)) > 3:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    done = subprocess.run([*command, "--resume"], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert agree(out) == 12


def test_a_search_that_goes_on_writes_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(out)
    (out / FILE).unlink()
    run(out, resume=True)
    assert not study_names(out), "nothing was asked for again, and nothing of the search reads the storage"


def study_names(out: Path) -> list[int]:
    return [
        len(s.trials)
        for s in (
            optuna.load_study(study_name=x.study_name, storage=f"sqlite:///{out / FILE}")
            for x in optuna.get_all_study_summaries(f"sqlite:///{out / FILE}")
        )
        if s.trials
    ]


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_writing_again_changes_nothing_and_another_trial_takes_the_number(kind: str, tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path / 'all.db'}" if kind == "sqlite" else str(tmp_path / "all.journal")
    found = {"a": CategoricalDistribution(("x", "y"))}

    def opened() -> Mirror:
        return Mirror(open_storage(where), "one", [StudyDirection.MAXIMIZE], ["score"], "mine", {"seed": 0})

    mirror = opened()
    for again in range(2):
        mirror.start(0, {"a": "x"}, found, "first")
        mirror.report(0, 1, 0.25)
        mirror.end(0, [0.5], False, "")
        mirror.start(1, {"a": "x"}, found, "second")
        mirror = opened() if not again else mirror
    mirror.start(1, {"a": "y"}, found, "other")
    mirror.end(1, None, False, "out of memory")
    seen = optuna.load_study(study_name="one", storage=open_storage(where))
    told = [(t.state.name, t.value, t.params["a"], t.user_attrs["architecture"]) for t in seen.trials]
    assert told == [("COMPLETE", 0.5, "x", "first"), ("FAIL", None, "x", "second"), ("FAIL", None, "y", "other")]
    assert seen.user_attrs["abandoned"] == [1]
    assert seen.trials[2].user_attrs["error"] == "out of memory"
    assert seen.metric_names == ["score"]


def test_a_storage_of_ones_own_is_shared_by_runs_and_never_mixed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    run(tmp_path / "a", storage=url)
    run(tmp_path / "b", storage=url)
    assert sorted(s.study_name for s in optuna.get_all_study_summaries(url)) == ["points a", "points b"]
    with pytest.raises(SpacecError, match="a study 'points a' of another run") as error:
        run(tmp_path / "c", storage=url, study="points a")
    assert error.value.diagnostics[0].code == "E0866"
    run(tmp_path / "a", storage=url, resume=True)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite:////nowhere/at/all.db", "refused"),
        ("nonsense://x", "refused"),
        ("postgresql://me:secret@localhost/x", "has a password"),
    ],
)
def test_a_storage_that_does_not_open_says_why(url: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(SpacecError, match=text) as error:
        run(tmp_path / "run", storage=url)
    assert error.value.diagnostics[0].code == "E0867"
    assert "secret" not in str(error.value)


def test_without_a_directory_the_study_is_nowhere() -> None:
    assert run(None).mirror is None


def test_a_key_is_kept(tmp_path: Path) -> None:
    assert key_of(tmp_path) == key_of(tmp_path) != key_of(None)


@contextmanager
def dashboard(storage: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = "import optuna_dashboard._cli as c, sys; c.main()"
    command = [sys.executable, "-c", start, storage, "--port", str(port), "--host", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def fetched(url: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_the_dashboard_shows_it(tmp_path: Path) -> None:
    run(tmp_path / "run", sampler="random", objectives="score,params")
    with dashboard(f"sqlite:///{tmp_path / 'run' / FILE}") as url:
        (summary,) = fetched(f"{url}/api/studies")["study_summaries"]
        assert summary["study_name"] == "points run"
        assert summary["directions"] == ["maximize", "minimize"]
        detail = fetched(f"{url}/api/studies/{summary['study_id']}?after=0")
    assert [t["state"] for t in detail["trials"]] == ["Complete"] * 3
    assert [p["name"] for p in detail["trials"][0]["params"]] == ["net.block[0]", "net.block[1]", "net.block[2]"]
