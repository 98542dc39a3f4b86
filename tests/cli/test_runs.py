"""`spacec runs`: records made here, and what the commands say of them."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest

from spacec.search.catalogue import parts_in, summarise
from spacec.search.comparing import differing, settings_of_run
from spacec.search.record import RunInfo, RunStore, TrialRow
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


def searched(place: Path, values: list[float], seed: int = 0, noise: float = 0.1) -> None:
    """A search by trials, whose second trial failed."""
    place.mkdir(parents=True)
    task = {"name": "digits", "options": {"noise": noise}, "metrics": [ACCURACY]}
    strategy = {"name": "random", "options": {"mode": "trials"}}
    config = {"seed": seed, "trials": len(values), "trial": {"epochs": 1}}
    info = RunInfo("search", seed, "cell", "abcdef0123", "space cell", "0", task=task, strategy=strategy, config=config)
    with RunStore(place / "run.sqlite") as store:
        recorder = store.start(info)
        for number, value in enumerate(values):
            metrics = {} if number == 1 else {"accuracy": value}
            row = TrialRow(number, f"abc:cell=a{number}", status="done", told=number, metrics=metrics)
            recorder.trial(replace(row, costs={"params": 10}, error="" if metrics else "MemoryError: too large\nmore"))
        recorder.architecture("best", -1, "abc:cell=a0", {"params": 1000})
        recorder.result("derived", "arch", {"accuracy": max(values)})
        recorder.close("interrupted", "stopped by the user")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    searched(tmp_path / "a", [60.0, 99.0, 70.0, 65.0])
    searched(tmp_path / "b", [50.0, 99.0, 80.0], seed=4, noise=0.5)
    return tmp_path / "a", tmp_path / "b"


def test_one_run_in_all_that_is_known_of_it(spacec: Run, pair: tuple[Path, Path]) -> None:
    done = spacec("runs", "show", pair[0])
    assert done.code == 0, done.err
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "status interrupted: stopped by the user" in lines
    assert f"goes on spacec resume {pair[0]}" in lines
    assert "space cell (abcdef01)" in lines
    assert "task digits noise = 0.1" in lines
    assert "result accuracy 99.00 % (arch)" in lines
    assert "search derived arch accuracy 99.00 %" in lines
    assert lines[-2:] == ["1 trial failed", "search 1 MemoryError: too large"]
    told = json.loads(spacec("runs", "show", pair[0] / "run.sqlite", "--json").out)
    assert (told["trials"], told["failed"], told["parts"][0]["config"]["trials"]) == (4, 1, 4)
    assert "E0840" in spacec("runs", "show", pair[0].parent).err


def test_runs_side_by_side(spacec: Run, pair: tuple[Path, Path]) -> None:
    done = spacec("runs", "compare", *pair)
    assert done.code == 0, done.err
    settings, results, best = (part.splitlines() for part in done.out.split("\n\n"))
    rows = [line.split() for line in settings[2:]]
    assert rows == [["task.noise", "0.1", "0.5"], ["search.seed", "0", "4"], ["search.trials", "4", "3"]]
    assert ["failed", "trials", "1", "1"] in [line.split() for line in results]
    assert [line.split() for line in best[2:]] == [
        ["1", "60.00", "%", "50.00", "%"],
        ["2", "60.00", "%", "50.00", "%"],
        ["3", "70.00", "%", "80.00", "%"],
        ["4", "70.00", "%"],
    ]
    told = json.loads(spacec("runs", "compare", *pair, "--json").out)
    assert told["settings"]["search.seed"] == [0, 4]
    assert [course["best"] for course in told["courses"]] == [[60.0, 60.0, 70.0, 70.0], [50.0, 50.0, 80.0]]
    assert spacec("runs", "compare", pair[0]).code == 2
    assert "there are accuracy" in spacec("runs", "compare", *pair, "--metric", "psnr").err


def test_a_searcher_is_compared_option_by_option(tmp_path: Path) -> None:
    found = []
    for name, population in (("a", 4), ("b", 8)):
        searcher = {"name": "spos-evolution", "options": {"population": population, "top": 2}}
        told = {"name": "spos", "searcher": searcher, "options": {"batches": 4}}
        with RunStore(tmp_path / f"{name}.sqlite") as store:
            store.start(RunInfo("search", 0, "cell", "abc", "space cell", "0", strategy=told)).close("done", "")
            found.append(settings_of_run(summarise(store, name, parts_in(store, name))))
    assert differing(found) == {"strategy.searcher.options.population": [4, 8]}


def test_trials_as_a_table(spacec: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "trials"
    for suffix in (".csv", ".parquet", ".json"):
        done = spacec("runs", "export", tmp_path, "-o", out.with_suffix(suffix))
        assert (done.code, done.out) == (0, f"7 rows in {out.with_suffix(suffix)}\n")
    with open(out.with_suffix(".csv"), newline="") as file:
        table = list(csv.DictReader(file))
    whole = pyarrow.parquet.read_table(out.with_suffix(".parquet")).to_pylist()
    told = json.loads(out.with_suffix(".json").read_text())
    assert [Path(row["run"]).name for row in table] == ["a"] * 4 + ["b"] * 3
    assert [row["metrics.accuracy"] for row in table[:3]] == ["60.0", "", "70.0"]
    assert [row["metrics.accuracy"] for row in whole[:3]] == [60.0, None, 70.0]
    assert [row["metrics"].get("accuracy") for row in told[:3]] == [60.0, None, 70.0]
    assert {row["costs.params"] for row in whole} == {10}
    assert table[0]["architecture"] == "abc:cell=a0"


@pytest.mark.parametrize(
    ("what", "count"),
    [("runs", 2), ("results", 2), ("architectures", 2), ("metrics", 0), ("readings", 0), ("events", 0)],
)
def test_every_table_of_a_record(spacec: Run, pair: tuple[Path, Path], what: str, count: int) -> None:
    done = spacec("runs", "export", *pair, "--what", what)
    assert len(list(csv.DictReader(io.StringIO(done.out)))) == count


def test_a_file_is_written_whole_or_not_at_all(
    spacec: Run, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "t.csv"
    out.write_text("before")
    assert "say --format" in spacec("runs", "export", *pair, "-o", tmp_path / "t.xls").err
    assert "E0840" in spacec("runs", "export", tmp_path / "nowhere", "-o", out).err
    assert spacec("runs", "export", pair[0], "--format", "parquet").code == 2
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    missing = spacec("runs", "export", *pair, "--format", "parquet", "-o", out)
    assert "E0720" in missing.err
    assert "spacec[parquet]" in missing.err
    assert out.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
