"""Law 7 on the host's side: a search and a retraining run on every shipped space, in its tiny form."""

from __future__ import annotations

import pathlib
from math import isfinite
from typing import Any

import pytest
import torch

import spacec
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.gradient import GradientStrategy
from spacec.search.loader import ordered
from spacec.search.runner import search
from spacec.search.strategy import Path, Strategy
from spacec.search.trainer import TrainConfig
from spacec.search.training import train
from spacec.space.architecture import Architecture
from spacec.testing.synthetic import Synthetic
from tests.grammars.record import GRAMMARS, NAMES


class Gradient(GradientStrategy):
    name = "gradient"


class Sampled(Strategy):
    """One uniform path at each step, and a uniform pick."""

    name = "sampled"

    def masks(self, step: int) -> list[Path]:
        return [Path(self.ctx.mask_of(self.ctx.sample()))]

    def derive(self) -> Architecture:
        return self.ctx.sample()


SIZED = {"nas_bench_101"}
"""Spaces in which what is taken decides sizes: candidates cannot be mixed."""
CONFIG = SearchConfig(epochs=1, steps=2, batch_size=4, eval_batches=1)


def tiny(name: str, **given: object) -> spacec.Space:
    return spacec.load(GRAMMARS / f"{name}.space", preset="tiny", **given)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in SIZED])
def test_gradient_search(name: str, tmp_path: pathlib.Path) -> None:
    space = tiny(name)
    found = search(space, Gradient(), Synthetic(), CONFIG, tmp_path)
    space.validate(found.architecture, where=False)


@pytest.mark.parametrize("name", sorted(SIZED))
def test_what_cannot_be_mixed_is_said_before_the_search(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(spacec.SpacecError, match=r"E0706.*takes decides sizes"):
        search(tiny(name), Gradient(), Synthetic(), CONFIG, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", NAMES)
def test_search_then_train(name: str, tmp_path: pathlib.Path) -> None:
    space = tiny(name)
    found = search(space, Sampled(), Synthetic(), CONFIG, tmp_path)
    text = (tmp_path / files.ARCHITECTURE_TEXT).read_text().strip()
    assert space.architecture(text) == space.architecture(tmp_path / files.ARCHITECTURE_JSON) == found.architecture
    recipe = TrainConfig(epochs=1, steps=2, batch_size=4, recalibrate=1, drop_path=0.1)
    trained = train(space, found.architecture, Synthetic(), recipe, tmp_path)
    network = space.network(found.architecture).eval()
    network.load_state_dict(files.read_tensors(tmp_path / files.WEIGHTS))
    batch = next(ordered(found.context.splits.test, 4))
    inputs = found.context.wiring.batch_arguments(batch)
    with torch.no_grad():
        torch.manual_seed(0)
        mine = network(*inputs)
        torch.manual_seed(0)
        theirs = trained.model(*inputs)
    for key, value in _named(mine).items():
        assert torch.equal(value, _named(theirs)[key])
    assert isfinite(trained.test["loss"])


def _named(out: Any) -> dict[str, torch.Tensor]:
    return out if isinstance(out, dict) else {"": out}


def test_auxiliary_heads_are_trained() -> None:
    space = tiny("darts", aux=1)
    (arch,) = space.sample(1)
    losses = []
    for weight in (0.0, 0.4):
        recipe = TrainConfig(epochs=1, steps=1, batch_size=4, aux_weight=weight, clip=0.0)
        model = train(space, arch, Synthetic(), recipe).model
        losses.append({name: p.detach() for name, p in model.named_parameters()})
    same = [name for name in losses[0] if torch.equal(losses[0][name], losses[1][name])]
    assert same
    assert any("auxiliary" in name for name in losses[0])
    assert not any("auxiliary" in name and name.endswith("weight") for name in same)
