"""The entropy term against closed forms and autograd, its schedule, and the searches it is part of."""

from __future__ import annotations

from math import log2
from pathlib import Path

import pytest
import torch
from spacec_darts.strategy import DARTS
from spacec_entropy.regulariser import EntropyRegulariser, entropy, entropy_weight, mean_entropy
from spacec_entropy.strategy import DartsAER
from torch import Tensor

import spacec
from spacec.hooks import StrategyDescriptor
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import MAIN, SearchContext
from spacec.search.gradient import GradientStrategy
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.strategy import Phase
from spacec.search.task import Batch, OutLike
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""")
TASK = Synthetic().adapt(SPACE.inputs, SPACE.outputs)


def started(strategy: GradientStrategy, epochs: int = 10, epoch: int = 0, arch_from: int = 0) -> tuple[Batch, Batch]:
    """Set ``strategy`` up in double precision, at an epoch; a training and a validation batch."""
    config = SearchConfig(lr=0.1, epochs=epochs, arch_from=arch_from)
    ctx = SearchContext(SPACE, TASK, config, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    ctx.epoch = epoch
    strategy.setup(ctx)
    for k, logits in enumerate(strategy.logits.parameters()):
        logits.data = torch.tensor([0.3, -0.7, 1.1 * k], dtype=torch.float64)
    pair = [ctx.stream(name, name).batch(0, 0) for name in ("weights", "arch")]
    train, val = (Batch({k: v.double() for k, v in b.inputs.items()}, b.targets) for b in pair)
    return train, val


def architecture_gradient(strategy: GradientStrategy, pair: tuple[Batch, Batch]) -> list[Tensor]:
    found, _ = strategy.architecture_gradient(*pair)
    return [g for g in found if g is not None]


def test_entropy_is_in_bits() -> None:
    assert float(entropy(torch.zeros(8))) == pytest.approx(3.0)
    assert float(entropy(torch.log(torch.tensor([0.5, 0.25, 0.25])))) == pytest.approx(1.5)
    extreme = torch.tensor([1e4, 0.0, -1e4], requires_grad=True)
    entropy(extreme).backward()
    assert float(entropy(extreme).detach()) == 0.0
    assert extreme.grad is not None
    assert bool(torch.isfinite(extreme.grad).all())


def test_its_gradient_is_the_closed_form() -> None:
    """dH/da_k = -p_k (log2 p_k + H)."""
    logits = torch.tensor([0.2, -1.0, 0.7, 0.0], dtype=torch.float64, requires_grad=True)
    value = mean_entropy([logits, torch.zeros(3, dtype=torch.float64)])
    assert value.item() == pytest.approx((entropy(logits).item() + log2(3)) / 2)
    p = logits.detach().softmax(0)
    expected = -p * (p.log2() + entropy(logits).detach()) / 2
    torch.testing.assert_close(torch.autograd.grad(value, logits)[0], expected)


def test_the_weight_rises_by_a_half_cosine_from_exploring_to_deciding() -> None:
    assert entropy_weight(0, 50) == pytest.approx(-0.2)
    assert entropy_weight(25, 50) == pytest.approx(0.0)
    assert entropy_weight(50, 50) == pytest.approx(0.2)
    assert entropy_weight(10, 50) == pytest.approx(0.2 - 0.4 * (1 + torch.cos(torch.tensor(torch.pi / 5))) / 2)


def test_the_schedule_starts_with_the_architecture_steps() -> None:
    strategy = DartsAER()
    for epoch, expected in ((0, -0.2), (15, -0.2), (32, entropy_weight(17, 35)), (50, 0.2)):
        started(strategy, epochs=50, epoch=epoch, arch_from=15)
        assert strategy.entropy_weight() == pytest.approx(expected)


@pytest.mark.parametrize("options", [{"order": 1}, {"order": 2}, {"order": 2, "hvp": "exact"}])
@pytest.mark.parametrize("epoch", [0, 8])
def test_the_term_is_added_to_darts_gradient(options: dict[str, object], epoch: int) -> None:
    plain, mine = DARTS(options), DartsAER(options)
    bare = architecture_gradient(plain, started(plain, epoch=epoch))
    found = architecture_gradient(mine, started(mine, epoch=epoch))
    term = entropy_weight(epoch, 10) * mean_entropy(mine.logits.parameters())
    for g, b, t in zip(found, bare, torch.autograd.grad(term, mine.logits.parameters()), strict=True):
        torch.testing.assert_close(g, b + t, rtol=1e-9, atol=1e-9)


def test_it_mixes_with_a_strategy_that_has_a_term_of_its_own() -> None:
    class Squares(GradientStrategy):
        name = "squares"

        def extra_loss(self, out: OutLike, phase: Phase) -> Tensor | None:
            return torch.stack([a.square().sum() for a in self.logits.parameters()]).sum()

    class Both(EntropyRegulariser, Squares):
        name = "both"
        Options = DartsAER.Options

    strategy = Both()
    _, val = started(strategy, epoch=5)
    out = strategy.ctx.forward(val, strategy.weights())
    squares = Squares.extra_loss(strategy, out, "arch")
    found = strategy.extra_loss(out, "arch")
    assert squares is not None
    assert found is not None
    expected = squares + entropy_weight(5, 10) * mean_entropy(strategy.logits.parameters())
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(strategy.extra_loss(out, "weights"), squares)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_large_weight_drives_the_entropy(sign: float) -> None:
    options = {"entropy_first": 50 * sign, "entropy_last": 50 * sign, "arch_lr": 0.1, "arch_init": 1.0}
    config = strategy_config(DartsAER.config, {"epochs": 2, "steps": 10})
    strategy = DartsAER(options)
    search(SPACE, strategy, TASK, config)
    value = float(strategy.mean_entropy().detach())
    assert value < 0.7 if sign > 0 else value > log2(3) - 0.05


def test_a_resumed_search_is_the_search(tmp_path: Path) -> None:
    config = strategy_config(DartsAER.config, {"epochs": 3, "steps": 2})
    whole = search(SPACE, DartsAER(), TASK, config)

    class Stopped(DartsAER):
        def on_epoch(self, epoch: int) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(SPACE, Stopped(), TASK, config, tmp_path / "run")
    resumed = search(SPACE, DartsAER(), TASK, config, tmp_path / "run", resume=True)
    one, other = (r.context.supernet.state_dict() for r in (whole, resumed))
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert whole.metrics == resumed.metrics


@pytest.mark.parametrize("name", ["enas_macro", "tabular"])
def test_it_conforms(name: str) -> None:
    grammar = Path(__file__).resolve().parents[3] / "grammars" / f"{name}.space"
    conformance.require(spacec.load(grammar, preset="tiny"), DartsAER)


def test_the_papers_settings_are_the_defaults() -> None:
    options = DartsAER().options
    assert (options.entropy_first, options.entropy_last, options.order) == (-0.2, 0.2, 1)
    assert (options.arch_lr, options.arch_betas, options.arch_weight_decay) == (3e-4, (0.5, 0.999), 1e-3)


def test_the_descriptor_names_the_class() -> None:
    import spacec_entropy

    (descriptor,) = spacec_entropy.spacec_strategies()
    assert isinstance(descriptor, StrategyDescriptor)
    assert descriptor.load() is DartsAER
    assert descriptor.name == DartsAER.name
