"""TuNAS: active decisions, its reward and rate, warm-up then rewards, what is rated, and that it aims at a cost."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import spacec_tunas
import torch
from spacec_tunas.strategy import Tunas

import spacec
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.space.architecture import Architecture
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space few
input  x: [4]
output y: [1]
def op = a: identity | b: (linear(4) >> tanh) * {1..2} | c: (linear(4, bias = 0) | linear(4) >> relu) >> tanh
net = op >> linear(elastic {2, 4, 6}) >> linear(4) >> op >> linear(1)
""")
EVERY = list(SPACE.enumerate())
EPOCHS, STEPS = 4, 5
WARM = 5


def started(**options: object) -> tuple[Any, SearchContext, Batch]:
    task = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
    config = SearchConfig(epochs=EPOCHS, steps=STEPS)
    ctx = SearchContext(SPACE, task, config, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    made = Tunas({"target": 50.0, **options})
    made.setup(ctx)
    return made, ctx, ctx.stream("arch", "t", batch_size=16).batch(0, 0)


def test_the_log_probability_counts_the_active_decisions_only() -> None:
    """A candidate's own decisions are asked where it runs; others have no gradient from an architecture without it."""
    strategy, _, _ = started(start=1.0)
    logits = strategy.policy.logits
    by_hand = torch.stack([sum(logits[d].log_softmax(0)[k] for d, k in arch.choices) for arch in EVERY])
    mine = torch.stack([strategy.policy.log_probability(arch) for arch in EVERY])
    torch.testing.assert_close(mine, by_hand, atol=1e-12, rtol=0)
    assert mine.logsumexp(0).item() == pytest.approx(0.0, abs=1e-12)
    for arch, chance in zip(EVERY, mine, strict=True):
        gradients = torch.autograd.grad(chance, strategy.policy.parameters(), allow_unused=True, retain_graph=True)
        asked = {name for name, g in zip(logits, gradients, strict=True) if g is not None and g.abs().sum() > 0}
        assert asked == {d for d, _ in arch.choices}


def test_the_policy_starts_uniform_and_a_step_moves_what_was_asked() -> None:
    strategy, ctx, batch = started(arch_lr=0.1)
    assert all(not t.any() for t in strategy.policy.logits.values())
    ctx.step = WARM
    drawn: list[Architecture] = []
    for _ in range(2):  # of the first reward the advantage is none: the baseline has taken it in
        drawn.append(strategy.candidate())
        strategy.learn(ctx.quality(batch, ctx.mask_of(drawn[-1])), drawn[-1])
    strategy.step()
    moved = {name for name, t in strategy.policy.logits.items() if t.any()}
    assert {d for d, _ in drawn[1].choices} <= moved <= {d for arch in drawn for d, _ in arch.choices}


def test_the_reward_is_the_absolute_one() -> None:
    strategy, ctx, _ = started(target=40.0)
    for arch in EVERY[:6]:
        expected = 0.3 - 0.1 * abs(ctx.cost(arch, "params") / 40.0 - 1)
        assert strategy.reward(0.3, arch) == pytest.approx(expected)
    plain, _, _ = started(reward="none", target=None)
    assert plain.reward(0.3, EVERY[0]) == 0.3


def test_the_rate_rises_tenfold_from_the_first_reward_to_the_end() -> None:
    strategy, ctx, _ = started()
    rates = {}
    for ctx.step in (WARM, 10, 15, 20):
        rates[ctx.step] = strategy.arch_rate()
    assert rates[WARM] == pytest.approx(3e-4)
    assert rates[20] == pytest.approx(3e-3)
    assert rates[10] / rates[WARM] == pytest.approx(rates[20] / rates[15]) == pytest.approx(10 ** (1 / 3))
    assert strategy.optimizer.param_groups[0]["betas"] == (0.0, 0.999)
    flat, ctx, _ = started(growth=1.0)
    ctx.step = 17
    assert flat.arch_rate() == pytest.approx(3e-4)


def test_candidates_run_whole_less_and_less_until_rewards_begin() -> None:
    strategy, ctx, batch = started()
    choice, width = "net.op[0]", "net.linear[0].out[0]"
    for ctx.step in range(WARM + 2):
        masks = [path.mask for _ in range(400) for path in strategy.masks(ctx.step)]
        whole = sum(not isinstance(mask[choice], int) for mask in masks) / len(masks)
        raised = sum(mask[width] == 2 for mask in masks) / len(masks)
        p = max(0.0, 1 - ctx.step / WARM)
        assert whole == pytest.approx(p, abs=0.08)
        assert raised == pytest.approx(p + (1 - p) / 3, abs=0.08)
        assert (strategy.arch_step(batch, batch) is None) == (ctx.step < WARM)
    known = {tuple(SPACE.mask(arch).items()) for arch in EVERY}
    assert all(tuple(mask.items()) in known for mask in masks)


def test_what_was_trained_is_rated() -> None:
    strategy, ctx, batch = started(rated="trained", batch=3)
    ctx.step = WARM
    assert strategy.arch_step(batch, batch) == {"drawn": 0.0}, "the last step was of the warm-up"
    paths = strategy.masks(WARM)
    assert [path.weight for path in paths] == pytest.approx([1 / 3] * 3)
    qualities = [ctx.quality(batch, path.mask) for path in paths]
    archs = [SPACE.architecture(text) for text in strategy.trained]
    assert [ctx.mask_of(arch) for arch in archs] == [path.mask for path in paths]
    values = strategy.arch_step(batch, batch)
    rewards = [strategy.reward(q, a) for q, a in zip(qualities, archs, strict=True)]
    assert values is not None
    assert values["reward"] == pytest.approx(sum(rewards) / 3)
    assert not strategy.trained


@pytest.mark.parametrize("target", [45.0, 120.0])
def test_it_aims_at_the_cost(target: float) -> None:
    """Where the cost weighs much, what it holds for the most probable costs about what was asked for."""
    options = {"target": target, "beta": -100.0, "arch_lr": 0.05, "batch": 2}
    config = SearchConfig(epochs=2, steps=60, batch_size=4, eval_every=0, lr=0.01)
    found = search(SPACE, Tunas(options), Synthetic(), config).architecture
    off = sorted(abs(SPACE.cost(arch, "params") - target) for arch in EVERY)
    assert abs(SPACE.cost(found, "params") - target) <= off[len(EVERY) // 10]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(spacec.SpacecError, match=r"E0703.*ops_warmup is 0.5, later than the first reward"):
        Tunas({"ops_warmup": 0.5})
    Tunas({"ops_warmup": 0.5, "arch_warmup": 0.5})
    with pytest.raises(spacec.SpacecError, match=r"E0893.*no target"):
        started(target=None)


@pytest.mark.parametrize("options", [{}, {"rated": "trained", "batch": 2, "finalists": 2}], ids=["drawn", "trained"])
def test_conforms(options: dict[str, object]) -> None:
    conformance.require(SPACE, Tunas, {**Tunas.tiny, **options})


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_tunas.spacec_strategies()
    assert descriptor.load() is Tunas


def test_the_settings_are_the_papers() -> None:
    options, config = Tunas().options, strategy_config(Tunas.config)
    assert (options.arch_lr, options.growth, options.beta, options.reward) == (3e-4, 10.0, -0.1, "absolute")
    assert (options.baseline, options.baseline_momentum, options.arch_betas) == ("with", 0.95, (0.0, 0.999))
    assert (options.arch_warmup, options.ops_warmup, options.sizes_warmup) == (0.25, 0.25, 0.25)
    assert (config.epochs, config.optimizer, config.arch_batch_size) == (90, "rmsprop", 4 * (config.batch_size or 0))
    runners = {f.name for f in fields(SearchConfig)}
    assert not runners & {f.name for f in fields(options)}, "a setting of the runner would be out of reach"
