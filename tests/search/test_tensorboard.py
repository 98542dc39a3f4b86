"""Event files of runs, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

import spacec
from spacec.cli.main import run as command
from spacec.diagnostics.model import SpacecError
from spacec.reporting import Pictures
from spacec.search.files import STORE
from spacec.search.record import RunInfo, RunStore, TrialRow
from spacec.search.report.raster import png_of
from spacec.search.tensorboard import Events
from tests.cli.running import ROOT

GRAMMAR = (ROOT / "grammars/nas_bench_201.space").read_text()
SPACE = spacec.loads(GRAMMAR)
TEXT = SPACE.sample(1, seed=1)[0].text()
TASK: dict[str, Any] = {"name": "digits", "metrics": [{"name": "accuracy", "direction": "max"}]}
INFO = RunInfo("search", 3, SPACE.name, SPACE.digest, GRAMMAR, "0" * 64, header=dict(SPACE.header), task=TASK,
               strategy={"name": "<b>s</b>", "options": {"lr": 0.5}})  # fmt: skip


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(e.step, round(e.value, 4)) for e in found.Scalars(tag)]


def texts(found: EventAccumulator, tag: str) -> list[str]:
    made = [tensor_util.make_ndarray(e.tensor_proto) for e in found.Tensors(f"{tag}/text_summary")]
    return [value.item().decode() for value in made]


def write_epoch(recorder: Any, epoch: int, shift: float = 0.0) -> None:
    for step in range(2):
        recorder.metric("search", epoch, step, {"loss": epoch + step / 2 + shift})
    recorder.metric("search", epoch, -1, {"accuracy": 10.0 * epoch + shift})
    recorder.probabilities(epoch, {"cell[0]": [0.5 + epoch / 10, 0.5 - epoch / 10]})
    recorder.architecture("derived", epoch, TEXT, {"params": 1})
    recorder.flush()


def test_a_run_that_goes_on_is_followed_and_shows_no_step_twice(tmp_path: Path) -> None:
    folder = tmp_path / "tb"
    with RunStore(tmp_path / STORE) as store:
        recorder = store.start(INFO)
        recorder.event("slots", "", {"cell[0]": ["conv", "skip"]})
        with Events(folder) as events:
            for epoch in range(2):
                write_epoch(recorder, epoch)
                events.follow(store)
        write_epoch(recorder, 2)
        with Events(folder) as events:  # as of a run that resumes: another process, the same folder
            events.follow(store)
            write_epoch(recorder, 2, shift=0.25)  # an epoch that was run again
            write_epoch(recorder, 3)
            recorder.result("derived", "arch", {"accuracy": 31.0})
            recorder.close("done")
            events.follow(store)
            events.follow(store)
    found = read(folder / "search")
    assert scalars(found, "search_step/loss") == [
        (0, 0),
        (1, 0.5),
        (2, 1),
        (3, 1.5),
        (4, 2.25),
        (5, 2.75),
        (6, 3),
        (7, 3.5),
    ]
    assert scalars(found, "search_epoch/accuracy") == [(1, 0), (2, 10), (3, 20.25), (4, 30)]
    assert scalars(found, "probability/cell[0]/skip") == [(1, 0.5), (2, 0.4), (3, 0.3), (4, 0.2)]
    assert texts(found, "architecture/derived") == [f"    {TEXT}"] * 4
    assert GRAMMAR.splitlines()[0] in texts(found, "grammar")[0]
    assert found.Tags()["tensors"].count("_hparams_/experiment") <= 1
    *emptied, file = sorted((folder / "search").iterdir())
    assert [path.stat().st_size for path in emptied] == [0, 0]
    steps = Counter((v.tag, e.step) for e in EventFileLoader(str(file)).Load() for v in e.summary.value)
    assert {key: n for key, n in steps.items() if n > 1} == {}, "nor does the file hold one twice"


def test_an_open_reader_forgets_what_was_written_anew(tmp_path: Path) -> None:
    folder = tmp_path / "tb"
    with RunStore(tmp_path / STORE) as store:
        recorder = store.start(INFO)
        write_epoch(recorder, 0)
        with Events(folder) as events:
            events.follow(store)
        reader = read(folder / "search")
        assert len(reader.Scalars("search_step/loss")) == 2
        write_epoch(recorder, 1)
        with Events(folder) as events:
            events.follow(store)
        reader.Reload()
    assert scalars(reader, "search_step/loss") == [(0, 0), (1, 0.5), (2, 1), (3, 1.5)]


def test_trials_settings_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = TrialRow(0, TEXT, status="done", told=0, metrics={"accuracy": 50.0}, costs={"params": 7.0}, finished=1.0)
    failed = replace(
        row, number=1, status="failed", metrics={}, error="RuntimeError: <b>no</b>", traceback="line 1\nline 2"
    )
    with RunStore(tmp_path / STORE) as store:
        recorder = store.start(replace(INFO, name="../run 1"))
        for trial in (
            row,
            failed,
            replace(row, number=2, metrics={"accuracy": 40.0}),
            replace(row, number=3, status="running"),
        ):
            recorder.trial(trial)
        recorder.architecture("best", -1, TEXT, {})
        recorder.result("derived", "arch", {"accuracy": 50.0})
        recorder.close("done")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 4)).save(tmp_path / "pictures" / "camera.png")
    (tmp_path / "pictures" / "odd.png").write_text("no picture")
    assert command(["runs", "tensorboard", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"events        {tmp_path / 'tensorboard'}\n"
    (run,) = (tmp_path / "tensorboard").iterdir()
    assert run.name == "search--run-1"
    found = read(run)
    assert scalars(found, "trial/accuracy") == [(1, 50), (3, 40)]
    assert scalars(found, "best/accuracy") == [(1, 50), (2, 50), (3, 50)]
    assert scalars(found, "result/derived/arch/accuracy") == [(0, 50)]
    assert texts(found, "failed trial") == [f"    RuntimeError: <b>no</b>\n    {TEXT}\n    line 1\n    line 2"]
    assert found.Tags()["images"] == ["architecture/best", "picture/camera"]
    drawn, camera = (found.Images(tag)[0].encoded_image_string for tag in found.Tags()["images"])
    with Image.open(io.BytesIO(drawn)) as image:
        assert len(image.getcolors(1 << 20)) > 20, "boxes, lines and letters"
    assert camera == (tmp_path / "pictures" / "camera.png").read_bytes()
    settings = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"strategy.options.lr" in settings


def test_without_tensorboard_a_diagnostic_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(SpacecError) as caught:
        Events(tmp_path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.help) == ("E0720", 'pip install "spacec[tensorboard]"')


def test_what_is_no_network_has_no_picture() -> None:
    assert Pictures()({"grammar": "space s\n", "header": {}}, TEXT) == b""
    assert png_of('<svg xmlns="http://www.w3.org/2000/svg" width="99999" height="1"></svg>') == b""


def test_a_search_that_resumes_goes_on_with_its_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    asked = ["--strategy", "random", "--benchmark", "nas-bench-201", "--queries", "5", "--out", str(out)]
    assert command(["search", str(ROOT / "grammars/nas_bench_201.space"), *asked, "--tensorboard"]) == 0
    told = capsys.readouterr().out
    assert f"report        {out / 'report.html'}" in told
    (folder,) = (out / "tensorboard").iterdir()
    assert [step for step, _ in scalars(read(folder), "trial/val_acc")] == [1, 2, 3, 4, 5]
    assert command(["resume", str(out), "--trials", "8"]) == 0, capsys.readouterr().err
    assert [step for step, _ in scalars(read(folder), "trial/val_acc")] == [1, 2, 3, 4, 5, 6, 7, 8]
