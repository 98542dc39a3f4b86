"""The strategy: its inner training, what it leaves alone, its settings, seeds and resuming."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from math import exp
from pathlib import Path
from typing import Any

import pytest
import spacec_zarts
import torch
from spacec_zarts.objective import InnerSGD, Objective
from spacec_zarts.strategy import ZARTS, blocks_of
from torch import Tensor

import spacec
from spacec.hooks import StrategyDescriptor
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import MAIN, SearchContext
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

GRAMMARS = Path(__file__).parents[3] / "grammars"

SPACE = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> dropout(0.3) >> linear(classes)
""")
TASK = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
CONFIG = SearchConfig(epochs=50, steps=20, arch_from=10, arch_every=10, lr=0.1, momentum=0.9)
ESTIMATORS = ("mgs", "rs", "gld")
SMALL: dict[str, object] = {"inner_batch_size": 8, "inner_steps": 2, "rs_samples": 2, "radius_min": 0.03}
QUICK = {"epochs": 3, "steps": 2, "arch_from": 0, "arch_every": 1, "batch_size": 8, "device": "cpu"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Layers this small are slower on several threads, by far where other processes hold the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def double(batch: Batch) -> Batch:
    return Batch({k: v.double() for k, v in batch.inputs.items()}, batch.targets)


def started(options: Mapping[str, object], dtype: torch.dtype = torch.float64) -> tuple[ZARTS, Batch, Batch]:
    """A strategy whose weights have made a step (so that there is momentum), and two batches."""
    strategy = ZARTS(options)
    ctx = SearchContext(SPACE, TASK, CONFIG, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).to(dtype)
    strategy.setup(ctx)
    batches = [double(ctx.stream("weights", "t").batch(0, k)) for k in range(2)]
    if dtype is torch.float32:
        batches = [ctx.stream("weights", "t").batch(0, k) for k in range(2)]
    for logits in strategy.logits.parameters():
        logits.data = torch.randn(3, dtype=dtype, generator=torch.Generator().manual_seed(1))
    ctx.loss(ctx.forward(batches[0], strategy.masks(0)[0].mask), batches[0]).backward()
    ctx.optimizer.step()
    return strategy, batches[0], batches[1]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_inner_training_is_torchs_sgd_on_a_clone(momentum: float) -> None:
    strategy, a, b = started({})
    ctx, sgd = strategy.ctx, InnerSGD(0.05, momentum, 0.01, clip=0.5)
    mask = {slot: w.detach() for slot, w in strategy.weights().items()}
    loss = Objective(ctx, (a, b, a), (b,), sgd, seed=3)
    clone: Any = ctx.supernet.clone()
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(clone.parameters(), lr=0.05, momentum=momentum, weight_decay=0.01)
    for batch in (a, b, a):
        optimizer.zero_grad()
        ctx.task.loss(clone(batch.inputs["x"], mask=mask), batch).backward()
        torch.nn.utils.clip_grad_norm_(clone.parameters(), 0.5)
        optimizer.step()
    with torch.no_grad():
        expected = float(ctx.task.loss(clone(b.inputs["x"], mask=mask), b))
    assert loss(mask) == pytest.approx(expected, rel=1e-12)
    torch.manual_seed(3)
    found = loss.trained(mask)
    before = dict(ctx.supernet.named_parameters())
    for name, tensor in clone.named_parameters():
        torch.testing.assert_close(found[name], tensor.detach(), rtol=1e-10, atol=1e-12)
    assert any(not torch.allclose(found[n], before[n]) for n in before)


def test_without_inner_steps_it_is_the_present_loss() -> None:
    strategy, a, b = started({})
    mask = {slot: w.detach() for slot, w in strategy.weights().items()}
    sgd = InnerSGD(0.05, 0.0, 0.0, 5.0)
    loss = Objective(strategy.ctx, (), (a, b), sgd, seed=1)
    copied = copy.deepcopy(strategy.ctx.supernet)
    torch.manual_seed(1)
    with torch.no_grad():
        expected = [float(TASK.loss(copied(x.inputs["x"], mask=mask), x)) for x in (a, b)]
    assert loss(mask) == loss.untrained(mask) == pytest.approx(sum(expected) / 2)
    trained = Objective(strategy.ctx, (a,), (a, b), sgd, seed=1)
    assert trained(mask) != trained.untrained(mask) == loss(mask)


def test_the_gradient_of_mgs_is_first_order_darts() -> None:
    strategy, a, b = started({})
    loss = Objective(strategy.ctx, (), (a, b), InnerSGD(0.05, 0.0, 0.0, 5.0), seed=1)
    value, found = loss.gradient(strategy.logits.softmax(), strategy.logits.parameters())
    at = torch.cat([t.detach() for t in strategy.logits.parameters()])
    assert value == pytest.approx(loss(strategy.mask_at(at)), rel=1e-6)
    for k in range(6):
        e = 1e-4 * torch.eye(6, dtype=torch.float64)[k]
        slope = (loss(strategy.mask_at(at + e)) - loss(strategy.mask_at(at - e))) / 2e-4
        assert float(torch.cat(found)[k]) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_update_moves_the_logits_and_nothing_else(estimator: str) -> None:
    strategy, train, val = started({"estimator": estimator, **SMALL}, torch.float32)
    ctx = strategy.ctx
    net = ctx.supernet
    kept = copy.deepcopy((net.state_dict(), ctx.optimizer.state_dict()))
    grads = {n: None if p.grad is None else p.grad.clone() for n, p in net.named_parameters()}
    noise, before = torch.get_rng_state(), strategy.logits.state_dict()
    values = strategy.arch_step(train, val)
    _same(kept[0], net.state_dict())
    _same(kept[1]["state"], ctx.optimizer.state_dict()["state"])
    for name, p in net.named_parameters():
        assert (p.grad is None) if grads[name] is None else torch.equal(p.grad, grads[name])
    assert net.training
    assert torch.equal(noise, torch.get_rng_state())
    moved = sum(float((strategy.logits[s].detach() - t).square().sum()) for s, t in before.items()) ** 0.5
    assert moved == pytest.approx(values["arch_move"], rel=1e-3, abs=1e-7)
    assert (moved > 0) or estimator == "gld"


def _same(a: Any, b: Any) -> None:
    if isinstance(a, Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, Mapping):
        assert a.keys() == b.keys()
        for key in a:
            _same(a[key], b[key])
    else:
        assert a == b


def test_candidates_share_batches_and_noise() -> None:
    strategy, _, val = started(SMALL, torch.float32)
    mask = {slot: w.detach() for slot, w in strategy.weights().items()}
    loss = strategy.objective(val)
    assert loss(mask) == loss(mask)
    assert loss(mask) != Objective(strategy.ctx, loss.train, loss.val, loss.sgd, loss.seed + 1)(mask)
    strategy.ctx.step += 10
    other = strategy.objective(val)
    assert not torch.equal(other.train[0].inputs["x"], loss.train[0].inputs["x"])


def test_gld_lowers_the_objective_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, train, val = started({"estimator": "gld", **SMALL, "radius": 2.0, "radius_min": 0.5}, torch.float32)
    for step in range(4):
        strategy.ctx.step = 10 * step
        loss = strategy.objective(val)
        monkeypatch.setattr(strategy, "objective", lambda _, loss=loss: loss)
        before = loss({s: w.detach() for s, w in strategy.weights().items()})
        values = strategy.arch_step(train, val)
        monkeypatch.undo()
        after = loss({s: w.detach() for s, w in strategy.weights().items()})
        assert after <= before == pytest.approx(values["arch_loss"])
        assert after == pytest.approx(min(before, values["best_candidate"]))


@pytest.mark.parametrize(
    ("options", "trainings"),
    [
        ({}, 4),
        ({"estimator": "rs"}, 16),
        ({"estimator": "rs", "rs_form": "one-point"}, 8),
        ({"estimator": "rs", "rs_form": "multi-point"}, 9),
        ({"estimator": "rs", "rs_form": "multi-point", "baseline": "plain"}, 8),
        ({"estimator": "gld"}, 16),
        ({"estimator": "gld", "baseline": "plain"}, 15),
    ],
)
def test_the_papers_number_of_inner_trainings(
    options: dict[str, object], trainings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy, train, val = started({"inner_steps": 1, **options}, torch.float32)
    counted: list[int] = []
    original = Objective.trained
    monkeypatch.setattr(Objective, "trained", lambda self, mask: (counted.append(1), original(self, mask))[1])
    strategy.arch_step(train, val)
    assert len(counted) == trainings


def test_with_every_switch_an_update_is_the_released_one() -> None:
    switches = {"proposal": "sum", "density": "released", "inner_steps": 0, "sigma_late": True, "sigma": 0.2}
    strategy, train, val = started(switches)
    strategy.ctx.epoch = 31
    sigma, tau, lam = 0.1, 0.01, 1e-3
    draws = torch.Generator()
    draws.set_state(strategy.ctx.generator.get_state())
    seed = int(torch.randint(2**62, (), generator=draws))
    loss = Objective(strategy.ctx, (), (val,), InnerSGD(0.0, 0.0, 0.0, 0.0), seed)
    at = torch.cat([t.detach() for t in strategy.logits.parameters()])
    base, grads = loss.gradient(strategy.logits.softmax(), strategy.logits.parameters())
    g = torch.cat(grads)
    deltas, weights = [], []
    for _ in range(4):
        near, wide = (sigma * torch.randn(6, dtype=torch.float64, generator=draws) for _ in range(2))
        d = (1 - lam) * (near - g) + lam * wide
        density = (1 - lam) * torch.exp(-(d + g) @ (d + g) / (2 * sigma**2)) + lam * torch.exp(-d @ d / 2.0 * sigma**2)
        deltas.append(d)
        weights.append(exp(-(loss(strategy.mask_at(at + d)) - base) / tau) / (float(density) + 1e-4))
    strategy.arch_step(train, val)
    moved = sum((c * d for c, d in zip(weights, deltas, strict=True)), torch.zeros(6)) / sum(weights)
    found = torch.cat([t.detach() for t in strategy.logits.parameters()])
    torch.testing.assert_close(found, at + moved, rtol=1e-9, atol=1e-9)


def test_sigma_falls_as_the_papers() -> None:
    strategy = started({})[0]
    assert strategy.sigma(10) == 0.025
    assert strategy.sigma(30) == pytest.approx(0.0125)
    late = started({"sigma_late": True})[0]
    assert late.sigma(10) == late.sigma(11) == 0.025
    assert late.sigma(31) == pytest.approx(0.0125)
    assert late.sigma(49) == pytest.approx(1.54e-4, abs=5e-7)
    assert started({"sigma_falls": "false"})[0].sigma(49) == 0.025


def test_blocks_are_the_owners_of_the_choices() -> None:
    darts = spacec.load(GRAMMARS / "darts.space", preset="tiny")
    found = blocks_of(darts.table, darts.slots)
    assert {name: len(at) for name, at in found.items()} == {"normal": 14 * 8, "reduce": 14 * 8}
    assert sorted(k for at in found.values() for k in at) == list(range(224))
    assert {name: len(at) for name, at in blocks_of(SPACE.table, SPACE.slots).items()} == {"net": 6}


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_search_repeats_bit_for_bit_and_resumes_to_the_same_end(estimator: str, tmp_path: Path) -> None:
    class Cut(ZARTS):
        def on_epoch(self, epoch: int) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    options, config = {"estimator": estimator, **SMALL}, strategy_config(ZARTS.config, QUICK)
    whole = search(SPACE, ZARTS(options), TASK, config, tmp_path / "whole")
    again = search(SPACE, ZARTS(options), TASK, config)
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, Cut(options), TASK, config, tmp_path / "cut")
    resumed = search(SPACE, last := ZARTS(options), TASK, config, tmp_path / "cut", resume=True)
    for other in (again, resumed):
        assert other.architecture == whole.architecture
        _same(other.context.supernet.state_dict(), whole.context.supernet.state_dict())
        assert torch.equal(other.context.generator.get_state(), whole.context.generator.get_state())
    assert any(float(t.detach().norm()) > 0 for t in last.logits.parameters())


@pytest.mark.parametrize(("grammar", "estimator"), [("tabular", "gld"), ("tabular", "rs"), ("nas_bench_201", "mgs")])
def test_conforms_with_the_protocol(grammar: str, estimator: str) -> None:
    options = {**ZARTS.tiny, "estimator": estimator, "rs_samples": 1, "radius_min": 0.05}
    conformance.require(spacec.load(GRAMMARS / f"{grammar}.space", preset="tiny"), ZARTS, options)


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(ZARTS.config), ZARTS().options
    assert (config.epochs, config.batch_size, config.arch_from, config.arch_every) == (50, 64, 10, 10)
    assert (config.lr, config.lr_min, config.momentum, config.weight_decay, config.clip) == (0.025, 1e-3, 0.9, 3e-4, 5)
    assert (options.estimator, options.samples, options.sigma, options.tau, options.lam) == (
        "mgs",
        4,
        0.025,
        0.01,
        1e-3,
    )
    assert (options.inner_steps, options.inner_batch_size, options.inner_lr) == (10, 48, 1e-3)
    assert (options.inner_momentum, options.inner_weight_decay, options.arch_init) == (0.0, 3e-4, 1e-3)
    assert (options.rs_samples, options.mu, options.rs_lr, options.phi) == (8, 0.1, 1e-4, None)
    assert (options.radius, options.radius_min) == (0.13, 4.69e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "adam"}, "E0702"),
        ({"lam": "2"}, "E0703"),
        ({"radius_min": "1"}, "E0703.*expected at most radius"),
        ({"inner_step": "1"}, "E0701.*inner_steps"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(spacec.SpacecError, match=f"(?s){message}"):
        ZARTS(options)


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_zarts.spacec_strategies()
    assert isinstance(descriptor, StrategyDescriptor)
    assert descriptor.load() is ZARTS
    assert descriptor.name == ZARTS.name
