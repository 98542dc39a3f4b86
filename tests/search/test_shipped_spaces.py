"""Law 7 on the host's side: a search and a retraining run on every shipped space, in its tiny form."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import pytest
import torch

import spacec
from spacec.search import files
from spacec.search.config import SearchConfig
from spacec.search.gradient import GradientStrategy
from spacec.search.loader import ordered
from spacec.search.runner import search
from spacec.search.strategy import Path as Forward
from spacec.search.strategy import Strategy
from spacec.search.trainer import TrainConfig
from spacec.search.training import train
from spacec.testing.synthetic import Synthetic

GRAMMARS = Path(__file__).parents[2] / "grammars"


class Gradient(GradientStrategy):
    name = "gradient"


@pytest.mark.parametrize("name", ["darts", "nas_bench_201", "clearer", "tabular", "enas_macro"])
def test_search_then_train(name: str, tmp_path: Path) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    config = SearchConfig(epochs=1, steps=2, batch_size=4, eval_batches=1)
    found = search(space, Gradient(), Synthetic(), config, tmp_path)
    text = (tmp_path / files.ARCHITECTURE_TEXT).read_text().strip()
    assert space.architecture(text) == space.architecture(tmp_path / files.ARCHITECTURE_JSON) == found.architecture
    recipe = TrainConfig(epochs=1, steps=2, batch_size=4, recalibrate=1, drop_path=0.1)
    trained = train(space, found.architecture, Synthetic(), recipe, tmp_path)
    network = space.network(found.architecture).eval()
    network.load_state_dict(files.read_tensors(tmp_path / files.WEIGHTS))
    batch = next(ordered(found.context.splits.test, 4))
    inputs = found.context.wiring.batch_arguments(batch)
    with torch.no_grad():
        assert torch.equal(network(*inputs), trained.model(*inputs))
    assert isfinite(trained.test["loss"])


class Sampled(Strategy):
    """One architecture in each step, by index."""

    name = "sampled"

    def masks(self, step: int) -> list[Forward]:
        return [Forward(self.ctx.mask_of(self.ctx.sample()))]

    def derive(self) -> spacec.Architecture:
        return self.ctx.sample()


def test_sizes_that_picks_decide_are_searched_by_index(tmp_path: Path) -> None:
    space = spacec.load(GRAMMARS / "nas_bench_101.space", preset="tiny")
    config = SearchConfig(epochs=1, steps=3, batch_size=4, eval_batches=1)
    found = search(space, Sampled(), Synthetic(), config, tmp_path)
    space.validate(found.architecture)
    with pytest.raises(spacec.SpacecError, match=r"what slot 'cell.pick\[0\].gate\[0\]' takes decides sizes"):
        search(space, Gradient(), Synthetic(), config)


def test_auxiliary_heads_are_trained() -> None:
    space = spacec.load(GRAMMARS / "darts.space", preset="tiny", aux=1)
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
