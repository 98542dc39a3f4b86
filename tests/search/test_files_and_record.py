"""Files are whole or absent, and the record says what happened."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from spacec.search import files
from spacec.search.files import StorageError
from spacec.search.record import RunInfo, RunStore, TrialRow
from spacec.search.store.schema import SCHEMA_VERSION

INFO = RunInfo("search", 0, "fake", "0123abcd", "space fake()", "00", task={"name": "points"}, config={"lr": 0.1})


def code(error: pytest.ExceptionInfo[StorageError]) -> str:
    return error.value.diagnostics[0].code


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_refused_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "architecture.txt"
    files.write_text(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StorageError, match="the disk is full") as error:
        files.write_text(path, "new" * 1000)
    assert code(error) == "E0810"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["architecture.txt"]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as error:
        files.write_text(tmp_path / "no" / "file", "x")
    assert str(tmp_path / "no" / "file") in error.value.diagnostics[0].headline


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harmed"),)

    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"x": Evil()}))
    for name in ("evil.pt", "junk.pt", "pickle.pt"):
        with pytest.raises(StorageError) as error:
            files.read_tensors(tmp_path / name)
        assert code(error) == "E0813"
    assert not (tmp_path / "harmed").exists()


def test_tensors_round_trip(tmp_path: Path) -> None:
    value = {"a": torch.arange(3), "b": [1, 2.5, "x", None, (True,)]}
    files.write_tensors(tmp_path / "x.pt", value)
    read = files.read_tensors(tmp_path / "x.pt")
    assert torch.equal(read.pop("a"), value.pop("a"))
    assert read == value


def test_a_repeated_epoch_replaces_its_rows() -> None:
    with RunStore(None) as store:
        recorder = store.start(INFO)
        for value in (1.0, 2.0):
            recorder.metric("search", 0, 3, {"loss": value})
        recorder.probabilities(0, {"net.a": [0.25, 0.75]})
        recorder.close("done")
        assert store.metrics(recorder.run) == [{"phase": "search", "epoch": 0, "step": 3, "name": "loss", "value": 2.0}]
        assert store.probabilities(recorder.run) == [{"epoch": 0, "slot": "net.a", "values": [0.25, 0.75]}]


def test_a_run_is_described_and_closed(tmp_path: Path) -> None:
    path = tmp_path / files.STORE
    with RunStore(path) as store:
        recorder = store.start(INFO)
        recorder.event("note", "hello", {"n": 1})
        recorder.trial(TrialRow(0, "text", "shared", metrics={"accuracy": 0.5}, seconds=0.1))
        recorder.architecture("best", -1, "text", {"params": 3})
        recorder.result("derived", "test", {"accuracy": 0.25, "psnr": float("nan")})
        recorder.close("failed", "why")
    with RunStore(path) as store:
        (run,) = store.runs()
        assert (run["status"], run["reason"], run["config"]) == ("failed", "why", {"lr": 0.1})
        assert run["ended"] >= run["started"]
        exported = json.loads(json.dumps(store.export()))
    assert exported["version"] == SCHEMA_VERSION
    (found,) = exported["runs"]
    assert found["trials"][0]["metrics"] == {"accuracy": 0.5}
    assert found["events"][0]["data"] == {"n": 1}
    assert {r["name"]: r["value"] for r in found["results"]} == {"accuracy": 0.25, "psnr": None}


def test_several_runs_share_a_database(tmp_path: Path) -> None:
    with RunStore(tmp_path / files.STORE) as store:
        first, second = store.start(INFO), store.start(INFO)
        first.metric("search", 0, 0, {"loss": 1.0})
        second.metric("search", 0, 0, {"loss": 2.0})
        first.close("done")
        second.close("done")
        assert [m["value"] for m in store.metrics(first.run)] == [1.0]
        again = store.reopen("search")
        assert again is not None
        assert again.run == second.run
        assert store.reopen("train") is None
