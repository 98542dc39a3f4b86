"""A search taken up from its directory is the one that stood there; what is missing is said in words."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from spacec_darts.strategy import DARTS
from spacec_random.strategy import RandomSearch

import spacec
from spacec.reopen import reopen
from spacec.search.config import SearchConfig
from spacec.search.runner import search
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads(
    """
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""",
    width=6,
)
CONFIG = SearchConfig(epochs=2, steps=2, batch_size=8, eval_batches=1, device="cpu", seed=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "darts"
    search(SPACE, DARTS({"arch_lr": 0.05, "arch_betas": (0.4, 0.9)}), Synthetic({"noise": 0.2}), CONFIG, out)
    return out


def test_it_is_the_search_that_stood_there(run: Path) -> None:
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    found = reopen(run, task=Synthetic())
    same = search(SPACE, mine := DARTS({"arch_lr": 0.05, "arch_betas": (0.4, 0.9)}), Synthetic({"noise": 0.2}), CONFIG)
    assert found.space.digest == SPACE.digest
    assert found.space.header == SPACE.header
    assert isinstance(found.strategy, DARTS)
    assert found.strategy.options == mine.options
    assert (found.context.epoch, found.context.step, found.context.config) == (2, 4, CONFIG)
    for name, tensor in same.context.supernet.state_dict().items():
        assert torch.equal(tensor, found.context.supernet.state_dict()[name])
    for slot, logits in mine.logits.items():
        assert torch.equal(logits, found.strategy.logits[slot])
    assert sorted(found.probabilities) == [0, 1]
    assert found.probabilities[1] == {slot: tuple(p) for slot, p in mine.probabilities().items()}
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before


def test_the_device_may_be_another(run: Path) -> None:
    assert reopen(run, task=Synthetic(), device="cpu").context.device.type == "cpu"
    with pytest.raises(spacec.SpacecError, match="E0708"):
        reopen(run, task=Synthetic(), device="abacus")


def recorded(column: str, value: object) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with sqlite3.connect(path / "run.sqlite") as record:
            record.execute(f"UPDATE runs SET {column} = ?", (value if isinstance(value, str) else json.dumps(value),))
        record.close()

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "run.sqlite").unlink(), "E0840.*holds no run"),
        (lambda p: (p / "run.sqlite").write_bytes(b"no"), "E0813.*not a run record"),
        (lambda p: (p / "config.json").write_text("{"), "E0813.*not JSON"),
        (recorded("kind", "train"), "E0845.*which architecture was trained"),
        (recorded("strategy", {"options": {}}), "E0845.*which strategy it had"),
        (recorded("strategy", {"name": "darst", "options": {}}), "E0710.*darst"),
        (recorded("config", {"epochs": "many"}), "E0702.*epochs"),
        (recorded("grammar", SPACE.text.replace(" | norm", "| n2: bn | norm")), "E0812.*then"),
        (lambda p: (p / "checkpoint.pt").write_bytes(b"no"), "E0813.*not a checkpoint"),
        (lambda p: (p / "checkpoint.pt").unlink(), "E0817.*no epoch of it was finished"),
    ],
)
def test_what_is_missing_is_named(run: Path, tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run")
    with pytest.raises(spacec.SpacecError, match=f"(?s){message}"):
        reopen(tmp_path / "run", task=Synthetic())


def test_data_that_no_task_names_are_asked_for(run: Path) -> None:
    with pytest.raises(spacec.SpacecError, match=r"E0817.*task 'synthetic' is not installed"):
        reopen(run)


def test_a_search_of_single_trainings_has_no_supernet(tmp_path: Path) -> None:
    strategy = RandomSearch({"mode": "trials", "samples": 1, "trial_epochs": 1})
    search(SPACE, strategy, Synthetic(), CONFIG, tmp_path / "run", train_config=TrainConfig(steps=1, device="cpu"))
    with pytest.raises(spacec.SpacecError, match=r"E0817.*trained no supernet"):
        reopen(tmp_path / "run", task=Synthetic())
