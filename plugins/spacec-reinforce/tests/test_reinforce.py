"""REINFORCE: the exact policy gradient on a space that can be listed, the baseline, and that it learns."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest
import spacec_reinforce
import torch
from spacec_reinforce.strategy import Reinforce
from torch import Tensor

import spacec
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.config import SearchConfig
from spacec.search.executor import Virtual
from spacec.search.policies.factorised import FactorisedPolicy, fresh_logits
from spacec.search.runner import search
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured

SPACE = spacec.loads("""
space picks(width = 4)
input  x: [width]
output y: [width]
def op = a: linear | b: linear >> tanh | c: identity | d: (linear >> tanh) * {1..2}
let cell = dag(x) { return sum(pick 1..2 from [x, x >> tanh, x >> gelu]: op) }
net = op >> cell
where params <= 60
""")
EVERY = list(SPACE.enumerate())


def reward(arch: Architecture) -> float:
    return math.sin(1.0 + 3 * sum(k * (v if isinstance(v, int) else len(v)) for k, (_, v) in enumerate(arch.choices)))


def table() -> Tabular:
    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return Measured({"reward": reward(arch)}, 1.0 + len(arch))

    return Tabular(Benchmark("sine", SPACE.table, (Measure("reward"),), lookup))


def by_hand(logits: Mapping[str, Tensor]) -> Tensor:
    """The probability of every valid architecture, from the definition."""
    weights = []
    for arch in EVERY:
        total = torch.zeros((), dtype=torch.float64)
        for d in SPACE.decisions:
            value = arch.get(d.id)
            if isinstance(value, int):
                total = total + logits[d.id].log_softmax(0)[value]
            elif value is not None:
                total = total + log_coins(logits[d.id], value) - bounds(logits[d.id], d.low, d.high)
        weights.append(total)
    return torch.stack(weights).softmax(0)  # given that it is valid


def log_coins(logits: Tensor, picked: tuple[int, ...]) -> Tensor:
    signs = torch.tensor([1.0 if e in picked else -1.0 for e in range(len(logits))], dtype=torch.float64)
    return torch.nn.functional.logsigmoid(signs * logits).sum()


def bounds(logits: Tensor, low: int, high: int) -> Tensor:
    n = len(logits)
    subsets = [tuple(e for e in range(n) if s >> e & 1) for s in range(2**n)]
    return torch.logsumexp(torch.stack([log_coins(logits, s) for s in subsets if low <= len(s) <= high]), 0)


def controller(deviation: float = 1.0) -> FactorisedPolicy:
    return FactorisedPolicy(SPACE.table, fresh_logits(SPACE.table, deviation, torch.Generator().manual_seed(3)))


def gradient(chosen: FactorisedPolicy, arch: Architecture) -> dict[str, Tensor]:
    """The gradient of log pi(arch | V) in the logits."""
    found = torch.autograd.grad(chosen.log_probability(arch), chosen.parameters(), allow_unused=True)
    pairs = zip(chosen.logits.items(), found, strict=True)
    return {name: torch.zeros_like(t) if g is None else g for (name, t), g in pairs}


def test_the_mean_of_its_steps_is_the_exact_policy_gradient() -> None:
    """sum over a of pi(a) (R(a) - b) grad log pi(a) is the gradient of the expected reward, for any baseline."""
    chosen = controller()
    leaves = {name: t.detach().clone().requires_grad_() for name, t in chosen.logits.items()}
    probabilities = by_hand(leaves)
    rewards = torch.tensor([reward(a) for a in EVERY], dtype=torch.float64)
    torch.autograd.backward((probabilities * rewards).sum())
    for baseline in (0.0, 0.7):
        mine = {name: torch.zeros_like(t) for name, t in leaves.items()}
        for arch, p in zip(EVERY, probabilities.tolist(), strict=True):
            for name, score in gradient(chosen, arch).items():
                mine[name] += p * (reward(arch) - baseline) * score
        for name, leaf in leaves.items():
            expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            torch.testing.assert_close(mine[name], expected, atol=1e-12, rtol=0)


def test_draws_have_the_probabilities() -> None:
    chosen = controller()
    expected = by_hand(chosen.logits)
    rng, counts = random.Random(0), dict.fromkeys(EVERY, 0)
    for _ in range(600):
        counts[chosen.draw(rng)] += 1
    for arch, p in zip(EVERY, expected.tolist(), strict=True):
        assert abs(counts[arch] / 600 - p) < 5 * math.sqrt(p / 600) + 0.01


def test_where_the_constraints_cannot_be_counted_it_rejects(monkeypatch: pytest.MonkeyPatch) -> None:
    def uncounted(*_: object) -> Any:
        raise SpacecError(Diagnostic("E0510", "too many states"))

    monkeypatch.setattr("spacec.search.policies.factorised.algebra", uncounted)
    chosen = controller()
    assert not chosen.exact
    rng = random.Random(1)
    for _ in range(50):
        SPACE.validate(chosen.draw(rng))
    leaves = {name: t.detach().clone().requires_grad_() for name, t in chosen.logits.items()}
    arch = EVERY[5]
    total = torch.zeros((), dtype=torch.float64)
    for d in SPACE.decisions:
        value = arch.get(d.id)
        if isinstance(value, int):
            total = total + leaves[d.id].log_softmax(0)[value]
        elif value is not None:
            total = total + log_coins(leaves[d.id], value) - bounds(leaves[d.id], d.low, d.high)
    torch.autograd.backward(total)
    for name, score in gradient(chosen, arch).items():
        grad = leaves[name].grad
        torch.testing.assert_close(score, torch.zeros_like(score) if grad is None else grad)


def started(options: Mapping[str, object]) -> Reinforce:
    strategy = Reinforce(options)
    search(SPACE, strategy, table(), SearchConfig(trials=1))
    strategy.average.total = strategy.average.weight = 0.0
    return strategy


def test_the_baseline() -> None:
    before = started({})
    assert [before.average.advantage(r) for r in (2.0, 4.0)] == pytest.approx([0.0, 2.0])
    mean = (0.1 * 0.9 * 2 + 0.1 * 4) / (0.1 * 0.9 + 0.1)
    assert before.average.advantage(5.0) == pytest.approx(5.0 - mean)
    included = started({"baseline": "with"})
    assert included.average.advantage(2.0) == pytest.approx(0.0)
    assert included.average.advantage(4.0) == pytest.approx(4.0 - mean)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_it_learns(asynchronous: bool) -> None:
    strategy = Reinforce({"arch_lr": 0.1})
    executor = Virtual({"workers": 4}) if asynchronous else None
    config = SearchConfig(trials=200, asynchronous=asynchronous)
    found = search(SPACE, strategy, table(), config, executor=executor)
    start = sum(map(reward, EVERY)) / len(EVERY)
    p = by_hand(strategy.policy.logits)
    assert float(sum(w * reward(a) for w, a in zip(p.tolist(), EVERY, strict=True))) > start + 0.5
    assert found.metrics["reward"] == pytest.approx(max(map(reward, EVERY)), abs=0.05)


def test_a_batch_is_one_step_of_the_mean() -> None:
    strategy = Reinforce({"batch": 4})
    search(SPACE, strategy, table(), SearchConfig(trials=11))
    assert len(strategy.pending) == 3
    state = next(iter(strategy.optimizer.state.values()))
    assert int(state["step"]) == 2


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_reinforce.spacec_strategies()
    assert descriptor.load() is Reinforce
