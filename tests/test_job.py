"""`job.json` is data: what a run wrote reads back equal, and whatever else is in the file is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.driver import Session
from spacec.job.parts import Code, grammar_of, open_space, task_of
from spacec.job.recipe import Asked, Grammar, Named, Recipe, TaskNamed, read_job, write_job
from spacec.source import SourceFile

USER = """\
space user(C = 4)
use "shelf/pieces.space"
use "../beside.space"
input  x: [3, 8, 8]
output y: [10]
net = block(C) >> last
where latency("ms.csv") < 0.5
"""
PIECES = 'use "deep/more.space"\nuse "../../beside.space"\ndef block(C) = conv(3, C) >> chosen\n'
MORE = "let chosen = relu | identity\n"
BESIDE = "let last = global_pool >> linear(10)\n"
TABLE = "op,input,attributes,ms\nconv,*,kernel=3,0.3\n*,*,,0\n"
SECOND = "op,input,attributes,ms\nconv,*,kernel=3,0.1\n*,*,,0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "here"
    (here / "shelf" / "deep").mkdir(parents=True)
    (here / "user.space").write_text(USER)
    (here / "shelf" / "pieces.space").write_text(PIECES)
    (here / "shelf" / "deep" / "more.space").write_text(MORE)
    (tmp_path / "beside.space").write_text(BESIDE)
    (here / "ms.csv").write_text(TABLE)
    return here


def test_a_grammar_holds_every_file_that_it_is_made_of(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "second.csv").write_text(SECOND)
    where = (SourceFile("--where", 'latency("second.csv") < 1'),)
    space = Session.default().compile(SourceFile(str(folder / "user.space"), USER), {"C": 6}, None, where)
    grammar = grammar_of(space, ())
    assert sorted(Path(f["name"]).name for f in grammar.files) == [
        "beside.space", "more.space", "ms.csv", "pieces.space", "second.csv"
    ]  # fmt: skip
    for path in (*folder.rglob("*"), tmp_path / "second.csv", tmp_path / "beside.space"):
        if path.is_file():
            path.write_text("no longer")
    again = open_space(grammar, tmp_path / "run", Code())
    assert (again.digest, again.header, again.count()) == (space.digest, space.header, space.count())
    assert again.sample(3, seed=1) == space.sample(3, seed=1)
    assert grammar_of(again, ()).files == grammar.files
    assert grammar_of(again, ()).uses == grammar.uses


JOB = Recipe(
    "queries",
    Grammar("a.space", "space a", {"C": 4, "sizes": [8, 16]}, "abcd", where=["params < 1M"], uses=[], tables={}),
    command="spacec search",
    benchmark=Asked("letters", {"dataset": "x"}, "letters:min", runs=3),
    strategy=Named("random", {"samples": None, "rate": 0.1}),
    search={"seed": 0, "lr": 1e-3},
    probes=[Named("wiring", {"every": 2})],
)


def test_it_reads_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_job(tmp_path) is None
    write_job(tmp_path, JOB)
    found = read_job(tmp_path)
    assert found is not None
    write_job(tmp_path, found)
    assert read_job(tmp_path) == found
    assert (found.does, found.benchmark, found.strategy, found.search) == (
        JOB.does, JOB.benchmark, JOB.strategy, JOB.search
    )  # fmt: skip
    assert json.loads((tmp_path / "job.json").read_text())["grammar"]["header"] == {"C": 4, "sizes": [8, 16]}


def put(*keys: str | int, value: Any) -> Callable[[Any], None]:
    def change(whole: Any) -> None:
        for key in keys[:-1]:
            whole = whole[key]
        whole[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "code", "note"),
    [
        (put("version", value=2), "E0843", "version 2"),
        (put("version", value="1"), "E0842", "'version' of the job is \"1\""),
        (put("does", value="delete"), "E0842", "'does' of the job is \"delete\""),
        (put("does", value="train"), "E0842", "has no task"),
        (put("strategy", value=None), "E0842", "has no strategy"),
        (put("strategy", "name", value=["os"]), "E0842", "'name' of 'strategy' of the job"),
        (put("strategy", "code", value="print()"), "E0842", "has 'code', which no job has"),
        (put("grammar", value="space a"), "E0842", "'grammar' of the job is"),
        (put("grammar", "text", value=None), "E0842", "'text' of 'grammar' of the job is null"),
        (put("grammar", "files", value=[{"name": "x"}]), "E0842", "'text'"),
        (put("grammar", "uses", value=[[-1, "b.space", 0]]), "E0842", "a use leads to no file"),
        (put("grammar", "uses", value=[[-1, "b.space"]]), "E0842", "not enough values"),
        (put("grammar", "tables", value={"t": 7}), "E0842", "a use leads to no file"),
        (put("benchmark", "runs", value=True), "E0842", "'runs' of 'benchmark'"),
        (put("compare", value=1), "E0842", "'compare' of the job is 1"),
    ],
)
def test_what_no_run_wrote_is_refused(tmp_path: Path, change: Callable[[Any], None], code: str, note: str) -> None:
    write_job(tmp_path, JOB)
    whole = json.loads((tmp_path / "job.json").read_text())
    change(whole)
    (tmp_path / "job.json").write_text(json.dumps(whole))
    with pytest.raises(SpacecError) as caught:
        read_job(tmp_path)
    assert caught.value.diagnostics[0].code == code
    assert note in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1", "[]", "null", "7", "{}", "[" * 5000])
def test_texts_that_are_no_job(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(SpacecError, match=r"E0842|E0813"):
        read_job(tmp_path)


def test_no_code_comes_from_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    for name in ("trap:data", f"{trap}:data", "./trap.py:data", "os:system"):
        with pytest.raises(SpacecError, match=r"(?s)E0844.*--task"):
            task_of(TaskNamed(name, data=True), tmp_path, Code())
    with pytest.raises(SpacecError, match="E0817"):
        task_of(TaskNamed("trap:data"), tmp_path, Code())
    grammar = grammar_of(spacec.loads("space s\ninput x: [4]\noutput y: [2]\nnet = linear(2)\n"), [str(trap)])
    with pytest.raises(SpacecError, match=rf"(?s)E0844.*--ops {trap}"):
        open_space(grammar, tmp_path, Code())
    assert not (tmp_path / "sprung").exists()


def test_data_that_moved_are_named_again(tmp_path: Path) -> None:
    with pytest.raises(SpacecError, match=r"(?s)E0844.*no folder now.*--task"):
        task_of(TaskNamed(str(tmp_path / "photos"), data=True), tmp_path, Code())
