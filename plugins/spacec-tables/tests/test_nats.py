"""Files of NATS-Bench and NAS-Bench-201: written by the authors' package, read without it, compared with it."""

from __future__ import annotations

import bz2
import pickle
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from nats_bench import ArchResults, NATSsize, NATStopology, ResultsCount, pickle_save
from spacec_tables.nas_bench_201 import open_nas_bench_201
from spacec_tables.nats_bench_size import open_nats_bench_size

import spacec
from spacec.diagnostics.model import SpacecError

GRAMMARS = Path(__file__).resolve().parents[3] / "grammars"
TOPOLOGY = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")
SIZE = spacec.load(GRAMMARS / "nats_bench_size.space")
CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|none~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|none~2|",
)
ARCHS = (
    TOPOLOGY.architecture(f"{TOPOLOGY.digest}:cell=conv3,conv3,conv3,skip,conv3,conv1"),
    TOPOLOGY.architecture(f"{TOPOLOGY.digest}:cell=none,none,pool,skip,none,none"),
)
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}


def result(dataset: str, seed: int, epochs: int, rng: Random) -> ResultsCount:
    """A trial as the authors' scripts record one."""
    made = ResultsCount(dataset, None, {}, {}, 1.0 + (seed == 777) * 0.1, 40.5, {}, seed, epochs, [0.01, 0.02])
    steps = range(epochs)
    accuracy, loss = ({e: rng.uniform(10, 99) for e in steps} for _ in range(2))
    made.update_train_info(accuracy, accuracy, loss, {e: rng.uniform(1, 9) for e in steps})
    for name in SETS[dataset]:
        values = [{f"{name}@{e}": rng.uniform(10, 99) for e in steps} for _ in range(3)]
        made.update_eval(*values)
    return made


def info(index: int, arch: str, epochs: int) -> dict[str, Any]:
    rng = Random(f"{index} {epochs}")
    found = ArchResults(index, arch)
    for dataset in SETS:
        for seed in (777, 888) if index else (888,):
            found.update(dataset, seed, result(dataset, seed, epochs, rng))
    state: dict[str, Any] = found.state_dict()
    return state


def table(archs: tuple[str, ...], lengths: tuple[tuple[str, int], ...]) -> dict[str, Any]:
    infos = {k: {name: info(k, arch, epochs) for name, epochs in lengths} for k, arch in enumerate(archs)}
    return {"meta_archs": list(archs), "arch2infos": infos, "evaluated_indexes": set(infos)}


NATS = (("12", 3), ("200", 5))
"""Lengths of training under their names; the epochs themselves are few here."""


@pytest.fixture(params=["file", "folder", "torch"])
def topology(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "torch":
        torch.save(table(CELLS, (("less", 3), ("full", 5))), tmp_path / "NAS-Bench-201-v1_1-096897.pth")
        return tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    whole = table(CELLS, NATS)
    if request.param == "file":
        pickle_save(whole, tmp_path / "NATS-tss-v1_0-3ffb9.pickle", ".pbz2")
        return tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    pickle_save({"meta_archs": whole["meta_archs"]}, tmp_path / "meta.pickle", ".pbz2")
    for index, lengths in whole["arch2infos"].items():
        pickle_save(lengths, tmp_path / f"{index:06d}.pickle", ".pbz2")
    return tmp_path


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("epochs", ["12", "200"])
@pytest.mark.parametrize(("mine", "theirs"), [("cifar10", "cifar10-valid"), ("imagenet16-120", "ImageNet16-120")])
def test_answers_are_those_of_the_authors_package(
    topology: Path, index: int, epochs: str, mine: str, theirs: str
) -> None:
    api = NATStopology(table(CELLS, NATS), verbose=False)
    found = open_nas_bench_201(TOPOLOGY.table, topology)
    for seed, chosen in (("mean", False), ("888", 888)):
        want = api.get_more_info(index, theirs, hp=epochs, is_random=chosen)
        got = found.query(ARCHS[index], dataset=mine, epochs=epochs, seed=seed)
        assert got.metrics["val_acc"] == pytest.approx(want["valid-accuracy"])
        assert got.metrics["test_acc"] == pytest.approx(want["test-accuracy"])
        assert got.seconds is not None
        last = {"12": 2, "200": 4}[epochs]
        valid = api.arch2infos_dict[index][epochs].get_metrics(theirs, "x-valid", last, chosen)["cur_time"]
        assert got.seconds == pytest.approx(want["train-all-time"] + valid)
        costs = api.get_cost_info(index, theirs, epochs)
        assert got.metrics["model_size"] == pytest.approx(costs["params"])
        assert got.metrics["flops"] == pytest.approx(costs["flops"])
        assert got.metrics["latency"] == pytest.approx(costs["latency"])


def test_what_the_file_lacks(topology: Path) -> None:
    found = open_nas_bench_201(TOPOLOGY.table, topology)
    other = TOPOLOGY.architecture(f"{TOPOLOGY.digest}:cell=none,none,none,none,none,none")
    for arch, which in ((other, {}), (ARCHS[0], {"seed": 777}), (ARCHS[1], {"seed": 999})):
        with pytest.raises(SpacecError) as error:
            found.query(arch, **which)
        assert error.value.diagnostics[0].code == "E0732"


def test_the_size_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = (("01", 1), ("12", 3), ("90", 4))
    pickle_save(table(("8:8:16:64:40",), lengths), tmp_path / "NATS-sss-v1_0-50262.pickle", ".pbz2")
    monkeypatch.setenv("SPACEC_DATA", str(tmp_path))
    api = NATSsize(table(("8:8:16:64:40",), lengths), verbose=False)
    found = open_nats_bench_size(SIZE.table, None)
    arch = next(a for a in SIZE.enumerate() if [t for _, t in a.tokens] == ["8", "8", "16", "64", "40"])
    for epochs in ("90", "12", "01"):
        want = api.get_more_info(0, "cifar100", hp=epochs, is_random=False)["valid-accuracy"]
        assert found.query(arch, dataset="cifar100", epochs=epochs).metrics["val_acc"] == pytest.approx(want)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"no archive")
    (tmp_path / "a.pickle.pbz2").write_bytes(b"not packed")
    (tmp_path / "b.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps([1, 2])))
    (tmp_path / "c.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"meta_archs": ArchResults(0, "x")})))
    (tmp_path / "folder").mkdir()
    for name in ("a.pth", "a.pickle.pbz2", "b.pickle.pbz2", "c.pickle.pbz2", "folder"):
        with pytest.raises(SpacecError) as error:
            open_nas_bench_201(TOPOLOGY.table, tmp_path / name)
        assert error.value.diagnostics[0].code == "E0734", name
