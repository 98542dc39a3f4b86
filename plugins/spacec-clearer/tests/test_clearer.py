"""CLEARER's losses against their formulas, and what its architecture step touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from pathlib import Path as FilePath

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spacec_clearer.losses import (
    architecture_loss,
    binary_entropies,
    candidate_costs,
    complexity_loss,
    complexity_weights,
)
from spacec_clearer.strategy import Clearer

import spacec
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.strategy import Path
from spacec.search.task import Batch
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
COSTS = (0, 25, 35)
"""Weights of skip, lin and norm."""


def started(**options: object) -> tuple[Clearer, SearchContext]:
    strategy = Clearer(options)
    config = strategy_config(Clearer.config, {"epochs": 2})
    ctx = SearchContext(SPACE, TASK, config, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy.setup(ctx)
    return strategy, ctx


def test_the_losses_at_zero_are_the_oracles() -> None:
    alphas = {f"column[{i}]": torch.zeros(2) for i in range(12)}
    weights = {slot: torch.tensor([0.7, 0.3]) for slot in alphas}
    assert float(architecture_loss(list(alphas.values()))) == pytest.approx(log10(2))
    assert float(complexity_loss(alphas, weights)) == pytest.approx(0.5)


@settings(deadline=None)  # the first call loads kernels
@given(st.lists(st.floats(-8, 8), min_size=2, max_size=8))
def test_the_entropies_are_the_formula(values: list[float]) -> None:
    p = torch.tensor(values, dtype=torch.float64).softmax(0)
    expected = -p * p.log10() - (1 - p) * (1 - p).log10()
    torch.testing.assert_close(binary_entropies(torch.tensor(values, dtype=torch.float64)), expected)


@pytest.mark.parametrize("values", [[1000.0, 0.0], [0.0, -1000.0, -1000.0], [0.0]])
def test_they_stay_finite_where_a_choice_is_made(values: list[float]) -> None:
    logits = torch.tensor(values, requires_grad=True)
    loss = architecture_loss([logits])
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_complexities_are_shares_of_the_costs() -> None:
    _, ctx = started()
    shares = torch.tensor(COSTS, dtype=torch.float32) / sum(COSTS)
    for rounded in (False, True):
        expected = (10 * shares).round() / 10 if rounded else shares
        for found in complexity_weights(ctx, "params", rounded).values():
            torch.testing.assert_close(found, expected)


def test_the_total_is_the_formula() -> None:
    strategy, ctx = started(arch_mode="train")
    batch = ctx.stream("arch", "v").batch(0, 0)
    with ctx.statistics_kept():
        task_loss = ctx.loss(ctx.forward(batch, strategy.weights()), batch).detach()
    total, values = strategy.architecture_loss(batch, None)
    p = torch.cat([a.detach().softmax(0) for a in strategy.logits.values()])
    l_arch = (-p * p.log10() - (1 - p) * (1 - p).log10()).mean()
    c = torch.tensor(COSTS + COSTS) / sum(COSTS)
    l_comp = (c * p).sum() / 2
    torch.testing.assert_close(total.detach(), task_loss + 0.01 * l_arch + 0.1 * l_comp)
    assert values["arch_extra"] == pytest.approx(float(0.01 * l_arch + 0.1 * l_comp))
    assert strategy.diagnostics(ctx)["l_arch"] == pytest.approx(float(l_arch))


def test_the_release_has_no_complexity_term() -> None:
    strategy, ctx = started(complexity="false", arch_weight="0")
    extra = strategy.extra_loss(ctx.forward(ctx.stream("arch", "v").batch(0, 0), None), "arch")
    assert extra is not None
    assert extra.item() == 0.0


def test_weights_are_trained_on_the_task_alone() -> None:
    strategy, ctx = started()
    assert strategy.extra_loss(ctx.forward(ctx.stream("arch", "v").batch(0, 0), None), "weights") is None


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_architecture_step_runs_in_its_mode(mode: str) -> None:
    strategy, ctx = started(arch_mode=mode)
    seen = []
    handle = ctx.supernet.register_forward_pre_hook(lambda module, _: seen.append(module.training))
    before = [b.clone() for b in ctx.supernet.buffers()]
    batch = ctx.stream("arch", "v").batch(0, 0)
    strategy.arch_step(batch, batch)
    handle.remove()
    assert seen == [mode == "train"]
    assert ctx.supernet.training
    assert all(torch.equal(a, b) for a, b in zip(before, ctx.supernet.buffers(), strict=True)) is (mode == "eval")


def test_the_regularisers_decide_and_decide_cheaply() -> None:
    """Without a task loss the cheapest candidate wins every slot, and its probability goes to one."""

    class Free(Synthetic):
        _ports = TASK._ports

        def adapt(self, inputs: object, outputs: object) -> Free:
            return self

        def loss_terms(self, out: object, batch: object, smoothing: float = 0.0) -> dict[str, torch.Tensor]:
            return {name: 0.0 * t for name, t in super().loss_terms(out, batch, smoothing).items()}

    config = SearchConfig(epochs=2, steps=100, eval_every=0)
    strategy = Clearer({"arch_lr": "0.1", "arch_weight_decay": "0", "arch_weight": "1", "comp_weight": "1"})
    result = search(SPACE, strategy, Free(), config)
    assert [value for _, value in result.architecture.choices] == [0, 0]
    assert min(p[0] for p in strategy.probabilities().values()) > 0.95


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(Clearer.config), Clearer().options
    assert (config.epochs, config.steps, config.batch_size, config.arch_from) == (200, 50, 32, 10)
    assert (config.lr, config.lr_min, config.momentum, config.weight_decay, config.clip) == (0.025, 0.001, 0.9, 3e-4, 5)
    assert (options.arch_weight, options.comp_weight, options.complexity) == (0.01, 0.1, True)
    assert (options.arch_lr, options.arch_betas, options.arch_weight_decay) == (3e-4, (0.5, 0.999), 1e-3)


def test_logits_are_trained_before_every_weight_step_from_their_epoch_on() -> None:
    """``arch_from`` epochs of warm-up, then one architecture step on a fresh batch before each weight step."""
    order: list[tuple[str, int, bytes]] = []

    class Watched(Clearer):
        def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float]:
            order.append(("arch", self.ctx.epoch, val_batch.inputs["x"].numpy().tobytes()))
            return super().arch_step(train_batch, val_batch)

        def masks(self, step: int) -> Sequence[Path]:
            order.append(("weights", self.ctx.epoch, b""))
            return super().masks(step)

    started = Watched()
    search(SPACE, started, TASK, strategy_config(Clearer.config, {"epochs": 3, "steps": 2, "arch_from": 1}))
    warm_up, searched = order[:2], order[2:]
    assert [kind for kind, _, _ in warm_up] == ["weights"] * 2
    assert [kind for kind, _, _ in searched] == ["arch", "weights"] * 4
    assert [epoch for _, epoch, _ in order] == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert len({batch for kind, _, batch in searched if kind == "arch"}) == 4


@pytest.mark.parametrize("grammar", ["points", "tabular"])
def test_it_conforms(grammar: str) -> None:
    shipped = FilePath(__file__).resolve().parents[3] / "grammars" / f"{grammar}.space"
    space = SPACE if grammar == "points" else spacec.load(shipped, preset="tiny")
    assert not conformance.require(space, Clearer).unsupported


def test_the_descriptor_names_the_class() -> None:
    import spacec_clearer

    (descriptor,) = spacec_clearer.spacec_strategies()
    assert descriptor.load() is Clearer


def test_the_papers_complexities_come_out_of_its_space() -> None:
    space = spacec.load(FilePath(__file__).parents[3] / "grammars" / "clearer.space")
    task = Synthetic().adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    costs = candidate_costs(ctx, "params")
    assert sum(c[0].item() for c in costs.values()) == 4 * 2_049_152
    assert sum(c[1].item() for c in costs.values()) == 4 * 958_720
    for rounded, expected in ((False, [0.68126, 0.31874]), (True, [0.7, 0.3])):
        for found in complexity_weights(ctx, "params", rounded).values():
            torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=5e-6)
