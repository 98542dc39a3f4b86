"""HW-NAS-Bench beside NAS-Bench-201's accuracies, from files in the form of a user's."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from spacec_tables.hw_nas_bench import open_hw_nas_bench

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.runner import search
from spacec.search.tabular import Tabular

SPACE = spacec.load(Path(__file__).resolve().parents[3] / "grammars" / "nas_bench_201.space", preset="tiny")
ACCURACY = """idx,arch,c10_val200,c10_val12,c10_test12,c10_train_s,c10_params_M,in16_val200,in16_train_s,in16_params_M
7,|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|,80.5,60.25,61.5,2000,0.5,30.5,8000,0.6
8,|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|,70.0,,50.0,1000,0.1,,,0.2
9,|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|,71.0,51.0,51.0,1000,0.1,20.0,4000,0.2
"""
CIFAR10 = "idx,edgegpu_latency,fpga_energy\n8,2.5,9.0\n7,5.5,18.25\n"
IMAGENET = "idx,edgegpu_latency,fpga_energy\n7,6.5,4.5\n8,,1.0\n"
A, B, C = (
    SPACE.architecture(f"{SPACE.digest}:cell={ops}")
    for ops in ("conv3,none,skip,none,none,conv1", "none,none,none,skip,none,none", "pool,none,none,skip,none,none")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nb201_accuracy.csv").write_text(ACCURACY)
    (tmp_path / "nb201_hwnas_cifar10.csv").write_text(CIFAR10)
    (tmp_path / "nb201_hwnas_ImageNet16-120.csv.gz").write_bytes(gzip.compress(IMAGENET.encode()))
    return tmp_path


def test_one_query_has_accuracy_and_latency(folder: Path) -> None:
    found = open_hw_nas_bench(SPACE.table, folder)
    assert found.which == {"dataset": ("cifar10", "imagenet16-120"), "epochs": ("200", "12")}
    assert [(m.name, m.direction) for m in found.metrics][3:] == [("edgegpu_latency", "min"), ("fpga_energy", "min")]
    answer = found.query(A)
    assert answer.metrics == {"val_acc": 80.5, "model_size": 0.5, "edgegpu_latency": 5.5, "fpga_energy": 18.25}
    assert answer.seconds == 2000
    short = found.query(A, epochs=12)
    assert (short.metrics["val_acc"], short.metrics["test_acc"]) == (60.25, 61.5)
    assert short.seconds == pytest.approx(120)
    other = found.query(B, dataset="imagenet16-120")
    assert (dict(other.metrics), other.seconds) == ({"model_size": 0.2, "fpga_energy": 1.0}, None)


def test_a_cell_that_one_of_the_files_lacks(folder: Path) -> None:
    found = open_hw_nas_bench(SPACE.table, folder)
    for arch in (C, SPACE.sample(seed=1)[0]):
        with pytest.raises(SpacecError) as error:
            found.query(arch)
        assert error.value.diagnostics[0].code == "E0732"


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("nb201_accuracy.csv", "idx,cell\n1,a\n", "it has no column 'arch'"),
        ("nb201_accuracy.csv", "idx,arch\n1,|conv~0|\n", "line 2: '|conv~0|' is not of the form"),
        ("nb201_hwnas_cifar10.csv", "edgegpu_latency\n1\n", "it has no column 'idx'"),
        ("nb201_hwnas_cifar10.csv", "idx,edgegpu_latency\n7,fast\n", "line 2: 'fast' is not a number"),
        ("nb201_accuracy.csv", None, "it has no nb201_accuracy.csv"),
    ],
)
def test_files_that_cannot_be_read(folder: Path, file: str, text: str | None, says: str) -> None:
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(SpacecError) as error:
        open_hw_nas_bench(SPACE.table, folder).query(A)
    assert error.value.diagnostics[0].code == "E0734"
    assert says in error.value.diagnostics[0].headline


def test_a_folder_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACEC_DATA", str(tmp_path))
    with pytest.raises(SpacecError, match="needs a file") as error:
        open_hw_nas_bench(SPACE.table, None)
    assert error.value.diagnostics[0].code == "E0733"
    (tmp_path / "hw-nas-bench").mkdir()
    with pytest.raises(SpacecError, match=r"it has no nb201_accuracy\.csv"):
        open_hw_nas_bench(SPACE.table, None)


def test_lengths_of_training_for_halving(folder: Path) -> None:
    """Over this table ASHA has two rungs, 12 and 200 epochs."""
    from spacec_halving.asha import Asha

    task = Tabular(open_hw_nas_bench(SPACE.table, folder))
    strategy = Asha({"samples": 1})
    with pytest.raises(SpacecError, match="none of the 1 trials succeeded"):
        search(SPACE, strategy, task, SearchConfig())
    assert strategy.lengths == (12, 200)
