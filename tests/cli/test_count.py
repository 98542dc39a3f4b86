"""``spacec count``: the numbers are the space's, exact or an estimate that says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import spacec as package
from spacec.space.estimates import Share, count_valid
from tests.cli.running import ROOT, Done

Run = Callable[..., Done]
GRAMMARS = ROOT / "grammars"
COUPLED = """space far
input x: [1, 4, 4]
output y: [1, 4, 4]
{lets}
net = {net}
where {far} <= 300
"""


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """A space whose constraint couples too much to count under."""
    names = [f"k{i}" for i in range(26)]
    lets = "\n".join(f"let {n} = {{1, 3, 5, 7, 9}}" for n in names)
    sums = " + ".join(f"k{i} * k{(i * 11 + 5) % 26}" for i in range(26))
    path = tmp_path / "far.space"
    path.write_text(COUPLED.format(lets=lets, net=" >> ".join(f"conv({n})" for n in names), far=sums))
    return path


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nas_bench_201.space"], "15,625 architectures"),
        (["darts.space", "--owner", "normal"], "1,037,664,180 ways to decide normal"),
        (["nas_bench_201.space", "--where", "params <= 500K"], "10,240 architectures"),
        (["tabular.space"], "856 architectures"),
        (["hierarchical.space", "-p", "levels=1"], None),
        (["two_modality.space", "--distinct"], "1,476 different networks"),
        (
            ["two_modality.space", "--distinct", "live"],
            f"{package.load(GRAMMARS / 'two_modality.space').count(distinct='live'):,} "
            "architectures that differ in what is on a path from input to output",
        ),
    ],
)
def test_counts(spacec: Run, arguments: list[str], line: str | None) -> None:
    done = spacec("count", GRAMMARS / arguments[0], *arguments[1:])
    assert (done.code, done.err) == (0, "")
    assert done.out.strip() == (line or f"{package.load(GRAMMARS / arguments[0], levels=1).count():,} architectures")


def test_a_long_number_is_whole_here_and_in_json(spacec: Run) -> None:
    number = package.load(GRAMMARS / "hierarchical.space").count()
    assert spacec("count", GRAMMARS / "hierarchical.space").out.startswith(f"{number:,} (about ")
    facts = json.loads(spacec("count", GRAMMARS / "hierarchical.space", "--json").out)
    assert (facts["count"], facts["exact"], facts["where"]) == (number, True, [])


def test_an_unknown_owner(spacec: Run) -> None:
    done = spacec("count", GRAMMARS / "darts.space", "--owner", "norml")
    assert done.code == 1
    assert "E0603" in done.err
    assert "did you mean 'normal'?" in done.err


def test_where_exact_is_out_of_reach_it_is_an_estimate_and_says_so(spacec: Run, far: Path) -> None:
    done = spacec("count", far)
    assert done.code == 0
    assert "an estimate\n95 % confidence interval" in done.out
    facts = json.loads(spacec("count", far, "--json").out)
    assert facts["exact"] is False
    assert facts["interval"][0] <= facts["count"] <= facts["interval"][1] <= 5**26
    assert facts["samples"] == 2_000


def test_networks_that_are_not_counted_are_bounded(spacec: Run) -> None:
    facts = json.loads(spacec("count", GRAMMARS / "darts.space", "--distinct", "--json").out)
    assert (facts["count"], facts["exact"], facts["notion"]) == (None, False, "networks")
    low, high = facts["interval"]
    assert 1 < low <= high == package.load(GRAMMARS / "darts.space").count()
    assert spacec("count", GRAMMARS / "darts.space", "--distinct").out.startswith(f"from {low} to 1.08e18 different")
    done = spacec("count", GRAMMARS / "darts.space", "--distinct", "--owner", "normal")
    assert done.code == 1
    assert "E0514" in done.err


def test_intervals_hold_the_true_count_as_often_as_they_say() -> None:
    space = package.load(GRAMMARS / "tabular.space")
    true, found = space.count(), [count_valid(space.table, 100, seed) for seed in range(200)]
    assert sum(low <= true <= high for _, (low, _, high) in found) >= 180
    assert all(low <= middle <= high for _, (low, middle, high) in found)
    assert max(high - low for _, (low, _, high) in found) < true / 10, "of 8,000, a tenth is valid"


def test_intervals_at_the_ends() -> None:
    assert Share(0, 100).interval[0] == 0
    assert 0.03 < Share(0, 100).interval[1] < 0.04
    assert Share(100, 100).of(10**50)[2] == 10**50
