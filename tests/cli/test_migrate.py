"""``spacec migrate`` on files and runs: what is written, what is said, what is left alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import spacec as package
from spacec.search.files import STORE
from spacec.search.record import RunInfo, RunStore, TrialRow
from tests.cli.running import Done

Run = Callable[..., Done]
OLD = """space s
input x: [4, 8, 8]
output y: [10]
def f = a: conv(3) | b: relu | c: bn
net = f * 2 >> global_pool >> linear(10)
"""
NEW = OLD.replace("b: relu", "relu")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "old.space").write_text(OLD, encoding="utf-8")
    (tmp_path / "new.space").write_text(NEW, encoding="utf-8")
    return tmp_path


@pytest.fixture
def texts() -> list[str]:
    return [a.text() for a in package.loads(OLD).enumerate()]


def moved(spacec: Run, place: Path, name: str, *more: str) -> Done:
    return spacec("migrate", place / "old.space", place / "new.space", place / name, *more)


def table(place: Path, texts: list[str], name: str = "results.csv", column: str = "architecture") -> Path:
    with (place / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", column, "top, 1"], *([k, t, f"9{k}.50"] for k, t in enumerate(texts))])
    return place / name


def test_a_table_keeps_its_other_columns(spacec: Run, place: Path, texts: list[str]) -> None:
    table(place, texts)
    done = moved(spacec, place, "results.csv")
    assert done.code == 1
    assert done.out.splitlines()[0] == f"{place / 'results.csv'}: 4 of 9 architectures carried"
    assert (
        "lost  net.f[0]: 'b' is no candidate any more (a | relu | c); say --rename 'b=NAME'  (row 5, row 6, row 7)"
        in (done.out)
    )
    done = moved(spacec, place, "results.csv", "--rename", "b=relu", "--force")
    assert done.code == 0
    with (place / "results.migrated.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    new = package.loads(NEW)
    assert [new.architecture(r["architecture"]).choices for r in rows] == [
        package.loads(OLD).architecture(t).choices for t in texts
    ]
    assert [r["top, 1"] for r in rows] == [f"9{k}.50" for k in range(9)]


def test_the_same_space_gives_the_same_bytes(spacec: Run, place: Path, texts: list[str]) -> None:
    path = table(place, texts)
    (place / "list.txt").write_text("# kept\n" + "\n".join(texts), encoding="utf-8")
    (place / "list.json").write_text(json.dumps([{"architecture": t, "loss": 0.10} for t in texts]), encoding="utf-8")
    for name in ("results.csv", "list.txt", "list.json"):
        done = spacec("migrate", place / "old.space", place / "old.space", place / name)
        assert done.code == 0
        stem, suffix = name.split(".")
        assert (place / f"{stem}.migrated.{suffix}").read_bytes() == (place / name).read_bytes()
    assert path.read_bytes().startswith(b"id,")


def test_architectures_as_json_and_lists_of_results(spacec: Run, place: Path) -> None:
    old = package.loads(OLD)
    a, b = old.architecture(f"{old.digest}:net=a,b"), old.architecture(f"{old.digest}:net=a,c")
    (place / "one.json").write_text(json.dumps(old.to_json(a)), encoding="utf-8")
    done = moved(spacec, place, "one.json", "--rename", "b=relu")
    assert done.code == 0
    new = package.loads(NEW)
    assert new.architecture(place / "one.migrated.json").text() == f"{new.digest}:net=a,relu"
    data = {"runs": [{"architecture": x.text(), "accuracy": 1} for x in (a, b)], "text": "a title"}
    (place / "many.json").write_text(json.dumps(data), encoding="utf-8")
    done = moved(spacec, place, "many.json")
    assert done.code == 1
    assert "(record [0])" in done.out
    found = json.loads((place / "many.migrated.json").read_text(encoding="utf-8"))
    assert found == {"runs": [{"architecture": f"{new.digest}:net=a,c", "accuracy": 1}], "text": "a title"}


def test_dry_runs_write_nothing_and_nothing_is_written_over(spacec: Run, place: Path, texts: list[str]) -> None:
    (place / "list.txt").write_text("\n".join(texts), encoding="utf-8")
    done = moved(spacec, place, "list.txt", "--dry-run", "--rename", "b=relu")
    assert (done.code, done.err) == (0, "")
    assert "9 of 9 architectures would be carried" in done.out
    assert not (place / "list.migrated.txt").exists()
    (place / "list.migrated.txt").write_text("mine", encoding="utf-8")
    done = moved(spacec, place, "list.txt", "--rename", "b=relu")
    assert done.code == 1
    assert "E0808" in done.err
    assert (place / "list.migrated.txt").read_text(encoding="utf-8") == "mine"
    assert moved(spacec, place, "list.txt", "--rename", "b=relu", "--force").code == 0
    assert (place / "list.migrated.txt").read_text(encoding="utf-8") != "mine"


def test_values_for_new_decisions(spacec: Run, place: Path, texts: list[str]) -> None:
    (place / "new.space").write_text(OLD.replace("f * 2", "f * 3"), encoding="utf-8")
    (place / "list.txt").write_text(texts[0] + "\n", encoding="utf-8")
    done = moved(spacec, place, "list.txt")
    assert done.code == 1
    assert "net.f[2] is new and has a | b | c; say --set net.f[2]=VALUE" in done.out
    assert not (place / "list.migrated.txt").exists()
    assert moved(spacec, place, "list.txt", "--set", "net.f[2]=c").code == 0
    assert (place / "list.migrated.txt").read_text(encoding="utf-8").strip().endswith(":net=a,a,c")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.csv", "x,y\n1,2\n", "E0601"),
        ("a.csv", "architecture,y\n1,2,3\n", "E0601"),
        ("a.txt", "# nothing\n", "E0601"),
        ("a.json", "{}", "E0601"),
        ("a.json", "{", "E0813"),
    ],
)
def test_files_without_architectures(spacec: Run, place: Path, name: str, content: str, code: str) -> None:
    (place / name).write_text(content, encoding="utf-8")
    done = moved(spacec, place, name)
    assert done.code == 1
    assert code in done.err


def test_wrong_options(spacec: Run, place: Path, texts: list[str]) -> None:
    table(place, texts, column="genotype")
    assert moved(spacec, place, "results.csv", "--column", "genotype", "--rename", "b=relu").code == 0
    assert "E0704" in moved(spacec, place, "results.csv", "--rename", "b").err
    assert "E0705" in moved(spacec, place, "results.csv", "--rename", "b=a", "--rename", "b=relu").err
    assert "E0603" in moved(spacec, place, "results.csv", "--set", "net.g[0]=a").err
    assert "E0810" in moved(spacec, place, "nowhere.csv").err


def recorded(folder: Path, texts: list[str]) -> None:
    folder.mkdir()
    space = package.loads(OLD)
    with RunStore(folder / STORE) as store:
        run = store.start(RunInfo("search", 1, space.name, space.digest, space.text, "0", header={}))
        for k, text in enumerate(texts):
            run.trial(TrialRow(k, text, "shared", 1, metrics={"accuracy": k / 10}, seconds=0.5))
        run.architecture("best", 0, texts[0], {"params": 3})
        run.probabilities(0, {slot.id: [0.2, 0.3, 0.5] for slot in space.slots})
        run.metric("search", 0, 1, {"loss": 0.25})
        run.close("done")
    (folder / "architecture.txt").write_text(texts[0] + "\n", encoding="utf-8")
    (folder / "architecture.json").write_text(json.dumps(space.to_json(space.architecture(texts[0]))), encoding="utf-8")


def test_a_run(spacec: Run, place: Path, texts: list[str]) -> None:
    recorded(place / "run", texts)
    done = moved(spacec, place, "run")
    assert done.code == 1
    assert "5 of 10 architectures carried" in done.out
    assert "note  the probabilities of 2 slots that changed are left out" in done.out
    new = package.loads(NEW)
    folder = place / "run.migrated"
    assert new.architecture(folder / "architecture.json").text() == f"{new.digest}:net=a,a"
    assert (folder / "space.space").read_text(encoding="utf-8") == NEW
    with RunStore(folder / STORE) as store, RunStore(place / "run" / STORE) as old:
        (run,) = store.runs()
        assert (run["digest"], run["grammar"], run["status"]) == (new.digest, NEW, "done")
        assert [t["metrics"] for t in store.trials(1)] == [{"accuracy": k / 10} for k in (0, 2, 6, 8)]
        assert all(new.architecture(t["architecture"]) for t in store.trials(1))
        assert store.metrics(1) == old.metrics(1)
        assert store.probabilities(1) == []
        assert len(old.trials(1)) == 9


def test_a_run_of_the_same_space_is_a_copy(spacec: Run, place: Path, texts: list[str]) -> None:
    recorded(place / "run", texts)
    assert spacec("migrate", place / "old.space", place / "old.space", place / "run").code == 0
    with RunStore(place / "run.migrated" / STORE) as store, RunStore(place / "run" / STORE) as old:
        for part in ("trials", "architectures", "probabilities", "metrics", "results"):
            assert getattr(store, part)(1) == getattr(old, part)(1)


def test_a_folder_that_is_no_run(spacec: Run, place: Path) -> None:
    (place / "empty").mkdir()
    done = moved(spacec, place, "empty")
    assert done.code == 1
    assert "E0813" in done.err
    assert not (place / "empty.migrated").exists()
