"""The report of a run from its record alone: drawn, judged and explained without the run's directory."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.cli.main import run
from spacec.diagnostics.model import SpacecError
from spacec.reporting import report_page, space_of_record
from spacec.search.files import STORE
from spacec.search.record import RunInfo, RunStore, TrialRow
from spacec.search.report.gather import gather_store
from spacec.search.report.scatter import Aim, front, scatter
from spacec.search.report.trials import tradeoffs, trial_charts
from tests.cli.running import ROOT
from tests.report.test_report import HOSTILE, Page

GRAMMAR = (ROOT / "grammars/nas_bench_201.space").read_text()
SPACE = spacec.loads(GRAMMAR)
ARCHS = SPACE.sample(8, seed=1)
TASK: dict[str, Any] = {
    "name": "digits",
    "metrics": [{"name": "accuracy", "direction": "max", "unit": "%", "digits": 2}, {"name": "latency"}],
}
INFO = RunInfo("search", 3, SPACE.name, SPACE.digest, GRAMMAR, "0" * 64, header=dict(SPACE.header), task=TASK,
               strategy={"name": "asha", "options": {}}, versions={"torch": "9.8"})  # fmt: skip


def trial(number: int, accuracy: float | None, **more: Any) -> TrialRow:
    arch = ARCHS[number % len(ARCHS)].text()
    metrics = {} if accuracy is None else {"accuracy": accuracy, "latency": 10.0 - number}
    row = TrialRow(number, arch, status="done", asked=float(number), told=number, metrics=metrics,
                   costs={"params": 1000.0 * (number + 1)}, seconds=5.0, finished=number + 5.0)  # fmt: skip
    return replace(row, **more)


def record(path: Path, info: RunInfo = INFO, rows: tuple[TrialRow, ...] = (), best: str = "") -> Path:
    with RunStore(path / STORE) as store:
        recorder = store.start(info)
        for row in rows:
            recorder.trial(row)
        recorder.architecture("best", -1, best or ARCHS[2].text(), {"params": 12345})
        recorder.result("derived", "arch", {"accuracy": 77.125})
        recorder.close("done")
    return path / STORE


def page_of(path: Path, job: str = "") -> str:
    with RunStore(path) as store:
        return report_page(store, job)


def pictures(text: str) -> list[str]:
    return [base64.b64decode(p).decode() for p in re.findall(r"data:image/svg\+xml;base64,([^\"]*)", text)]


ROWS = (
    trial(0, 50.0, budget=1),
    trial(1, None, budget=1, status="failed", error=f"RuntimeError: {HOSTILE}", traceback=f"line 1\n{HOSTILE}"),
    trial(2, 60.0, budget=1),
    trial(3, 70.0, budget=9, resume=0),
    trial(4, 65.0, budget=9, resume=2),
    trial(5, 71.0, budget=9),
)


def test_the_page_is_made_where_nothing_but_the_record_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = record(tmp_path, rows=ROWS)
    assert run(["runs", "report", str(alone), "-o", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == f"report        {tmp_path / 'page.html'}\n"
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    together = "\n".join(page.texts)
    assert "77.12 %" in page.texts
    assert "Seed 3; torch 9.8." in together
    assert "1 of 6 trials failed; the search went on without them." in page.texts
    assert "median of 5 trials" in page.texts
    drawn = pictures(text)
    assert any(">conv" in svg and ">input<" in svg for svg in drawn), "the architecture"
    assert any("Search: best accuracy so far" in svg for svg in drawn)
    assert any("best accuracy by time" in svg and "time (seconds)" in svg for svg in drawn)
    assert any("accuracy (%) against weights" in svg for svg in drawn)
    for svg in drawn:
        ET.fromstring(svg)


def test_a_failed_trial_has_its_reason_and_its_traceback_folded_and_escaped(tmp_path: Path) -> None:
    text = page_of(record(tmp_path, rows=ROWS))
    page = Page(text)
    assert [name for name, _ in page.tags].count("details") == 1
    assert "open" not in next(attributes for name, attributes in page.tags if name == "details")
    assert f"RuntimeError: {HOSTILE}" in page.texts
    assert "<script" not in text.lower()


def test_budgets_are_told_and_only_the_largest_is_compared(tmp_path: Path) -> None:
    path = record(tmp_path, rows=ROWS)
    page = Page(page_of(path))
    at = page.texts.index("best accuracy")
    assert page.texts[at + 1 : at + 11] == ["1", "3", "0", "1", "60.00 %", "9", "3", "2", "0", "71.00 %"]
    with RunStore(path) as store:
        (x, y, points, _), *others = tradeoffs(gather_store(store))
    assert (x.label, x.direction, y.label, y.direction) == ("weights", "min", "accuracy (%)", "max")
    assert (points, others) == ([(4000.0, 70.0), (5000.0, 65.0), (6000.0, 71.0)], [])


def test_the_strategys_objectives_are_those_that_are_drawn(tmp_path: Path) -> None:
    strategy = {"name": "nsga2", "options": {"objectives": ["accuracy", "latency:min"]}}
    path = record(tmp_path, replace(INFO, strategy=strategy), ROWS)
    with RunStore(path) as store:
        ((x, _, points, _),) = tradeoffs(gather_store(store))
    assert (x.label, x.direction) == ("latency", "min")
    assert [a for a, _ in points] == [7.0, 6.0, 5.0]


def test_time_is_that_of_the_clock_or_what_a_table_says(tmp_path: Path) -> None:
    rows = tuple(replace(r, asked=1.7e9 + r.asked, finished=1.7e9 + 3600 * 5 * r.number) for r in ROWS)
    with RunStore(record(tmp_path, rows=rows)) as store:
        data = gather_store(store)
    assert "time (hours)" in trial_charts(data)["incumbents-time"]
    asked = [{**run, "task": {**run["task"], "benchmark": "a table"}} for run in data.runs]
    assert "training time (seconds)" in trial_charts(replace(data, runs=asked))["incumbents-time"]


def test_a_grammar_that_cannot_be_compiled_is_reported_without_a_drawing(tmp_path: Path) -> None:
    lacking = {
        "a": "space a\ninput x: [4]\nnet = undefined_op(x)\n",
        "b": f"space b\nuse '{ROOT}/grammars/darts.space'\ninput x: [4]\nnet = x\n",
    }
    for name, grammar in lacking.items():
        folder = tmp_path / name
        folder.mkdir()
        text = page_of(record(folder, replace(INFO, grammar=grammar, header={})))
        assert "It is not drawn here: " in text
        assert "How to reproduce" in text


def test_a_grammar_reads_no_file_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "near.space").write_text("let near(x) = relu(x)\n")
    monkeypatch.chdir(tmp_path)
    for path in ("near.space", str(tmp_path / "near.space"), "../near.space"):
        grammar = f'space s\nuse "{path}"\ninput x: [4]\nnet = near(x)\n'
        with pytest.raises(SpacecError) as caught:
            space_of_record({"grammar": grammar, "header": {}})
        assert caught.value.diagnostics[0].code == "E0871", caught.value


def test_a_record_whose_trials_hold_no_numbers_still_makes_a_page(tmp_path: Path) -> None:
    odd: dict[str, Any] = {"accuracy": "high", HOSTILE: [1]}
    Page(page_of(record(tmp_path, rows=(*ROWS, trial(6, 1.0, metrics=odd, costs={"params": None})))))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_front_is_what_no_point_betters(points: list[tuple[float, float]]) -> None:
    x, y = Aim("cost", "min"), Aim("value", "max")
    found = {points[k] for k in front(points, x, y)}

    def bettered(p: tuple[float, float]) -> bool:
        return any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)

    assert found == {p for p in points if not bettered(p)}
    ET.fromstring(scatter(points, x, y, "front").render())
