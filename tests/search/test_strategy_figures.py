"""What a strategy says of itself: tables in the record, strokes in the report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import spacec
from spacec.search.config import SearchConfig
from spacec.search.figure import Figure, Table, owner
from spacec.search.record import RunStore
from spacec.search.report.strokes import strokes
from spacec.search.report.write import write_report
from spacec.search.runner import search
from spacec.search.strategy import Path as Forward
from spacec.search.strategy import Strategy
from spacec.space.architecture import Architecture
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space pair(width = 3, classes = 2)
input  x: [width]
output logits: [classes]
net = (skip: identity | lin: linear()) >> linear(classes)
""")
LABELS = ("epoch", "score", "cost")


class Keeping(Strategy):
    """Keeps 'a' in epochs 0 and 1, 'b' from 1 on; measures the epoch."""

    name = "keeping"
    help = "keeps & drops"
    figures = (
        Figure("What is kept", "score", table="score", shade="cost"),
        Figure("The epoch", "epochs", ("so far",)),
        Figure("Not recorded", "nothing", ("nothing",)),
    )

    def masks(self, step: int) -> list[Forward]:
        return [Forward(self.ctx.mask_of(self.derive()))]

    def diagnostics(self, ctx: object) -> Mapping[str, float]:
        return {"so far": self.ctx.epoch + 1}

    def readings(self) -> Mapping[str, Table]:
        kept = {name: k for k, name in enumerate("ab") if self.ctx.epoch in ((0, 1), (1, 2))[k]}
        return {
            "score": {(name,): 0.5 + 0.25 * k for name, k in kept.items()},
            "cost": {(name,): 10.0 * k for name, k in kept.items()},
        }

    def derive(self) -> Architecture:
        return SPACE.sample(1, seed=0)[0]


def test_what_a_strategy_keeps_is_recorded_and_drawn(tmp_path: Path) -> None:
    search(SPACE, Keeping(), Synthetic(), SearchConfig(epochs=3, steps=1), tmp_path)
    with RunStore.of(tmp_path, readonly=True) as store:
        (run,) = store.runs()
        rows = store.readings(run["id"], owner("keeping"))
    kept = [(r["epoch"], *r["place"], r["value"]) for r in rows if r["name"] == "score"]
    assert sorted(kept) == [(0, "a", 0.5), (1, "a", 0.5), (1, "b", 0.75), (2, "b", 0.75)]
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.count("What keeping keeps") == 1
    assert "keeps &amp; drops" in page
    drawn = {p.name for p in (tmp_path / "pictures").iterdir() if p.name.startswith("strategy")}
    assert drawn == {"strategy-keeping-1.svg", "strategy-keeping-2.svg"}
    svg = (tmp_path / "pictures/strategy-keeping-1.svg").read_text(encoding="utf-8")
    assert re.findall(r"<title>([ab]: [^<]*)</title>", svg) == ["a: 0.5, cost 0", "b: 0.75, cost 10"]


def strokes_of(svg: str) -> list[tuple[str, list[float], str]]:
    """Of each stroke what it says, x and y of its ends, and its colour."""
    pattern = r'<g><title>([^<]*)</title>\n<line x1="([^"]*)" y1="([^"]*)" x2="([^"]*)" y2="([^"]*)" stroke="([^"]*)"'
    return [(text, [float(v) for v in at], colour) for text, *at, colour in re.findall(pattern, svg)]


def test_strokes_reach_over_their_epochs_at_their_values() -> None:
    lines = {"a": [(1.0, 0.5), (2.0, 0.5), (4.0, 0.5)], "b": [(2.0, 1.0), (3.0, 0.0)]}
    shades = {"a": {1.0: 5.0, 2.0: 5.0, 4.0: 5.0}, "b": {2.0: 9.0}}
    found = strokes_of(strokes(lines, shades, "t", LABELS).render())
    assert [text for text, _, _ in found] == ["a: 0.5, cost 5", "a: 0.5, cost 5", "b: 1, cost 9", "b: 0"]
    (ax1, ay, ax2, _), (bx1, _, bx2, _), (cx1, cy, cx2, _), (dx1, dy, dx2, _) = (at for _, at, _ in found)
    wide = (ax2 - ax1) / 2
    assert [bx2 - bx1, cx2 - cx1, dx2 - dx1] == pytest.approx([wide] * 3, abs=0.05)
    assert [cx1 - ax1, dx1 - ax1, bx1 - ax1] == pytest.approx([wide, 2 * wide, 3 * wide], abs=0.05)
    assert cy < ay < dy
    assert ay == pytest.approx((cy + dy) / 2, abs=0.05)
    colours = [colour for _, _, colour in found]
    assert colours[0] == colours[1] != colours[2] != colours[3]


def test_strokes_of_one_value_are_stacked() -> None:
    lines = {"a": [(1.0, 0.5)], "b": [(1.0, 0.5), (2.0, 0.5)], "c": [(2.0, 0.25)]}
    svg = strokes(lines, {}, "t", LABELS).render()
    found = strokes_of(svg)
    heights = {(text[0], at[0]): at[1] for text, at, _ in found}
    (a,), (b1, b2) = ([h for (name, _), h in heights.items() if name == wanted] for wanted in "ab")
    assert b2 == a > b1 > a - 8
    assert "equal values are stacked" in svg
    assert "stacked" not in strokes({"a": lines["a"]}, {}, "t", LABELS).render()
