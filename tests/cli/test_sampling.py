"""``spacec sample`` and ``spacec enumerate``: every way to draw and to list, in a shell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import spacec as library
from tests.cli.running import ROOT, Done

Run = Callable[..., Done]
NB201 = "grammars/nas_bench_201.space"
FEW = """space few
input  x: [2]
output y: [1]
let a = elastic {1, 2, 3}
net = linear(a) >> linear(1)
"""


def test_laws(spacec: Run, tmp_path: Path) -> None:
    space = library.load(ROOT / NB201)
    plain = spacec("sample", NB201, "-n", "40", "--seed", "3").out.split()
    assert plain == [a.text() for a in space.sample(40, 3)]
    assert spacec("sample", NB201, "--count", "40", "--seed", "3").out.split() == plain
    distinct = spacec("sample", NB201, "-n", "15625", "--without-replacement").out.split()
    assert len(set(distinct)) == 15_625
    for flag in ("--weighted", "--per-decision"):
        found = spacec("sample", NB201, "-n", "2", flag)
        assert (found.code, found.out.split()) == (0, [a.text() for a in space.sample_decisions(2)])
    file = tmp_path / "few.space"
    file.write_text(FEW, encoding="utf-8")
    short = spacec("sample", file, "-n", "4", "--without-replacement")
    assert (short.code, short.out) == (1, "")
    assert "error[E0521]: 4 distinct architectures of few were asked for; 3 were found" in short.err
    for wrong in (["--per-decision", "--weighted"], ["--distinct", "--weighted"], ["--distinct", "--per-decision"]):
        assert spacec("sample", NB201, *wrong).code == 2
    few = library.load(file)
    drawn = few.sample(5, distinct=True)
    assert spacec("sample", file, "-n", "5", "--distinct").out.split() == [a.text() for a in drawn]


def test_many_are_printed_while_they_are_drawn(spacec: Run) -> None:
    whole = spacec("sample", NB201, "-n", "3000").out.split()
    assert len(whole) == 3_000
    assert whole[:1000] == spacec("sample", NB201, "-n", "1000").out.split()


def test_rejection_is_told_on_standard_error(spacec: Run, tmp_path: Path) -> None:
    file = tmp_path / "few.space"
    file.write_text(FEW + "where params * params <= 100\n", encoding="utf-8")
    for number in ("2", "200"):
        found = spacec("sample", file, "-n", number)
        assert found.code == 0
        assert "warning[W0520]: sampled by rejection: " in found.err
        assert "params * params <= 100" in found.err


def test_ranks(spacec: Run) -> None:
    space = library.load(ROOT / NB201)
    lines = spacec("enumerate", NB201, "--from", "15620").out.splitlines()
    assert lines == [f"{rank} {space.unrank(rank)}" for rank in range(15_620, 15_625)]
    assert spacec("enumerate", NB201, "--limit", "2").out.splitlines() == [f"{r} {space.unrank(r)}" for r in (0, 1)]
    (found,) = json.loads(spacec("enumerate", NB201, "--from", "7", "--limit", "1", "--json").out)
    assert found["rank"] == 7
    assert space.architecture({k: v for k, v in found.items() if k != "rank"}) == space.unrank(7)
    late = spacec("enumerate", "grammars/hierarchical.space", "--from", str(10**400), "--limit", "1").out
    assert late.startswith(f"{10**400} ")
    light = spacec("enumerate", NB201, "--where", "params <= 73306").out.splitlines()
    assert [line.split()[0] for line in light] == [str(k) for k in range(3**6)]


@pytest.mark.parametrize(
    ("arguments", "code"), [(("--from", "15626"), 1), (("--from", "-1"), 2), (("--limit", "x"), 2)]
)
def test_ranks_that_are_none(spacec: Run, arguments: tuple[str, ...], code: int) -> None:
    found = spacec("enumerate", NB201, *arguments)
    assert (found.code, found.out) == (code, "")
    assert code == 2 or "error[E0520]: nas_bench_201 has no architecture of rank 15,626" in found.err


def test_a_reader_may_leave_early() -> None:
    for command in ("enumerate grammars/darts.space", "sample grammars/darts.space -n 10000000"):
        script = f"{sys.executable} -m spacec.cli {command} | head -n 2"
        done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert len(done.stdout.splitlines()) == 2
        assert done.stderr == ""


def test_strata(spacec: Run) -> None:
    lines = spacec("sample", NB201, "--stratify", "params", "--bins", "2", "-n", "3").out.splitlines()
    assert lines[0] == "# params < 802,426: 14,080 architectures"
    assert lines[4] == "# 802,426 <= params: 1,545 architectures"
    assert len(lines) == 8
    found = json.loads(spacec("sample", NB201, "--stratify", "params", "--quantiles", "3", "--json").out)
    assert sum(part["size"] for part in found) == 15_625
    assert found[0]["low"] is None
    assert all(len(part["architectures"]) == 1 and part["acceptance"] is None for part in found)
    for wrong in (["--bins", "2"], ["--stratify", "params", "--weighted"], ["--stratify", "params", "--size", "n=3"]):
        assert spacec("sample", NB201, *wrong).code == 2
    assert "E0512" in spacec("sample", NB201, "--stratify", "colour").err


def test_json_of_many_is_one_list(spacec: Run) -> None:
    space = library.load(ROOT / NB201)
    for n in (0, 1, 3):
        found = spacec("sample", NB201, "-n", str(n), "--json").out
        assert found == json.dumps([space.to_json(a) for a in space.sample(n)], indent=2, ensure_ascii=False) + "\n"
