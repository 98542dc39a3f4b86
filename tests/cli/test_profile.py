"""``spacec profile``: a table that the compiler reads back, and that goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import spacec
from spacec.lower import profile as measured
from spacec.space.latency import read_latencies
from spacec.syntax.read import source_from_path
from tests.cli.running import Done

GRAMMAR = """\
space small(C = 4, classes = 3)
input  image:  [3, H, W]
output logits: [classes]
net = conv(3, C) >> (conv({1, 3}) | identity) >> conv(1, elastic {2, 4}) >> bn >> global_pool >> linear(classes)
"""


Cli = Callable[..., Done]


@pytest.fixture
def cli(request: pytest.FixtureRequest) -> Cli:
    """Runs a command line; the fixture has the name of the package that is used here."""
    run: Cli = request.getfixturevalue("spacec")
    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.space"
    path.write_text(GRAMMAR + 'where latency("t.csv", H = 8, W = 8) <= 30ms\n')
    return path


@pytest.fixture(autouse=True)
def threads() -> None:
    torch.set_num_threads(1)


def profiled(cli: Cli, file: Path, *more: str) -> tuple[int, str, str]:
    out = str(file.parent / "t.csv")
    sizes = ("--size", "H=8", "--size", "W=8")
    done = cli("profile", str(file), *sizes, "--device", "cpu", "--repeats", "1", "-o", out, *more)
    return done.code, done.out, done.err


def test_a_table_covers_the_space(cli: Cli, file: Path) -> None:
    """The file's own ``where`` names the table that is being made, and is met once it is there."""
    code, out, err = profiled(cli, file)
    assert (code, out) == (0, f"{file.parent / 't.csv'}: 11 rows\n")
    assert "11 ops on cpu" in err
    text = (file.parent / "t.csv").read_text()
    assert text.startswith("# spacec profile of small, torch ")
    assert "# batch: 1\n" in text
    rows = read_latencies(source_from_path(file.parent / "t.csv")).rows
    assert {r.op for r in rows} == {"conv", "identity", "bn", "global_pool", "linear"}
    assert all(r.ms >= 0 for r in rows)
    space = spacec.load(file)
    assert space.count() == 6  # nothing takes 30 milliseconds
    arch = space.sample()[0]
    by_text = {(r.op, r.input, dict(r.attributes).get("kernel"), dict(r.attributes).get("out")): r.ms for r in rows}
    name = 'latency("t.csv", H = 8, W = 8)'
    assert 0 < space.cost(arch, name) <= float(sum(by_text.values()))


def test_it_goes_on_where_it_stopped(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = measured.milliseconds, []

    def interrupted(*arguments: object) -> float:
        asked.append(arguments)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(measured, "milliseconds", interrupted)
    code, _, err = profiled(cli, file)
    assert (code, "interrupted" in err) == (130, True)
    before = (file.parent / "t.csv").read_text().splitlines()
    assert len(before) == 4 + 1 + 3
    code, _, err = profiled(cli, file)
    assert code == 0
    assert "3 of them in" in err
    assert len(asked) == 4 + 8
    assert set(before[5:]) <= set((file.parent / "t.csv").read_text().splitlines())


def test_rows_of_another_batch_are_not_mixed(cli: Cli, file: Path) -> None:
    assert profiled(cli, file)[0] == 0
    text = (file.parent / "t.csv").read_text()
    code, _, err = profiled(cli, file, "--batch", "4")
    assert code == 1
    assert "E0535" in err
    assert (file.parent / "t.csv").read_text() == text


def test_one_architecture_and_missing_sizes(cli: Cli, file: Path) -> None:
    code, out, _ = profiled(cli, file, "--arch", "random:1")
    assert code == 0
    assert int(out.split()[-2]) < 11
    done = cli("profile", str(file), "--device", "cpu", "-o", str(file.parent / "u.csv"))
    assert (done.code, "E0512" in done.err) == (1, True)
    done = cli("profile", str(file), "--size", "X=3")
    assert (done.code, "no free size" in done.err) == (2, True)


def test_sizes_that_follow_picks_are_told(cli: Cli, tmp_path: Path) -> None:
    text = GRAMMAR.replace("[3, H, W]", "[3, 8, 8]").replace(
        "(conv({1, 3}) | identity)", "dag(x) { return concat(pick 1..2 from [x, x >> relu]: identity) }"
    )
    (tmp_path / "picked.space").write_text(text)
    out = str(tmp_path / "t.csv")
    done = cli("profile", str(tmp_path / "picked.space"), "--device", "cpu", "--repeats", "1", "-o", out)
    assert done.code == 0
    assert "left out: `concat" in done.err
