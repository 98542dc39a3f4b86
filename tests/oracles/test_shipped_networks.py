"""Law 4 on the shipped spaces: a supernet with one architecture selected is the network with its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import spacec
from spacec.ir.sizes import evaluate

GRAMMARS = Path(__file__).parents[2] / "grammars"
SPACES = {
    "darts": {"aux": 1},
    "nas_bench_201": {},
    "clearer": {"init": 0.1},
    "tabular": {},
}


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def example(space: spacec.Space) -> torch.Tensor:
    """Four samples at the smallest size of every free symbol."""
    (kind,) = space.inputs.values()
    sizes = [int(evaluate(d, lambda _: 1)) for d in kind.dims]
    return torch.randn(4, *sizes, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", SPACES)
def test_selected_supernet_equals_network(name: str, training: bool) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny", **SPACES[name])
    supernet = space.supernet(seed=1)
    x = example(space)
    for arch in space.sample(4, seed=2):
        network = space.network(arch, weights=supernet)
        supernet.train(training)
        network.train(training)
        supernet.zero_grad()
        before = {k: v.clone() for k, v in supernet.state_dict().items()}
        mine, theirs = network(x), supernet(x, space.mask(arch)).outputs
        outputs = mine if isinstance(mine, dict) else dict(zip(theirs, (mine,), strict=True))
        assert outputs.keys() == theirs.keys()
        for key, value in theirs.items():
            torch.testing.assert_close(outputs[key], value, rtol=0, atol=1e-10)
        sum(v.square().sum() for v in outputs.values()).backward()
        sum(v.square().sum() for v in theirs.values()).backward()
        parameters = dict(supernet.named_parameters())
        for key, p in network.named_parameters():
            found = parameters[key].grad
            if p.grad is None:
                assert found is None, key
                continue
            assert found is not None, key
            corner = found[tuple(slice(0, n) for n in p.shape)]  # elastic weights are slices of the largest
            torch.testing.assert_close(corner, p.grad, rtol=0, atol=1e-8)
            assert found.abs().sum() == pytest.approx(float(corner.abs().sum()), rel=1e-12)
        state = supernet.state_dict()
        for key, value in network.state_dict().items():
            if "running" in key:
                torch.testing.assert_close(state[key][: len(value)], value, rtol=0, atol=1e-10)
        supernet.load_state_dict(before)


@pytest.mark.parametrize("name", SPACES)
def test_exported_source_is_the_network(name: str, tmp_path: Path) -> None:
    """The stand-alone file, run as a user would import it, gives what the network gives."""
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny", **SPACES[name])
    arch = space.sample(seed=3)[0]
    network = space.network(arch, seed=4).eval()
    scope: dict[str, object] = {"__name__": "exported"}
    exec(compile(space.source(arch), "network.py", "exec"), scope)
    build = scope["build"]
    assert callable(build)
    model = build()
    model.load_state_dict(network.state_dict())
    model.eval()
    x = example(space)
    mine, theirs = network(x), model(x)
    for a, b in zip(
        mine.values() if isinstance(mine, dict) else [mine],
        theirs.values() if isinstance(theirs, dict) else [theirs],
        strict=True,
    ):
        assert torch.equal(a, b)


def test_weights_have_the_same_keys_in_every_form() -> None:
    """State dicts use the keys of the use path, in supernet and network alike."""
    space = spacec.load(GRAMMARS / "darts.space", preset="tiny")
    keys = set(space.supernet().state_dict())
    for arch in space.sample(3, seed=0):
        assert set(space.network(arch).state_dict()) <= keys
