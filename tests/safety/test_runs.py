"""Run directories, records, checkpoints, schedules and reports: lines of docs/threats.md."""

from __future__ import annotations

import importlib
import io
import os
import re
import shlex
import shutil
import sqlite3
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.hooks import installed
from spacec.reopen import reopen
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.options import outside
from spacec.search.record import RunInfo, RunStore
from spacec.search.report.gather import gather
from spacec.search.report.reproduce import commands
from spacec.search.report.write import write_report
from spacec.search.runner import search
from spacec.search.training import TrainConfig, train
from spacec.testing.synthetic import Synthetic
from tests.safety.handed import ESCAPES, HARM, MARKUP, SIGN, SPACE, harmed, pickled, written
from tests.safety.handed import spacec as command

EVIL = MARKUP + ESCAPES
INFO = RunInfo(
    kind="search", seed=0, space=EVIL, digest=EVIL, grammar=EVIL, grammar_sha256=EVIL, name=EVIL, header={EVIL: EVIL},
    task={"name": EVIL, "options": {EVIL: EVIL}, "metrics": [{"name": "loss", "direction": "min", "unit": EVIL,
    "digits": 2, "help": EVIL}]}, strategy={"name": EVIL, "options": {EVIL: EVIL}}, config={"search": {EVIL: EVIL}},
    versions={EVIL: EVIL}, environment={EVIL: EVIL},
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was searched honestly."""
    out = tmp_path_factory.mktemp("finished") / "run"
    strategy = installed().find("spacec_strategies", "darts").load()()
    config = SearchConfig(epochs=1, steps=1, batch_size=4, eval_batches=1, device="cpu")
    search(spacec.loads(SPACE), strategy, Synthetic({"samples": 8}), config, out)
    return out


@pytest.fixture
def run(finished: Path) -> Path:
    """A copy of it, for changes."""
    return Path(shutil.copytree(finished, "run"))


def _code(error: pytest.ExceptionInfo[SpacecError]) -> str:
    return error.value.diagnostics[0].code


def _hostile_record(run: Path) -> Path:
    """A record in which every text is an attack."""
    run.mkdir(exist_ok=True)
    with RunStore(run / files.STORE) as store:
        recorder = store.start(INFO)
        for epoch in range(2):
            recorder.metric("search", epoch, -1, {EVIL: 1.0, "loss": 2.0})
            recorder.probabilities(epoch, {EVIL: [0.5, 0.5]})
        recorder.architecture("best", -1, EVIL, {EVIL: 1.0})
        recorder.result("derived", "arch", {"loss": 1.0, EVIL: 1.0})
        recorder.result(EVIL, "test", {"loss": 1.0, f"loss/{EVIL}": 1.0})
        recorder.event("subject", EVIL, {"subject": EVIL, "parameters": {EVIL: EVIL}})
        recorder.event("slots", "", {EVIL: [EVIL, EVIL]})
        recorder.event("probe", EVIL, {"help": EVIL, "options": {EVIL: EVIL}, "figures": []})
        recorder.reading(EVIL, EVIL, 0, {(EVIL,): 1.0})
        recorder.close("failed", EVIL)
    return run


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("strategy", {"name": "os:system", "options": {}}),
        ("strategy", {"name": "../evil", "options": {}}),
        ("task", {"name": "evil:Task", "options": {}}),
        ("task", {"name": "./evil.py:Task", "options": {}}),
        ("search", {"epochs": "__import__('os')"}),
        ("search", {"optimise": "os:system"}),
    ],
)
def test_a_run_directory_names_installed_parts_only(run: Path, part: str, value: dict[str, Any]) -> None:
    written("evil.py", f"{HARM}\nclass Task: ...\n")
    sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    try:
        config = files.read_json(run / files.CONFIG)
        config["search"][part] = value
        files.write_json(run / files.CONFIG, config)
        with pytest.raises(SpacecError):
            reopen(run)
    finally:
        sys.path.remove(os.getcwd())
    assert not harmed()


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"search": ' + "9" * 5_000 + "}", "[]", "", "\xff", '{"search": 3}']
)
def test_settings_that_are_none_are_told_of(run: Path, content: str) -> None:
    (run / files.CONFIG).write_bytes(content.encode("latin1"))
    with pytest.raises(SpacecError) as error:
        reopen(run)
    assert _code(error) in ("E0813", "E0817")


def test_files_of_a_run_are_regular_and_bounded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(files, "MAX_JSON", 100)
        with pytest.raises(SpacecError, match="more than"):
            reopen(run)
    for name in (files.CONFIG, files.CHECKPOINT):
        (run / name).unlink()
        os.mkfifo(run / name)
        with pytest.raises(SpacecError, match="no regular file"):
            files.read_json(run / name) if name == files.CONFIG else files.read_tensors(run / name)


def test_a_checkpoint_is_tensors_and_nothing_else(run: Path) -> None:
    with (run / files.CHECKPOINT).open("rb") as file:
        whole = file.read()
    (run / files.CHECKPOINT).write_bytes(pickled())
    with pytest.raises(SpacecError) as error:
        reopen(run, task=Synthetic())
    assert _code(error) == "E0813"
    source, packed = zipfile.ZipFile(io.BytesIO(whole)), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, pickled() if name.endswith("data.pkl") else source.read(name))
    (run / files.CHECKPOINT).write_bytes(packed.getvalue())
    with pytest.raises(SpacecError) as error:
        reopen(run, task=Synthetic())
    assert _code(error) == "E0813"
    assert not harmed()


def test_a_checkpoint_holds_no_more_than_its_file() -> None:
    torch.save({"a": torch.zeros(1 << 20)}, "plain.pt")
    assert files.read_tensors(Path("plain.pt"))["a"].sum() == 0
    source = zipfile.ZipFile("plain.pt")
    with zipfile.ZipFile("bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    assert Path("bomb.pt").stat().st_size < 20_000
    with pytest.raises(SpacecError) as error:
        files.read_tensors(Path("bomb.pt"))
    assert _code(error) == "E0813"


@pytest.mark.parametrize("state", [{}, [], 3, {"strategy": {}}, {"strategy": 1, "epoch": "x"}])
def test_a_checkpoint_of_another_shape_is_told_of(run: Path, state: object) -> None:
    torch.save(state, run / files.CHECKPOINT)
    with pytest.raises(SpacecError) as error:
        reopen(run, task=Synthetic())
    assert _code(error) == "E0813"
    space = spacec.loads(SPACE)
    Path("training").mkdir()
    torch.save(state, Path("training") / files.TRAINING)
    with pytest.raises(SpacecError) as error:
        train(space, space.sample(1)[0], Synthetic(), TrainConfig(epochs=1), Path("training"), resume=True)
    assert _code(error) == "E0813"


def test_a_record_of_another_program_is_left_alone() -> None:
    db = sqlite3.connect("other.sqlite")
    with db:
        db.execute("CREATE TABLE cookies (name TEXT)")
    db.close()
    before = Path("other.sqlite").read_bytes()
    with pytest.raises(SpacecError) as error:
        RunStore(Path("other.sqlite")).close()
    assert _code(error) == "E0813"
    assert Path("other.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE runs; CREATE VIEW runs AS "
        "WITH RECURSIVE t(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM t) SELECT * FROM t",
        "CREATE TRIGGER t AFTER UPDATE ON runs BEGIN DELETE FROM runs; END",
    ],
)
def test_a_record_has_tables_and_nothing_that_runs(run: Path, change: str) -> None:
    db = sqlite3.connect(run / files.STORE)
    db.executescript(change)
    db.close()
    with pytest.raises(SpacecError) as error:
        write_report(run)
    assert _code(error) == "E0813"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE runs SET task = '['", "UPDATE runs SET task = '[]'", "UPDATE runs SET started = 'x'",
        "UPDATE runs SET environment = x'00'", "UPDATE metrics SET value = 'abc'",
        "UPDATE architectures SET costs = '[1]'", """UPDATE probabilities SET "values" = '[{}]'""",
        f"UPDATE runs SET task = '{'[' * 50_000}'",
    ],
)  # fmt: skip
def test_a_record_whose_values_are_others_is_told_of(run: Path, change: str) -> None:
    db = sqlite3.connect(run / files.STORE)
    with db:
        db.execute(change)
    db.close()
    with pytest.raises(SpacecError) as error:
        write_report(run)
    assert _code(error) == "E0813"


@pytest.mark.parametrize("url", ["sqlite:////etc/x", "mysql://h/d", "postgresql+evil://h/d", "file:///etc", "$(id)"])
def test_a_store_that_a_run_names_is_a_postgresql_server(run: Path, url: str) -> None:
    files.write_json(run / files.STORE_PLACE, {"url": url, "job": "j"})
    with pytest.raises(SpacecError) as error:
        RunStore.of(run, readonly=True).close()
    assert _code(error) == "E0832"


def test_a_run_asks_no_server_and_writes_no_file_that_it_names(tmp_path: Path) -> None:
    task = ("--task", "spacec.testing.synthetic:Synthetic")
    small = [word for text in ("epochs=1", "steps=1", "batch_size=4", "eval_batches=1") for word in ("-o", text)]
    made = command("search", written("s.space", SPACE), *task, "--strategy", "darts", *small, "--out", "mine")
    assert made[0] == 0, made[1]
    job = files.read_json(Path("mine") / files.JOB)
    job["executor"] = {"name": "ray", "options": {"address": "ray://127.0.0.1:1"}}
    files.write_json(Path("mine") / files.JOB, job)
    for verb in ("resume", "replay"):
        code, printed = command(verb, "mine", *task)
        assert (code, "E0875" in printed, "ray://127.0.0.1:1" in printed) == (1, True, True), printed
    assert command("resume", "mine", *task, "--outside")[0] == 0, "a search without trials starts no executor"
    optuna = installed().find("spacec_strategies", "optuna").load().Options
    assert outside(optuna(storage="sqlite:////etc/x")) == {"storage": "sqlite:////etc/x"}
    assert not outside(optuna(storage="none"))
    assert not outside(optuna())


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_report_shows_every_text_as_text() -> None:
    run = _hostile_record(Path("run"))
    page = write_report(run).read_text(encoding="utf-8")
    tags = _Tags(page).tags
    assert not {"script", "iframe", "object", "a", "form", "link", "base"} & {name for name, _ in tags}
    for name, attributes in tags:
        assert not [a for a in attributes if a.startswith("on")]
        assert name != "img" or str(attributes["src"]).startswith("data:image/")
    assert "default-src 'none'" in page
    assert not [c for c in page if not c.isprintable() and c not in "\n\t\N{NO-BREAK SPACE}\u2009"]
    for picture in (run / "pictures").glob("*.svg"):
        assert "<script" not in picture.read_text(encoding="utf-8")


def test_a_report_says_commands_that_are_words() -> None:
    """What is copied from "how to reproduce" is one command: every text of the record is a quoted word of it."""
    run = _hostile_record(Path("run"))
    for line in commands(gather(run)):
        words = shlex.split(line)
        assert words[:2] == ["spacec", "search"]
        assert any(SIGN in word for word in words)
        assert not re.search(r"(?<!')\$\(", shlex.join(w for w in words if SIGN not in w))


def test_a_report_shows_no_picture_from_elsewhere(run: Path) -> None:
    secret = written("secret.svg", "<svg>secret</svg>")
    (run / "pictures").mkdir(exist_ok=True)
    (run / "pictures" / "a.svg").symlink_to(secret.resolve())
    os.mkfifo(run / "pictures" / "b.svg")
    assert "a.svg" not in gather(run).pictures
    assert "b.svg" not in gather(run).pictures


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 10_000, '{"version": 1, "passes": ["os:system"]}', "{}"])
def test_a_schedule_is_data(content: str) -> None:
    code, printed = command("bench", written("s.space", SPACE), "--schedule", written("schedule.json", content))
    assert code in (1, 2)
    assert "internal error" not in printed
    assert not harmed()
