"""DARTS' update rules against automatic differentiation through the virtual step, on a space of nine networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from spacec_darts.strategy import DARTS
from torch import Tensor

import spacec
from spacec.hooks import StrategyDescriptor
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""")
TASK = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
CONFIG = SearchConfig(lr=0.1, momentum=0.9, weight_decay=0.05)


def started(options: Mapping[str, object], steps: int) -> tuple[DARTS, Batch, Batch]:
    """A strategy in double precision whose weights have made ``steps`` steps, and two batches."""
    strategy = DARTS(options)
    ctx = SearchContext(SPACE, TASK, CONFIG, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    strategy.setup(ctx)
    for logits in strategy.logits.parameters():
        logits.data = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for step in range(steps):
        ctx.optimizer.zero_grad()
        batch = double(ctx.stream("weights", "w").batch(0, step))
        ctx.loss(ctx.forward(batch, strategy.masks(step)[0].mask), batch).backward()
        ctx.optimizer.step()
    return strategy, double(ctx.stream("weights", "t").batch(0, 0)), double(ctx.stream("arch", "v").batch(0, 0))


def double(batch: Batch) -> Batch:
    return Batch({k: v.double() for k, v in batch.inputs.items()}, batch.targets)


def gradient(strategy: DARTS, train: Batch, val: Batch) -> list[Tensor]:
    found = strategy.architecture_gradient(train, val)[0]
    assert all(g is not None for g in found)
    return [g for g in found if g is not None]


def by_autograd(strategy: DARTS, train: Batch, val: Batch) -> list[Tensor]:
    """d/da L_val(w - xi (m b + dL_train(w, a)/dw + d w), a), the whole of it differentiated by torch."""
    ctx = strategy.ctx
    net: Any = ctx.supernet
    weights = dict(net.named_parameters())

    def loss(tensors: Mapping[str, Tensor], batch: Batch) -> Tensor:
        out = net(batch.inputs["x"], mask=strategy.logits.softmax(), weights=tensors)
        return ctx.task.loss(out, batch)

    grads = torch.autograd.grad(loss(weights, train), list(weights.values()), create_graph=True)
    ahead = {}
    for (name, w), g in zip(weights.items(), grads, strict=True):
        buffer = ctx.optimizer.state[w].get("momentum_buffer", torch.zeros_like(w))
        ahead[name] = w - 0.1 * (0.9 * buffer + g + 0.05 * w)
    return list(torch.autograd.grad(loss(ahead, val), strategy.logits.parameters()))


@pytest.mark.parametrize("steps", [0, 3])
def test_exact_second_order_is_autograds(steps: int) -> None:
    strategy, train, val = started({"order": 2, "hvp": "exact"}, steps)
    for found, expected in zip(gradient(strategy, train, val), by_autograd(strategy, train, val), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 3])
def test_finite_second_order_approaches_it_quadratically(steps: int) -> None:
    errors = []
    for epsilon in (1e-1, 1e-2):
        strategy, train, val = started({"order": 2, "epsilon": epsilon}, steps)
        exact = by_autograd(strategy, train, val)
        found = gradient(strategy, train, val)
        errors.append(max(float((f - e).abs().max()) for f, e in zip(found, exact, strict=True)))
    assert errors[1] < 1e-5
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.3)


def test_second_order_differs_from_first_and_first_is_the_plain_gradient() -> None:
    strategy, train, val = started({"order": 1}, 3)
    ctx = strategy.ctx
    loss = ctx.task.loss(ctx.supernet(val.inputs["x"], mask=strategy.logits.softmax()), val)
    plain = torch.autograd.grad(loss, strategy.logits.parameters())
    first = gradient(strategy, train, val)
    assert all(torch.equal(a, b) for a, b in zip(first, plain, strict=True))
    second, train, val = started({"order": 2}, 3)
    assert not torch.allclose(first[0], gradient(second, train, val)[0])


def test_the_virtual_step_leaves_no_trace() -> None:
    strategy, train, val = started({"order": 2}, 2)
    before = {k: v.clone() for k, v in strategy.ctx.supernet.state_dict().items()}
    gradient(strategy, train, val)
    assert all(torch.equal(v, before[k]) for k, v in strategy.ctx.supernet.state_dict().items())


def test_the_update_is_adams_with_decay() -> None:
    strategy, train, val = started({"order": 1, "arch_lr": 0.01}, 0)
    before = strategy.logits.state_dict()
    g = gradient(strategy, train, val)
    strategy.arch_step(train, val)
    for (slot, old), grad in zip(before.items(), g, strict=True):
        step = grad + 1e-3 * old
        expected = old - 0.01 * step / (step.abs() + 1e-8)
        torch.testing.assert_close(strategy.logits[slot].detach(), expected)


@pytest.mark.parametrize("options", [{"order": 1}, {"order": 2}, {"order": 2, "hvp": "exact"}])
def test_a_search_repeats_bit_for_bit(options: dict[str, object]) -> None:
    config = strategy_config(DARTS.config, {"epochs": 2, "steps": 3})
    found = [search(SPACE, DARTS(options), TASK, config) for _ in range(2)]
    states = [r.context.supernet.state_dict() for r in found]
    assert found[0].architecture == found[1].architecture
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(DARTS.config), DARTS().options
    assert (config.epochs, config.batch_size, config.lr, config.lr_min) == (50, 64, 0.025, 0.001)
    assert (config.momentum, config.weight_decay, config.clip) == (0.9, 3e-4, 5.0)
    assert (options.arch_lr, options.arch_betas, options.arch_weight_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert (options.order, options.epsilon, options.arch_init) == (1, 0.01, 1e-3)


def test_the_descriptor_names_the_class() -> None:
    import spacec_darts

    (descriptor,) = spacec_darts.spacec_strategies()
    assert isinstance(descriptor, StrategyDescriptor)
    assert descriptor.load() is DARTS
    assert descriptor.name == DARTS.name
