"""``spacec bench``: a record, a table and a picture of a space of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.cli.running import Done

Cli = Callable[..., Done]
GRAMMAR = """\
space small(C = 4)
input  image:  [3, H, 8]
output logits: [2]
net = conv(3, C) >> (relu | identity) >> global_pool >> linear(2)
"""
QUICK = ("--size", "H=8", "--batch", "1", "--device", "cpu", "--rounds", "1", "--tune", "0")


@pytest.fixture
def cli(request: pytest.FixtureRequest) -> Cli:
    """Runs a command line; the fixture has the name of the package that is used here."""
    run: Cli = request.getfixturevalue("spacec")
    return run


@pytest.fixture(autouse=True)
def threads() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.space"
    path.write_text(GRAMMAR)
    return path


def test_table_page_and_picture(cli: Cli, file: Path, tmp_path: Path) -> None:
    """With the memory of a process of its own."""
    done = cli("bench", file, *QUICK, "--form", "plain", "-o", tmp_path / "t.md", "--picture", tmp_path / "t.svg")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("small (C = 4): batch 1, H = 8")
    (row,) = [line.split() for line in lines if line.startswith("plain")]
    assert row[3:5] == ["1.00", "1.00"]
    assert "not measured" not in " ".join(row)
    assert lines[-2:] == ["with compiled regions: not measured (--compile)", "on a GPU: not measured"]
    assert "| plain |" in (tmp_path / "t.md").read_text()
    assert (tmp_path / "t.svg").read_text().startswith("<svg")
    assert done.err.count("\n") == 2, "no progress in a pipe"


def test_json_where_the_memory_cannot_be_measured(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    done = cli("bench", file, *QUICK, "--json", "--form", "plain", "--form", "fast", "--threads", "1")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert set(record["forms"]) == {"plain", "fast"}
    for form in record["forms"].values():
        assert len(form["seconds"]) == 1
        assert form["memory"] == {}
        assert form["calls"]["forward"]["products"] == 2
    assert "memory of plain: the process failed" in done.err


def test_memory_of_one_form(cli: Cli, file: Path) -> None:
    done = cli("bench", file, *QUICK, "--alone", "plain")
    found = json.loads(done.out)
    assert found["live"] > 0
    assert found["held"] == 4 * (4 * 27 + 4 * 2 + 2 + 3 * 64)


def test_a_schedule_of_ones_own(cli: Cli, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is measured, told in the record, and taken back from there."""
    from spacec.lower.schedule import Schedule

    monkeypatch.setattr("sys.executable", "/bin/false")
    own = tmp_path / "own.json"
    own.write_text(json.dumps(Schedule(("canonicalise", "mixes"), "channels_last").to_json()))
    done = cli("bench", file, *QUICK, "--json", "--form", "fast", "--schedule", own)
    assert json.loads(done.out)["schedules"]["fast"] == json.loads(own.read_text())
    for text in ("{", "[]", '{"version": 0}', '{"version": 1, "layout": "sideways"}'):
        own.write_text(text)
        done = cli("bench", file, *QUICK, "--schedule", own)
        assert (done.code, "E0743" in done.err) == (1, True)


def test_a_schedule_is_looked_for(cli: Cli, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = cli("bench", file, *QUICK[:-1], "1", "--json", "--form", "fast")
    record = json.loads(done.out)
    assert record["schedules"]["fast"]["measured"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*QUICK, "--form", "plan"), 2, "the forms of this space are plain"),
        ((), 1, "E0512"),
        ((*QUICK, "--size", "X=8"), 2, "no free size"),
        ((*QUICK, "--device", "cuda:99"), 1, "E0708"),
        ((*QUICK, "--preset", "none"), 1, "error"),
    ],
)
def test_what_cannot_be_measured(cli: Cli, file: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = cli("bench", file, *arguments)
    assert (done.code, said in done.err) == (code, True), done.err
