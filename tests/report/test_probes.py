"""What probes measured, in the report: every figure is drawn from the record, many edges stay readable."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from itertools import product
from pathlib import Path

import pytest

from spacec.search.figure import Figure
from spacec.search.files import STORE
from spacec.search.record import RunInfo, RunStore
from spacec.search.report.charts import tick_texts
from spacec.search.report.gather import gather, record_labels
from spacec.search.report.panels import MOST_LINES, panels
from spacec.search.report.probes import probe_charts
from spacec.search.report.reproduce import commands
from spacec.search.report.write import write_report

FIGURES = (
    Figure("Loss minus entropy", "nats", ("wrong", "correct"), "samples", ("cost",), 1, ("weights", "arch")),
    Figure("Cost by candidate", "cost (loss)", table="cost", panel=1),
    Figure("Absent", "probability", table="absent"),
    Figure("Kept", "edges", ("kept",)),
    Figure("Quotient over loss", "R (1/step)", ("kept",), x="loss", x_label="loss (nats)", log=True),
    Figure("Never measured", "y", ("nothing",)),
    Figure("No such table", "y", table="nothing"),
)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with RunStore(tmp_path / STORE) as store:
        info = RunInfo("search", 0, "s", "00", "", "00", task={"name": "digits"}, strategy={"name": "darts"})
        recorder = store.start(info)
        record_labels(recorder, {f"cell.edge[{k}]": ("none", "conv") for k in range(11)})
        told = {"help": f"of {HOSTILE}", "options": {"every": 2}, "figures": [f.describe() for f in FIGURES]}
        recorder.event("probe", "wiring", told)
        for epoch in (-1, 0, 1):
            recorder.metric("search", epoch, -1, {"wiring.kept": 3.0, "wiring.loss": 1.0 / (epoch + 2)})
            splits = product(("cost", "loss"), ("arch", "weights"), ("wrong", "correct"))
            recorder.reading("wiring", "samples", epoch, {key: float(epoch) for key in splits})
            edges = [f"cell.edge[{k}]" for k in range(11)]
            costs = {(edge, label): k * 0.1 for k, edge in enumerate(edges) for label in ("conv", "none")}
            recorder.reading("wiring", "cost", epoch, {**costs, ("cell.edge[3]", HOSTILE): float("nan")})
            recorder.reading("wiring", "absent", epoch, {(edge,): k / 11 for k, edge in enumerate(edges)})
        recorder.event("probe failed", "wiring: ValueError: no such luck")
        recorder.close("done")
    return tmp_path


def texts(svg: str) -> list[str]:
    return [found for part in ET.fromstring(svg).itertext() if (found := part.strip())]


def lines(svg: str) -> int:
    return svg.count("<polyline")


def test_every_figure_with_values_is_drawn(run: Path) -> None:
    charts = {c.title: c for c in probe_charts(gather(run))["wiring"]}
    assert list(charts) == [f.title for f in FIGURES[:5]]
    split = texts(charts["Loss minus entropy"].svg)
    assert split.index("wrong") < split.index("correct") < split.index("weights") < split.index("arch")
    assert lines(charts["Loss minus entropy"].svg) == 4
    assert {"nats", "epoch (0: before the first step)"} <= set(split)
    cost = texts(charts["Cost by candidate"].svg)
    assert [t for t in cost if t in ("none", "conv")] == ["none", "conv"]  # one legend, in the order of the labels
    assert [t for t in cost if t.startswith("cell")] == [f"cell.edge[{k}]" for k in range(11)]
    assert lines(charts["Cost by candidate"].svg) == 22
    assert [c.wide for c in charts.values()] == [True, True, False, False, False]
    assert {"R (1/step)", "loss (nats)", "0.5", "1"} <= set(texts(charts["Quotient over loss"].svg))


def test_of_many_lines_the_largest_are_drawn_and_the_rest_is_counted(run: Path) -> None:
    (absent,) = (c for c in probe_charts(gather(run))["wiring"] if c.title == "Absent")
    assert lines(absent.svg) == MOST_LINES
    found = texts(absent.svg)
    assert "cell.edge[10]" in found
    assert "cell.edge[0]" not in found
    assert "3 further lines with smaller values are in the run record" in found


def test_panels_share_their_axes_and_the_largest_are_kept() -> None:
    grid = {f"edge {k}": {"a": [(0.0, 0.0), (4.0, (-1.0) ** k * k)]} for k in range(30)}
    svg = panels(grid, "t", "x", "y", limit=12).render()
    found = texts(svg)
    assert [t for t in found if t.startswith("edge")] == [f"edge {k}" for k in range(18, 30)]
    assert "18 further panels with smaller values are in the run record" in found
    ends = [tuple(map(float, p.split()[-1].split(","))) for p in re.findall(r'<polyline points="([^"]*)"', svg)]
    heights = [y for _, y in ends]
    assert heights[0::2] == sorted(heights[0::2], reverse=True)
    assert heights[1::2] == sorted(heights[1::2])
    width = float(re.search(r'width="([\d.]+)"', svg)[1])  # type: ignore[index]  # every picture has one
    assert width <= 944  # the page is 1000 wide, with margins


def test_a_label_too_long_for_its_axis_loses_its_brackets() -> None:
    label = "cost (gate times gradient, in units of the loss)"
    grid = {f"p{k}": {"a": [(0.0, 1.0), (1.0, 2.0)]} for k in range(30)}
    assert ">cost<" in panels(dict(list(grid.items())[:4]), "t", "x", label).render()
    assert f">{label}<" in panels(grid, "t", "x", label).render()


def test_one_epoch_is_a_dot() -> None:
    svg = panels({"": {"a": [(0.0, 2.0)]}}, "t", "x", "y").render()
    assert svg.count("<circle") == 1
    assert "nan" not in svg


def test_the_page_has_a_section_and_says_what_failed(run: Path) -> None:
    page = write_report(run).read_text()
    assert "<h2>Probe wiring</h2>" in page
    assert "A probe failed. wiring: ValueError: no such luck" in page
    assert "<script" not in page
    assert {p.name for p in (run / "pictures").glob("probe-*.svg")} == {f"probe-wiring-{k}.svg" for k in range(1, 6)}
    assert write_report(run).read_text() == page


def test_the_implied_command_asks_for_the_probes(run: Path) -> None:
    (line,) = commands(gather(run))
    words = shlex.split(line)
    at = words.index("--probe")
    assert words[at : at + 4] == ["--probe", "wiring", "-P", "wiring.every=2"]


def test_large_numbers_are_short() -> None:
    assert tick_texts((0.0, 500000.0, 1000000.0, 1500000.0)) == ["0", "0.5M", "1M", "1.5M"]
    assert tick_texts((2e9, 4e9)) == ["2G", "4G"]
