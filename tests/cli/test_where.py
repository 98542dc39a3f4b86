"""``--where TEXT``, on the commands that load a space."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import spacec as package
from tests.cli.running import Done

Run = Callable[..., Done]

NB201 = "grammars/nas_bench_201.space"
TIMED = """\
space s
input  image: [3, 8, 8]
output label: [3, 8, 8]
net = conv(3) | conv(1)
"""
LIGHT = ("--where", "params <= 300K", "--where", 'count("conv3") <= 1, count("none") == 0')


def test_counts_and_samples_follow_it(spacec: Run) -> None:
    space = package.load(NB201).where(LIGHT[1]).where(LIGHT[3])
    facts = json.loads(spacec("info", NB201, "--json", *LIGHT).out)
    assert facts["count"] == space.count() < facts["count_without_where"] == 15_625
    assert [c["text"] for c in facts["constraints"]] == ["params <= 300K", *LIGHT[3].split(", ")]
    drawn = spacec("sample", NB201, "-n", "3", "--seed", "2", *LIGHT).out.split()
    assert drawn == [a.text() for a in space.sample(3, 2)]


def test_compile_draws_from_what_is_left(spacec: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    assert spacec("compile", NB201, "--preset", "tiny", *LIGHT[2:], "--arch", "random:3", "-o", path).code == 0
    arch = package.load(NB201, preset="tiny").where(LIGHT[3]).architecture("random:3")
    assert arch.text() in path.read_text()


def test_errors_point_into_the_option(spacec: Run) -> None:
    done = spacec("check", NB201, "--where", "params <= 2M, flops <= 3M")
    assert done.code == 1
    assert " --> --where:1:15" in done.out + done.err
    assert "E0505" in done.out + done.err


def test_training_a_random_one_takes_it_from_what_is_left(spacec: Run, tmp_path: Path) -> None:
    options = ("--preset", "tiny", "--task", "digits", "-o", "epochs=1", "-o", "steps=1", "--device", "cpu")
    done = spacec("train", NB201, *options, *LIGHT[2:], "--arch", "random:1", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    arch = package.load(NB201, preset="tiny").where(LIGHT[3]).architecture("random:1")
    assert arch.text() in "".join(p.read_text() for p in (tmp_path / "run").glob("*.py"))


def test_a_latency_table_is_looked_for_where_one_stands_and_then_beside_the_file(
    spacec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "op,input,attributes,ms\nconv,*,kernel=3,1.0\nconv,*,kernel=1,0.5\n"
    (tmp_path / "beside").mkdir()
    (tmp_path / "here").mkdir()
    path = tmp_path / "beside" / "s.space"
    path.write_text(TIMED)
    (tmp_path / "here" / "t.csv").write_text(table)
    monkeypatch.chdir(tmp_path / "here")
    constraint = ("--where", 'latency("t.csv") <= 0.75ms')
    assert spacec("count", path, *constraint).out == "1 architectures\n"
    assert package.load(path).where(constraint[1]).count() == 1
    (tmp_path / "beside" / "t.csv").write_text(table.replace("1.0", "0.25"))
    assert spacec("count", path, *constraint).out == "1 architectures\n"
    (tmp_path / "here" / "t.csv").unlink()
    assert spacec("count", path, *constraint).out == "2 architectures\n"
    done = spacec("count", path, "--where", 'latency("u.csv") <= 1ms')
    assert done.code == 1
    assert "relative to the working directory, or else to the grammar's file" in " ".join(done.err.split())
    assert "did you mean `t.csv`?" in done.err
