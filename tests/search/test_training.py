"""Training alone: same seed same weights, resume equals uninterrupted, what is kept and what is recorded."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spacec.diagnostics.model import SpacecError
from spacec.search import files
from spacec.search.progress import Progress
from spacec.search.record import RunStore
from spacec.search.trainer import TrainConfig, Trainer
from spacec.search.training import fit, train
from spacec.search.wiring import Wiring
from spacec.testing.synthetic import Synthetic
from tests.search.toy import SPACE, TASK, make

CONFIG = TrainConfig(epochs=4, ema=0.9, drop_path=0.2, cutout=2, label_smoothing=0.1, recalibrate=2, warmup=1.0)
ARCH = make(1, 2)


def weights(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = files.read_tensors(path / files.WEIGHTS)
    return found


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def stop_at(epoch: int, step: int) -> object:
    def progress(now: Progress) -> None:
        if (now.phase, now.epoch, now.step) == ("train", epoch, step):
            signal.raise_signal(signal.SIGINT)

    return progress


def curves(path: Path) -> list[dict[str, object]]:
    with RunStore(path / files.STORE) as store:
        return store.metrics(store.runs()[-1]["id"])


def test_it_learns_and_leaves_a_readable_directory(tmp_path: Path) -> None:
    found = train(SPACE, ARCH, TASK, TrainConfig(epochs=25), tmp_path)
    assert found.test["score"] >= 0.7
    assert sorted(os.listdir(tmp_path)) == [files.CONFIG, files.LOCK, files.STORE, files.TRAINING, files.WEIGHTS]
    network = SPACE.network(ARCH)
    network.load_state_dict(weights(tmp_path))
    assert equal(network.state_dict(), found.model.state_dict())
    with RunStore(tmp_path / files.STORE) as store:
        (run,) = store.runs()
        assert (run["kind"], run["status"], run["task"]["name"]) == ("train", "done", "synthetic")
        results = {(r["split"], r["name"]): r["value"] for r in store.results(run["id"])}
    assert results["test", "score"] == pytest.approx(found.test["score"])


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, optimizer="adam", select="last", ema=0.0, workers=1)])
@pytest.mark.parametrize("stopped", [(0, 2), (2, 3)])
def test_resume_equals_uninterrupted(tmp_path: Path, config: TrainConfig, stopped: tuple[int, int]) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = train(SPACE, ARCH, TASK, config, whole)
    with pytest.raises(KeyboardInterrupt):
        train(SPACE, ARCH, TASK, config, cut, progress=stop_at(*stopped))
    with RunStore(cut / files.STORE) as store:
        assert [(r["status"], r["reason"]) for r in store.runs()] == [("interrupted", "stopped by the user")]
    found = train(SPACE, ARCH, TASK, config, cut, resume=True)
    assert equal(weights(whole), weights(cut))
    assert (found.valid, found.test, found.epoch) == (expected.valid, expected.test, expected.epoch)
    assert curves(whole) == curves(cut)
    with RunStore(cut / files.STORE) as store:
        assert [r["status"] for r in store.runs()] == ["done"]


def test_a_seed_decides_everything(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(name) + seed)
        train(SPACE, ARCH, TASK, replace(CONFIG, seed=seed), tmp_path / name)
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_the_best_epoch_is_kept() -> None:
    splits = TASK.splits(0)
    config = TrainConfig(epochs=12, lr=0.3)
    model = SPACE.network(ARCH, seed=0)
    wiring = Wiring.of(TASK, SPACE.flat)
    trainer = Trainer(model, TASK, wiring, config, splits.weights, splits.arch, torch.device("cpu"))
    seen = [trainer.run_epoch(lambda step, loss: None)["score"] for _ in range(12)]
    assert trainer.load_selected() == seen.index(max(seen))
    assert trainer.measure(splits.arch)["score"] == pytest.approx(max(seen))
    assert len(set(seen)) > 1


def test_a_finished_training_is_not_overwritten(tmp_path: Path) -> None:
    train(SPACE, ARCH, TASK, replace(CONFIG, epochs=1), tmp_path)
    with pytest.raises(SpacecError, match="already holds") as error:
        train(SPACE, ARCH, TASK, replace(CONFIG, epochs=1), tmp_path)
    assert error.value.diagnostics[0].code == "E0815"


def test_resume_refuses_other_settings(tmp_path: Path) -> None:
    train(SPACE, ARCH, TASK, replace(CONFIG, epochs=1), tmp_path)
    with pytest.raises(SpacecError) as error:
        train(SPACE, ARCH, TASK, replace(CONFIG, epochs=1, lr=0.5), tmp_path, resume=True)
    assert error.value.diagnostics[0].code == "E0812"
    assert error.value.diagnostics[0].notes == ("lr: 0.025 then, 0.5 now",)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fill(now: Progress) -> None:
        if (now.phase, now.epoch) == ("train", 2):

            def full(handle: int) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(SpacecError, match="the disk is full"):
        train(SPACE, ARCH, TASK, CONFIG, tmp_path, progress=fill)
    monkeypatch.setattr(os, "fsync", real)
    assert files.read_tensors(tmp_path / files.TRAINING)["trainer"]["epoch"] == 2
    with RunStore(tmp_path / files.STORE) as store:
        (run,) = store.runs()
        assert run["status"] == "failed"
        assert run["reason"].startswith("E0810")
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert train(SPACE, ARCH, TASK, CONFIG, tmp_path, resume=True).epoch >= 0


def test_label_smoothing_needs_a_task_that_has_it() -> None:
    class Plain(Synthetic):
        label_smoothing = False

        def adapt(self, inputs: object, outputs: object) -> Plain:
            self._ports = TASK._ports
            return self

    with pytest.raises(SpacecError, match="no label smoothing"):
        train(SPACE, ARCH, Plain(), TrainConfig(epochs=1, label_smoothing=0.1))


def test_a_diverging_loss_is_a_plain_error(tmp_path: Path) -> None:
    config = TrainConfig(epochs=30, lr=1e30, schedule="constant", clip=0)
    with pytest.raises(SpacecError) as error:
        train(SPACE, make(0, 0), TASK, config, tmp_path)
    assert error.value.diagnostics[0].code == "E0820"


def test_a_fit_goes_on_from_its_token() -> None:
    splits, cpu = TASK.splits(0), torch.device("cpu")
    config = TrainConfig(epochs=6, schedule="constant")
    whole = fit(SPACE, ARCH, TASK, splits, config, cpu, 6)
    half = fit(SPACE, ARCH, TASK, splits, config, cpu, 3)
    assert fit(SPACE, ARCH, TASK, splits, config, cpu, 6, half.token).metrics == whole.metrics
