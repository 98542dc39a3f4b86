"""The report of a run: made from a real record, escaped, whole without the network."""

from __future__ import annotations

import io
import re
import sqlite3
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spacec.diagnostics.model import SpacecError
from spacec.search.files import REPORT, STORE
from spacec.search.record import RunInfo, RunStore
from spacec.search.report.charts import Series, line_chart, linear_axis, log_axis, probability_panels, tick_texts
from spacec.search.report.gather import gather, record_baselines, record_command, record_labels, record_samples
from spacec.search.report.html import Html, shown, tag
from spacec.search.report.png import png, side_by_side
from spacec.search.report.write import write_pictures, write_report
from spacec.search.task import Baseline
from spacec.search.tasks.denoise import Denoise

HOSTILE = "<script>alert('x')</script>\"&"
TEXT = "9c41e07a:net=parallel,fusion"


def info(kind: str, name: str = "", hostile: bool = False) -> RunInfo:
    return RunInfo(
        kind="search" if kind == "search" else "train",
        seed=7,
        space=HOSTILE if hostile else "clearer",
        digest="9c41e07a",
        grammar=f"space x # {HOSTILE}\n",
        grammar_sha256="0" * 64,
        name=name,
        header={"channels": 1, HOSTILE: HOSTILE},
        task={**Denoise().describe(), "name": HOSTILE if hostile else "denoise"},
        strategy={"name": HOSTILE if hostile else "clearer", "options": {"weight": 0.01, "text": HOSTILE}},
        config={"search": {"epochs": 3}} if kind == "search" else {"epochs": 3},
        versions={"spacec": "0.1.0", "torch": "2"},
        environment={"platform": HOSTILE},
    )


def make_run(folder: Path, hostile: bool = False) -> None:
    bad = HOSTILE if hostile else "camera"
    with RunStore(folder / STORE) as store:
        recorder = store.start(info("search", hostile=hostile))
        record_command(recorder, f"spacec demo --out {HOSTILE if hostile else 'runs/demo'}")
        record_labels(recorder, {"net.column[0]": ("parallel", HOSTILE), "net.column[1]": ("parallel", "fusion")})
        for epoch in range(3):
            for step in range(4):
                recorder.metric("search", epoch, step, {"loss": 0.1 / (1 + epoch)})
            recorder.metric("search", epoch, -1, {"psnr": 20.0 + epoch, "loss": 0.1})
            moved = [0.5 + epoch / 10, 0.5 - epoch / 10]
            recorder.probabilities(epoch, {"net.column[0]": moved, "net.column[1]": [0.4, 0.6]})
        recorder.result("derived", "arch", {"psnr": 21.5})
        baselines = [
            Baseline("nlm", "non-local means", 27.0, {bad: 27.0}),
            Baseline("noisy", "noisy input", 19.0, {bad: 19.0}),
            Baseline("blur", HOSTILE if hostile else "best blur", 26.0, {bad: 26.0}, {"width": 1.1}),
        ]
        record_baselines(recorder, "psnr", baselines)
        recorder.close("done")
        for name, level in (("searched", 28.0), ("random", 27.5)):
            recorder = store.start(info("train", name))
            for epoch in range(3):
                recorder.metric("train", epoch, 0, {"loss": 0.01 / (1 + epoch)})
                recorder.metric("valid", epoch, -1, {"psnr": 25.0 + epoch})
            recorder.architecture("trained", -1, TEXT, {"params": 1234567, "macs": 89})
            recorder.result("trained", "test", {"psnr": level, "loss": 0.001})
            record_samples(recorder, "trained", "psnr", {bad: level})
            recorder.close("done")
    levels = (("noisy", 0.1), ("denoised", 0.5), ("clean", 0.9))
    write_pictures(folder, {f"camera.{kind}": torch.full((1, 8, 8), v) for kind, v in levels})


class Page(HTMLParser):
    """Checks nesting and collects texts and tags."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


def render(folder: Path) -> tuple[str, Page]:
    path = write_report(folder)
    assert path == folder / REPORT
    text = path.read_text()
    return text, Page(text)


def test_a_report_says_what_the_record_holds(tmp_path: Path) -> None:
    make_run(tmp_path)
    _, page = render(tmp_path)
    together = "\n".join(page.texts)
    assert "clearer searched for denoise by clearer" in together
    assert "28.00 dB" in page.texts
    assert "2.00 dB above the best fixed Gaussian blur" in together
    assert "1.00 dB above non-local means" in together
    assert "0.50 dB above a random architecture" in together
    assert "87 % of its squared error" in together  # 1 - 10 ** -0.9
    assert TEXT in page.texts
    assert "1\u2009234\u2009567" in page.texts
    assert "spacec demo --out runs/demo" in page.texts


def test_rows_are_in_a_fixed_order_with_ours_last_and_strong(tmp_path: Path) -> None:
    make_run(tmp_path)
    data = gather(tmp_path)
    assert [s.name for s in data.subjects] == ["noisy", "blur", "nlm", "random", "searched"]
    assert data.ours is data.subjects[-1]
    assert data.ours.samples == {"camera": 28.0}
    assert data.subjects[1].remark == "width = 1.1"
    text, _ = render(tmp_path)
    assert len(re.findall(r'<tr class="strong"><td>searched network</td>', text)) == 2


def test_samples_recorded_beside_another_training_join_their_row(tmp_path: Path) -> None:
    with RunStore(tmp_path / STORE) as store:
        for name, level in (("searched", 28.0), ("random", 27.0)):
            recorder = store.start(info("train", name))
            recorder.result("trained", "test", {"psnr": level})
            recorder.close("done")
        recorder = store.start(info("train", "searched"))
        record_samples(recorder, "random", "psnr", {"camera": 27.0})
        recorder.close("done")
    (random, searched) = gather(tmp_path).subjects
    assert (random.name, dict(random.values), dict(random.samples)) == ("random", {"psnr": 27.0}, {"camera": 27.0})
    assert searched.name == "searched"


def test_many_samples_keep_the_page_narrow_and_small(tmp_path: Path) -> None:
    make_run(tmp_path)
    names = [f"photo-{k}" for k in range(20)]
    with RunStore(tmp_path / STORE) as store:
        recorder = store.reopen("train", "searched")
        assert recorder is not None
        record_samples(recorder, "trained", "psnr", dict.fromkeys(names, 20.0))
        recorder.close("done")
    write_pictures(tmp_path, {f"{n}.{kind}": torch.zeros(1, 8, 8) for n in names for kind in ("noisy", "clean")})
    text, page = render(tmp_path)
    assert max(row.count("<td>") for row in text.split("<tr")) <= 6
    assert sum(name == "img" for name, _ in page.tags) <= 3 + 2 * 8 + 5
    assert any("13 further samples" in t for t in page.texts)


def test_hostile_names_are_escaped_everywhere(tmp_path: Path) -> None:
    make_run(tmp_path, hostile=True)
    text, page = render(tmp_path)
    assert "<script" not in text.lower()
    assert not any(name == "script" for name, _ in page.tags)
    assert sum(HOSTILE in t for t in page.texts) >= 8
    for path in (tmp_path / "pictures").glob("*.svg"):
        assert "<script" not in path.read_text()
        ET.parse(path)


def test_a_hostile_drawing_beside_the_record_cannot_run(tmp_path: Path) -> None:
    make_run(tmp_path)
    (tmp_path / "pictures" / "architecture.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"
    )
    text, _ = render(tmp_path)
    assert "<script" not in text


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    make_run(tmp_path)
    text, page = render(tmp_path)
    sources = [a["src"] for name, a in page.tags if name == "img"]
    assert len(sources) == 3 + 4 + 1  # before and after, charts, probabilities
    assert all(s is not None and s.startswith("data:image/") for s in sources)
    assert not {"link", "script", "iframe", "a"} & {name for name, _ in page.tags}
    assert "http" not in re.sub(r'src="data:[^"]*"', "", text).replace("http-equiv", "")
    assert "url(" not in text


def test_an_interrupted_run_is_reported_as_such(tmp_path: Path) -> None:
    with RunStore(tmp_path / STORE) as store:
        recorder = store.start(info("search"))
        recorder.metric("search", 0, 0, {"loss": 0.5})
        recorder.close("interrupted", "stopped by the user")
        store.start(info("train", "searched"))
    _, page = render(tmp_path)
    together = "\n".join(page.texts)
    assert "The search run was interrupted: stopped by the user." in together
    assert "The train 'searched' run had not ended" in together
    assert "Comparison" not in together


def test_a_search_alone_shows_its_validation_result(tmp_path: Path) -> None:
    with RunStore(tmp_path / STORE) as store:
        recorder = store.start(info("search"))
        recorder.architecture("best", -1, TEXT, {"params": 10})
        recorder.result("derived", "arch", {"psnr": 21.5})
        recorder.close("done")
    _, page = render(tmp_path)
    assert "21.50 dB" in page.texts
    assert any("validation data, with the weights of the supernet" in t for t in page.texts)
    assert any(t.startswith("spacec search space.space -p channels=1") for t in page.texts)


def test_an_empty_record_still_makes_a_page(tmp_path: Path) -> None:
    RunStore(tmp_path / STORE).close()
    _, page = render(tmp_path)
    assert "An empty run record" in page.texts


def test_directories_without_a_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpacecError) as caught:
        write_report(tmp_path)
    assert caught.value.diagnostics[0].code == "E0813"
    assert not (tmp_path / REPORT).exists()
    (tmp_path / STORE).write_bytes(b"not a database" * 100)
    with pytest.raises(SpacecError):
        write_report(tmp_path)


def test_values_that_are_not_numbers_do_not_stop_the_report(tmp_path: Path) -> None:
    make_run(tmp_path)
    with RunStore(tmp_path / STORE) as store:
        recorder = store.start(info("train", "broken"))
        recorder.metric("train", 0, 0, {"loss": float("nan")})
        recorder.result("trained", "test", {"psnr": float("inf")})
        recorder.close("failed", "ValueError: no")
    _, page = render(tmp_path)
    assert any("The train 'broken' run failed: ValueError: no." in t for t in page.texts)
    with sqlite3.connect(tmp_path / STORE) as db:
        db.execute("UPDATE results SET value = NULL WHERE name = 'psnr'")
    render(tmp_path)


def test_the_report_is_the_same_from_the_same_record(tmp_path: Path) -> None:
    make_run(tmp_path)
    assert render(tmp_path)[0] == render(tmp_path)[0]


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_png_files_are_read_back_exactly(channels: int, height: int, width: int, seed: int) -> None:
    channels = 1 if channels == 2 else channels
    image = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))
    with Image.open(io.BytesIO(png(image))) as opened:
        found = np.asarray(opened)
    expected = (image * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found.reshape(height, width, channels), expected)


def test_png_clips_and_refuses_other_channels() -> None:
    with Image.open(io.BytesIO(png(torch.tensor([[[-1.0, 2.0]]])))) as opened:
        assert np.asarray(opened).tolist() == [[0, 255]]
    with pytest.raises(ValueError, match="2"):
        png(torch.zeros(2, 3, 3))


def test_pictures_side_by_side() -> None:
    row = side_by_side([torch.zeros(1, 3, 2), torch.zeros(1, 3, 5)], gap=4)
    assert row.shape == (1, 3, 11)
    assert row[0, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9))
@settings(max_examples=100)
def test_linear_axes_cover_the_values_with_few_ticks(values: list[float]) -> None:
    axis = linear_axis(values, 0, 100)
    slack = 1e-9 * max(1, abs(axis.low), abs(axis.high))
    assert axis.low <= min(values) + slack
    assert axis.high >= max(values) - slack
    assert 2 <= len(axis.ticks) <= 9
    assert all(-1e-6 <= axis.at(v) <= 100 + 1e-6 for v in axis.ticks)


@given(st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=9))
@settings(max_examples=100)
def test_log_axes_place_values_by_their_logarithm(values: list[float]) -> None:
    axis = log_axis(values, 100, 0)
    assert axis.low <= min(values) <= max(values) <= axis.high
    middle = (axis.low * axis.high) ** 0.5
    assert axis.at(middle) == pytest.approx(50, abs=1e-6)
    assert len(axis.ticks) <= 18


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ((18.691, 18.692, 18.693), ["18.691", "18.692", "18.693"]),
        ((0.0, 5.0, 10.0, 15.0), ["0", "5", "10", "15"]),
        ((0.005, 0.01, 0.02), ["0.005", "0.01", "0.02"]),
        ((-0.5, 1 - 1.0000000000000002, 0.5), ["-0.5", "0", "0.5"]),
        ((1000.0, 1500.0), ["1000", "1500"]),
        ((1e-7, 2e-7), ["1e-07", "2e-07"]),
    ],
)
def test_ticks_are_short_and_distinct(ticks: tuple[float, ...], expected: list[str]) -> None:
    assert tick_texts(ticks) == expected


@given(st.floats(1e-6, 1e6), st.floats(1.001, 1e6))
def test_a_narrow_log_axis_has_ticks_too(low: float, ratio: float) -> None:
    axis = log_axis([low, low * ratio], 100, 0)
    assert len(axis.ticks) >= 2
    assert len(set(tick_texts(axis.ticks))) == len(axis.ticks)


def test_an_accuracy_that_does_not_move_has_an_axis_of_its_own_size() -> None:
    axis = linear_axis([0.1, 0.1], 0, 100)
    assert (axis.low, axis.high) == pytest.approx((0.04, 0.16))
    assert (linear_axis([3.0], 0, 100).low, linear_axis([3.0], 0, 100).high) == (2, 4)


def test_a_training_of_one_epoch_is_drawn_between_whole_epochs() -> None:
    axis = linear_axis([0.02, 0.5, 0.98], 0, 100, whole=True)
    assert axis.ticks == (0, 1)
    raw = ((0.25, 2.0), (0.75, 1.0))
    svg = line_chart([Series("a", ((0.5, 1.5),), raw)], "t", "epoch", "loss", log=True).render()
    assert "<circle" in svg
    assert "<polyline" in svg


def test_charts_leave_out_what_cannot_be_drawn() -> None:
    points = ((0.0, 1.0), (1.0, float("nan")), (2.0, float("inf")), (3.0, 2.0), (4.0, -1.0))
    svg = line_chart([Series("a", points), Series("b", ((0.0, 1.0),))], "t", "x", "y", log=True).render()
    lines = re.findall(r'<polyline points="([^"]*)"', svg)
    assert [len(line.split()) for line in lines] == [2]
    assert "nan" not in svg
    assert "nothing was recorded" in line_chart([Series("a", ())], "t", "x", "y").render()


def test_probability_panels_have_one_line_per_candidate() -> None:
    history = {f"s{k}": [(0, [0.2, 0.3, 0.5]), (1, [0.1, 0.1, 0.8])] for k in range(4)}
    svg = probability_panels(history, {"s0": ("a", "b", "c")}, limit=3).render()
    ET.fromstring(svg)
    assert svg.count("<polyline") == 9
    assert "1 further slots" in svg


def test_html_attributes_and_texts_are_escaped() -> None:
    assert tag("p", "<b>", Html("<i>x</i>"), class_='"') == '<p class="&quot;">&lt;b&gt;<i>x</i></p>'
    assert [shown(v) for v in (None, True, 0.1, [1, "a"], {"k": False})] == ["none", "yes", "0.1", "1, a", "k = no"]
