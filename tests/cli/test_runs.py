"""`spacec runs`: records made here, and what the commands say of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spacec.search.record import RunInfo, RunStore
from tests.cli.running import Done

Run = Callable[..., Done]
ACCURACY = {"name": "accuracy", "direction": "max", "unit": "%", "digits": 2}


def record(place: Path, strategy: str, accuracy: float | None, seed: int = 0, status: str = "done") -> None:
    place.mkdir(parents=True)
    task = {"name": "digits", "metrics": [ACCURACY]}
    told = {"name": strategy, "options": {}}
    info = RunInfo("search", seed, "cell", "abc", "space cell", "0", task=task, strategy=told, config={"seed": seed})
    with RunStore(place / "run.sqlite") as store:
        recorder = store.start(info)
        recorder.architecture("best", -1, f"abc:cell={seed}", {"params": 1000 - seed})
        if accuracy is not None:
            recorder.result("derived", "arch", {"accuracy": accuracy, "loss": 1.0})
        recorder.close(status, "")  # type: ignore[arg-type]  # one of the statuses


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    record(tmp_path / "b", "darts", 70.0, seed=1)
    record(tmp_path / "deep" / "a", "random", 90.5, seed=2)
    record(tmp_path / "c", "evolution", None, seed=3, status="failed")
    return tmp_path


def listed(done: Done) -> list[str]:
    assert done.code == 0, done.err
    return [Path(found["run"]).name for found in json.loads(done.out)]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ["b", "a", "c"]),
        (("--reverse",), ["c", "a", "b"]),
        (("--sort", "run"), ["b", "c", "a"]),
        (("--sort", "accuracy"), ["a", "b", "c"]),
        (("--sort", "accuracy", "--reverse"), ["b", "a", "c"]),
        (("--sort", "params"), ["c", "a", "b"]),
        (("--sort", "strategy", "-n", "2"), ["b", "c"]),
        (("--strategy", "*a*"), ["b", "a"]),
        (("--status", "failed"), ["c"]),
        (("--space", "cell", "--task", "digits"), ["b", "a", "c"]),
        (("--metric", "accuracy"), ["b", "a"]),
        (("--metric", "accuracy >= 70.5"), ["a"]),
        (("--metric", "psnr"), []),
    ],
)
def test_which_runs_in_which_order(spacec: Run, shelf: Path, given: tuple[str, ...], names: list[str]) -> None:
    assert listed(spacec("runs", "list", shelf, "--json", *given)) == names


def test_a_line_says_what_a_run_was(spacec: Run, shelf: Path) -> None:
    done = spacec("runs", "list", shelf, "--sort", "accuracy")
    head, best, *_ = done.out.splitlines()
    assert head.split() == ["run", "kind", "space", "strategy", "task", "status", "started", "time", "trials", "result"]
    assert best.split()[:6] == [str(shelf / "deep/a"), "search", "cell", "random", "digits", "done"]
    assert best.endswith("accuracy 90.50 % (arch)")


def test_what_cannot_be_read_does_not_hide_the_rest(spacec: Run, shelf: Path) -> None:
    for name in ("torn", "begun"):
        (shelf / name).mkdir()
    (shelf / "torn" / "run.sqlite").write_bytes(b"no database at all, of no kind")
    (shelf / "begun" / "run.sqlite").touch()
    done = spacec("runs", "list", shelf, "--json")
    assert listed(done) == ["b", "a", "c"]
    assert "warning[E0813]" in done.err
    assert "warning[E0841]" in done.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("nowhere",), "error[E0840]: there is no folder 'nowhere'"),
        (("grammars", "--metric", ">1"), "not a name, or a name, one of < <= > >= and a number"),
        (("grammars", "--metric", "a>b"), "not a name, or a name, one of < <= > >= and a number"),
    ],
)
def test_what_is_asked_wrongly(spacec: Run, given: tuple[str, ...], message: str) -> None:
    done = spacec("runs", "list", *given)
    assert done.code
    assert message in done.err


def test_a_wrong_key_or_command_names_the_nearest(spacec: Run, shelf: Path) -> None:
    assert "Did you mean 'accuracy'?" in spacec("runs", "list", shelf, "--sort", "acuracy").err
    assert "Did you mean 'list'?" in spacec("runs", "lst").err
    assert spacec("runs", "list", "grammars").out == "no runs\n"
