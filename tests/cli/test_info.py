"""``spacec info``: what the page says about each construct, and that its numbers are those of the space."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import spacec as package
from spacec.cli.bars import bars
from spacec.cli.numbers import counted, rounded, writable
from tests.cli.running import ROOT, Done

Run = Callable[..., Done]
GOLDEN = Path(__file__).parent / "golden"

EVERYTHING = """\
space everything(C = 4, limit = 100K, classes = 10)
input  image:  [3, 2*H, W]
output logits: [classes]
preset tiny(C = 2, limit = 1K)
let cell = dag(x) { s = [x, x >> relu]; return sum(pick 1..2 from s: conv(3) | skip) }
tied same = conv(1) | conv(3)
let stage[i] = conv(3) | bn
let k = {3, 5}
let w = elastic {4, 8}
def deep(n) = (relu | bn) >> deep(n-1) when n > 1 | bn when n <= 1
net = conv(k, w) >> conv(1, C) >> cell * 2 >> same * 3 >> stage[0] >> stage[1] >> deep(3) >> conv(3, stride = 2)
   >> conv(3) * {1..3} >> global_pool >> linear(classes)
where params <= limit, k <= 5 or depth >= 2, macs(H = 4, W = 8) <= 1M
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "everything.space"
    path.write_text(EVERYTHING)
    return path


def test_the_page_shows_every_construct(spacec: Run, file: Path) -> None:
    done = spacec("info", file)
    assert (done.code, done.err) == (0, "")
    squeezed = [re.sub(" +", " ", line).strip() for line in done.out.splitlines()]
    for line in (
        "parameters C = 4, limit = 100000, classes = 10",
        "presets tiny(C = 2, limit = 1000)",
        "inputs image: [3, 2*H, W]",
        "macs depend on H, W",
        "recursion deep (3 instances)",
        "depth 1 to 3 in a network",
        "cell let used 2 times 3 decisions 8 ways",
        "same tied used 3 times 1 decision 2 ways",
        "stage[2 members] let used 2 times 2 decisions 4 ways",
        "k let 1 decision 2 ways",
        "w elastic 4 | 8",
        "k value 3 | 5",
        "cell.pick[0] subset 1 to 2 of 2",
    ):
        assert line in squeezed, line
    assert squeezed.index("constraints") < squeezed.index("owners") < squeezed.index("decisions", 10)
    assert any(line.startswith("params <= limit alone leaves") for line in squeezed)


def test_the_numbers_are_those_of_every_architecture(spacec: Run, file: Path) -> None:
    facts: dict[str, Any] = json.loads(spacec("info", file, "--json").out)
    space = package.load(file)
    listed = list(space.enumerate())
    assert facts["count"] == len(listed) == space.count()
    assert facts["count_without_where"] == space.count(where=False)
    params = [space.params(a) for a in listed]
    assert facts["costs"]["params"] == {"min": min(params), "max": max(params)}
    assert facts["costs"]["macs"] == {"sizes": ["H", "W"]}
    macs = [space.macs(a, H=4, W=8) for a in listed]
    assert facts["costs"]["macs(H = 4, W = 8)"] == {"min": min(macs), "max": max(macs)}
    alone = [c["satisfied_by"] for c in facts["constraints"]]
    assert alone[1] == sum(1 for _ in space.enumerate(where=False))
    assert alone[0] == sum(space.params(a) <= 100_000 for a in space.enumerate(where=False))
    assert {o["name"]: o["count"] for o in facts["owners"]}["cell"] == space.count("cell")


@pytest.mark.parametrize("grammar", sorted((ROOT / "grammars").glob("*.space")), ids=lambda p: p.stem)
def test_every_shipped_space_has_its_page(spacec: Run, grammar: Path) -> None:
    done = spacec("info", grammar)
    assert (done.code, done.err) == (0, "")
    page = done.out.partition("\ndecisions\n")[0].splitlines()
    assert len(page) <= 26
    assert len(done.out.splitlines()) < len(page) + 30
    facts = json.loads(spacec("info", grammar, "--json").out)
    assert facts["count"] == package.load(grammar).count()
    bounds = facts["costs"]["params"]
    if bounds is not None:
        assert bounds["min"] <= bounds["max"] <= facts["supernet_params"]


@pytest.mark.parametrize("grammar", ["darts", "nas_bench_201", "tabular"])
def test_the_page_as_it_was_read(spacec: Run, grammar: str) -> None:
    """All but the line that depends on which samples are drawn. To renew: write what the command prints."""
    lines = spacec("info", ROOT / "grammars" / f"{grammar}.space").out.splitlines(keepends=True)
    shown = "".join(line for line in lines if not line.startswith("dead "))
    assert shown == (GOLDEN / f"info_{grammar}.txt").read_text(encoding="utf-8")


def test_the_list_is_short_unless_all_is_asked_for(spacec: Run) -> None:
    file = ROOT / "grammars" / "hierarchical.space"
    done = spacec("info", file, "-p", "levels=2")
    assert "more rows; --all lists them" in done.out
    assert len(done.out.splitlines()) < 50
    everything = spacec("info", file, "-p", "levels=2", "--all").out
    assert "--all" not in everything
    assert len(everything.splitlines()) > 500


def test_histograms_are_those_of_every_architecture(spacec: Run) -> None:
    facts = json.loads(spacec("info", ROOT / "grammars" / "nas_bench_201.space", "--json").out)
    found, space = facts["histograms"]["params"], package.load(ROOT / "grammars" / "nas_bench_201.space")
    costs = sorted(73_306 + 243_040 * threes + 28_000 * ones for threes, ones in _kernels(space))
    assert found["exact"] is True
    assert found["median"] == costs[(len(costs) - 1) // 2]
    edges = found["edges"]
    for k, share in enumerate(found["shares"]):
        last = k == len(found["shares"]) - 1
        inside = sum(edges[k] <= c < edges[k + 1] or (last and c == edges[-1]) for c in costs)
        assert share == pytest.approx(inside / len(costs))
    low, high = facts["dead"]["interval"]
    assert facts["dead"]["exact"] is False
    assert low < 1 - 5_040 / 15_625 < high  # no edge is none, or all that are cut off


def _kernels(space: package.Space) -> list[tuple[int, int]]:
    """Numbers of 3x3 and 1x1 convolutions of every architecture: (a + b + 3)^6, by its coefficients."""
    assert space.count() == 15_625
    return [(c.count(0), c.count(1)) for c in product(range(5), repeat=6)]


def test_what_is_few_is_compared_in_whole(spacec: Run, tmp_path: Path) -> None:
    path = tmp_path / "few.space"
    path.write_text(
        "space few\ninput x: [4, 8, 8]\noutput y: [4, 8, 8]\nnet = (relu | relu | zero) >> (conv(1) | zero)\n"
    )
    facts = json.loads(spacec("info", path, "--json").out)
    assert facts["count"] == 6
    assert facts["dead"]["exact"] is True
    space = package.load(path)
    assert facts["dead"]["share"] == pytest.approx(sum(bool(space.dead(a)) for a in space.enumerate()) / 6)
    assert facts["distinct"]["count"] == len({space.canonical(a) for a in space.enumerate()})
    assert facts["distinct"]["duplicates"] == pytest.approx(1 - facts["distinct"]["count"] / 6)
    assert "networks: " in spacec("info", path).out


def test_bars_fit_what_they_are_printed_to() -> None:
    shares = [0.0, 0.001, 0.5, 1.0]
    assert bars(shares, "utf-8") == " ▁▄█"
    assert bars(shares, "ascii") == " .=@"
    assert bars([], "utf-8") == ""
    assert bars([0.0, 0.0], "utf-8") == "  "


def test_uses_inside_a_lattice_are_its_calls_and_not_its_paths(spacec: Run) -> None:
    facts = json.loads(spacec("info", ROOT / "grammars" / "auto_deeplab.space", "--json").out)
    uses = {owner["name"]: owner["uses"] for owner in facts["owners"]}
    assert uses["walk"] < 4 * 41  # each of 41 members goes on to at most three others


def test_a_space_that_cannot_be_counted_has_its_page_too(spacec: Run, tmp_path: Path) -> None:
    path = tmp_path / "far.space"
    names = [f"k{i}" for i in range(26)]
    lets = "".join(f"let {n} = {{1, 3, 5, 7, 9}}\n" for n in names)
    far = " + ".join(f"k{i} * k{(i * 11 + 5) % 26}" for i in range(26))
    path.write_text(
        f"space far\ninput x: [1, 4, 4]\noutput y: [1, 4, 4]\n{lets}net = {' >> '.join(f'conv({n})' for n in names)}\n"
        f"where {far} <= 300\n"
    )
    done = spacec("info", path)
    assert done.code == 0
    assert "architectures  not counted (it would take too long)" in done.out
    assert json.loads(spacec("info", path, "--json").out)["count"] is None


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (10**29, "100," + ",".join(["000"] * 9)),
        (123456 * 10**30, "about 1.23e35"),
        (None, "not counted (it would take too long)"),
    ],
)
def test_counts_for_people(number: int | None, text: str) -> None:
    assert counted(number) == text


def test_counts_of_thousands_of_digits() -> None:
    assert counted(10**5000 - 1) == "about 1.00e5000"
    assert writable({"count": [10**5000 - 1, 10**300, None, "text"]}) == {
        "count": ["about 1.00e5000", 10**300, None, "text"]
    }


def test_rounding_agrees_with_the_number_written_out() -> None:
    for number in (10**30, 999 * 10**28, 10**30 - 1, 7**61, 2**300):
        assert rounded(number) == f"{Decimal(number):.2e}".replace("e+", "e")
