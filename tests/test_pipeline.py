"""The whole job, small: everything a user finds in a run directory, and what an interrupted job leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from spacec_clearer.strategy import Clearer

import spacec
from spacec.pipeline import RANDOM, SEARCHED, Job, Outcome, run_job
from spacec.search.config import strategy_config
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.tasks.denoise import Denoise
from spacec.search.trainer import TrainConfig

GRAMMAR = Path(__file__).parents[1] / "grammars" / "clearer.space"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def job(out: Path) -> Job:
    task = Denoise({"patch": "16", "patches": "8", "crop": "64"})
    search = strategy_config(Clearer.config, {"epochs": 2, "steps": 2, "batch_size": 2, "arch_from": 1})
    train = TrainConfig(epochs=2, steps=2, batch_size=2, recalibrate=1)
    space = spacec.load(GRAMMAR, preset="tiny", residual=1, init=0.1)
    return Job(space, Clearer(), task, search, train, out, "spacec search …")


def silent(_: Progress) -> None: ...


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("job") / "run"
    return out, run_job(job(out), silent)


def test_the_table_has_every_subject(done: tuple[Path, Outcome]) -> None:
    _, ended = done
    assert list(ended.results) == ["noisy", "blur", "nlm", RANDOM, SEARCHED]
    assert ended.results["noisy"]["psnr"] < ended.results["blur"]["psnr"]


def test_the_directory_is_complete(done: tuple[Path, Outcome]) -> None:
    out, ended = done
    for name in ("run.sqlite", "config.json", "space.space", "architecture.json", "architecture.txt", "network.py"):
        assert (out / name).stat().st_size > 0
    text = (out / "architecture.txt").read_text().strip()
    assert text == ended.architecture.text()
    assert json.loads((out / "architecture.json").read_text())["digest"] == ended.architecture.digest
    assert {"architecture.svg", "camera.png", "probabilities.svg"} <= {p.name for p in (out / "pictures").iterdir()}
    page = (out / "report.html").read_text()
    assert text in page
    assert "non-local means" in page


def test_the_exported_file_reproduces_the_reported_value(done: tuple[Path, Outcome]) -> None:
    out, ended = done
    found = subprocess.run(
        [sys.executable, "-I", "network.py", "--check"], cwd=out, capture_output=True, text=True, check=True
    )
    assert f"reported {ended.results[SEARCHED]['psnr']:.4f}: reproduced" in found.stdout


def test_an_interrupted_job_is_readable_and_goes_on(done: tuple[Path, Outcome], tmp_path: Path) -> None:
    def stop(now: Progress) -> None:
        if now.phase == "train" and now.epoch == 1:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_job(job(out), stop)
    with RunStore(out / "run.sqlite") as store:
        assert [r["status"] for r in store.runs()] == ["done", "interrupted"]
    assert "interrupted" in (out / "report.html").read_text() or "stopped" in (out / "report.html").read_text()
    assert not list(out.glob(".*"))
    ended = run_job(job(out), silent, resume=True)
    assert ended.architecture == done[1].architecture
    assert ended.results == done[1].results


def test_another_run_is_left_alone(done: tuple[Path, Outcome]) -> None:
    out, _ = done
    before = (out / "report.html").stat().st_mtime_ns
    with pytest.raises(spacec.SpacecError, match="E0815"):
        run_job(job(out), silent)
    assert (out / "report.html").stat().st_mtime_ns == before
