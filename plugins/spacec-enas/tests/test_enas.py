"""ENAS as a strategy: its gradient, phases, settings and answers, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from math import cos, pi

import pytest
import spacec_enas
import torch
from spacec_enas.strategy import Enas, within_cosine

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.runner import search
from spacec.search.space_like import Mask
from spacec.search.strategy import Trial
from spacec.search.tabular import Tabular
from spacec.search.task import Batch
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space picks(width = 4)
input  x: [width]
output y: [width]
def op = a: linear | b: linear >> tanh | c: identity
let cell = dag(x) { return sum(pick 1..2 from [x, x >> tanh]: op) }
net = op >> cell
""")
CHAIN = spacec.loads("""
space chain(width = 4)
input  x: [width]
output y: [width]
def op = a: linear | b: linear >> tanh | c: identity
net = op * 2
""")
EVERY = list(SPACE.enumerate())
PLANTED = spacec.loads("""
space planted(width = 8, classes = 3)
input  x: [width]
output logits: [classes]
def block = dead: zero | lin: linear >> tanh
net = block * 2 >> linear(classes)
""")
SMALL = SearchConfig(epochs=2, steps=4, batch_size=8, eval_every=0, device="cpu")


def worth(arch: Architecture) -> float:
    return math.sin(1.0 + 3 * sum(k * (v if isinstance(v, int) else len(v)) for k, (_, v) in enumerate(arch.choices)))


def table(space: spacec.Space = SPACE) -> Tabular:
    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        return Measured({"worth": worth(arch)}, 1.0)

    return Tabular(Benchmark("sine", space.table, (Measure("worth"),), lookup))


def test_the_mean_of_its_steps_is_the_exact_policy_gradient() -> None:
    """sum over m of pi(m) (R - b) grad log pi(m) is the gradient of E[R] for any baseline; R has the bonus."""
    strategy = Enas({"mode": "trials", "hidden": 4, "bonus": 0.1, "start": 1.0, "tanh": 2.0})
    search(SPACE, strategy, table(), SearchConfig(trials=1))
    policy = strategy.policy
    probabilities = torch.stack([policy.log_probability(a) for a in EVERY]).exp()
    rewards = [strategy.reward(worth(a), a) for a in EVERY]
    assert rewards[0] == pytest.approx(worth(EVERY[0]) + 0.1 * float(policy.entropy(EVERY[0]).detach()))
    expected = torch.autograd.grad(probabilities @ torch.tensor(rewards, dtype=torch.float64), policy.parameters())
    losses = [strategy.policy_loss(a, r - 0.7) for a, r in zip(EVERY, rewards, strict=True)]
    mine = torch.autograd.grad(torch.stack(losses) @ probabilities.detach(), policy.parameters())
    for found, wanted in zip(mine, expected, strict=True):
        torch.testing.assert_close(-found, wanted, atol=1e-12, rtol=0)


def test_the_mean_of_a_batch_needs_no_probability_of_what_is_valid() -> None:
    """Over all pairs of valid draws the step is the gradient of E[R | V]; that of a moving average is another."""
    space = CHAIN.where("params <= 20")
    valid = list(space.enumerate())
    assert 1 < len(valid) < CHAIN.count()
    found: dict[str, float] = {}
    exact: tuple[torch.Tensor, ...] = ()
    for baseline in ("batch", "before"):
        strategy = Enas({"mode": "trials", "hidden": 3, "start": 1.5, "tanh": 2.0, "batch": 2, "baseline": baseline})
        search(space, strategy, table(space), SearchConfig(trials=1))
        strategy.pending, policy = [], strategy.policy
        strategy.optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
        given = torch.stack([policy.log_probability(a) for a in valid]).softmax(0)
        rewards = [strategy.reward(worth(a), a) for a in valid]
        exact = torch.autograd.grad(given @ torch.tensor(rewards, dtype=torch.float64), policy.parameters())
        mean = [torch.zeros_like(g) for g in exact]
        strategy.average.total = strategy.average.weight = 0.0
        for (a, p), (b, q) in product(zip(valid, given.tolist(), strict=True), repeat=2):
            strategy.learn(worth(a), a)
            strategy.learn(worth(b), b)
            strategy.step()
            mean = [m - p * q * w.grad for m, w in zip(mean, policy.parameters(), strict=True) if w.grad is not None]
        found[baseline] = max(float((m - g).abs().max()) for m, g in zip(mean, exact, strict=True))
    largest = max(float(g.abs().max()) for g in exact)
    assert found["batch"] < 1e-12 < 1e-3 * largest < found["before"]


def test_a_batch_of_one_has_no_mean_to_compare_with() -> None:
    with pytest.raises(SpacecError, match="at least 2") as error:
        search(PLANTED, Enas({"baseline": "batch", "batch": 1}), Synthetic(), SMALL)
    assert error.value.diagnostics[0].code == "E0703"


def test_the_presets() -> None:
    macro = spacec.load("grammars/enas_macro.space", preset="tiny")
    of_micro, of_macro, forced = (
        Enas({"arch_steps": 1}),
        Enas({"batch": 2, "arch_steps": 1}),
        Enas({"space": "macro", "mode": "trials"}),
    )
    for strategy, space in ((of_micro, PLANTED), (of_macro, macro)):
        search(space, strategy, Synthetic(), SearchConfig(epochs=0))
    search(SPACE, forced, table(), SearchConfig(trials=1))
    names = ("space", "arch_lr", "arch_steps", "batch", "tanh", "reduce", "skip_weight")
    assert [getattr(of_micro.options, n) for n in names] == ["micro", 0.0035, 1, 10, 1.1, 2.5, 0.0]
    assert [getattr(of_macro.options, n) for n in names] == ["macro", 0.001, 1, 2, 1.5, 1.0, 0.8]
    assert [getattr(forced.options, n) for n in names] == ["macro", 0.001, 50, 20, 1.5, 1.0, 0.8]
    config = strategy_config(Enas.config)
    assert (config.epochs, config.batch_size, config.lr, config.lr_min, config.weight_decay) == (
        150,
        160,
        0.05,
        0.0005,
        1e-4,
    )


def test_a_label_that_is_nowhere_is_refused() -> None:
    with pytest.raises(SpacecError) as error:
        search(PLANTED, Enas({"favoured": "lin,deed"}), Synthetic(), SMALL)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "E0896"
    assert "'deed'" in diagnostic.headline
    assert "'dead'" in diagnostic.help


def test_the_weights_rate_restarts_in_cosines_of_twice_the_length() -> None:
    epochs = (0, 9, 10, 29, 30, 69, 70)
    assert [within_cosine(e, 10, 2) for e in epochs] == pytest.approx([0, 0.9, 0, 0.95, 0, 0.975, 0])
    strategy = Enas({"finalists": 0, "arch_steps": 1, "batch": 1, "restart": 1})
    context = search(PLANTED, strategy, Synthetic(), SearchConfig(epochs=3, steps=2, lr=0.05, lr_min=0.01)).context
    rates = []
    for context.epoch in range(4):  # the method reads where the search stands
        rates.append(strategy.weight_rate(1))
    assert rates == pytest.approx([0.05, 0.05, 0.03, 0.05])
    plain = Enas({"restart": 0})
    plain.setup(context)
    assert plain.weight_rate(1) is None
    by_step = SearchConfig(epochs=1, steps=2, lr=0.05, lr_min=0.01, schedule_by="step")
    other = Enas({"finalists": 0, "arch_steps": 1, "batch": 1, "restart": 1})
    search(PLANTED, other, Synthetic(), by_step)
    other.ctx.epoch = 0
    assert other.weight_rate(1) == pytest.approx(0.01 + 0.04 * (1 + cos(pi / 2)) / 2)


def test_the_controllers_phase_comes_at_the_end_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, Batch]] = []

    class Noted(Enas):
        def learn(self, quality: float, arch: Architecture) -> float:
            read.append((self.ctx.step, batches[-1]))
            return super().learn(quality, arch)

    batches: list[Batch] = []
    strategy = Noted({"arch_steps": 2, "batch": 3, "finalists": 0, "arch_warmup": 0.5})
    original = SearchContext.quality

    def noted(self: SearchContext, batch: Batch, mask: Mask | None, supernet: str = MAIN) -> float:
        batches.append(batch)
        return original(self, batch, mask, supernet)

    monkeypatch.setattr(SearchContext, "quality", noted)
    search(PLANTED, strategy, Synthetic(), SearchConfig(epochs=4, steps=5, batch_size=8, arch_every=2, eval_every=0))
    assert [step for step, _ in read] == [14] * 6 + [19] * 6, "nothing is learnt in the first half, then once an epoch"
    samples = [tuple(next(iter(batch.inputs.values())).flatten().tolist()) for _, batch in read]
    assert len(set(samples)) == 12, "each reading is of a minibatch of its own"
    assert int(next(iter(strategy.optimizer.state.values()))["step"]) == 4


def test_the_answer_is_the_best_of_some_draws() -> None:
    asked: list[Trial] = []

    class Noted(Enas):
        def ask(self, arch: Architecture, tag: object = None) -> Trial:
            asked.append(super().ask(arch, tag))
            return asked[-1]

    strategy = Noted({"arch_steps": 1, "batch": 2, "finalists": 4})
    found = search(PLANTED, strategy, Synthetic(), SMALL)
    assert found.trials == 4 == len(asked)
    assert {(t.weights, t.batches) for t in asked} == {("shared", 1)}
    assert strategy.best is not None
    assert found.architecture == strategy.best.arch
    likeliest = Enas({"arch_steps": 1, "batch": 2, "finalists": 0})
    found = search(PLANTED, likeliest, Synthetic(), SMALL)
    assert found.architecture == likeliest.policy.best()


def test_it_learns_from_shared_weights() -> None:
    strategy = Enas(
        {"arch_steps": 6, "batch": 5, "arch_lr": 0.03, "baseline_momentum": 0.9, "tanh": 2.5, "reduce": 1.0}
    )
    search(PLANTED, strategy, Synthetic(), SearchConfig(epochs=4, steps=10, lr=0.1, eval_every=0))
    shown = strategy.policy.probabilities()
    alive = [p[1] for p in shown.values()]
    assert alive[0] * alive[1] > 0.5, "both blocks must compute for the network to see its input"


def test_it_learns_from_trials() -> None:
    strategy = Enas({"mode": "trials", "arch_lr": 0.02, "batch": 4, "baseline_momentum": 0.9, "tanh": 4, "reduce": 1})
    found = search(SPACE, strategy, table(), SearchConfig(trials=160))
    with torch.no_grad():
        expected = sum(float(strategy.policy.log_probability(a).exp()) * worth(a) for a in EVERY)
    assert expected > sum(map(worth, EVERY)) / len(EVERY) + 0.4
    assert found.metrics["worth"] == pytest.approx(max(map(worth, EVERY)), abs=0.1)


def test_conforms() -> None:
    conformance.require(spacec.load("grammars/enas_macro.space", preset="tiny"), Enas)


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_enas.spacec_strategies()
    assert descriptor.load() is Enas


def test_a_quality_that_is_no_finite_number_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = Enas({**Enas.tiny, "arch_steps": 1, "finalists": 0})
    given = iter([float("-inf"), 0.5, float("nan"), 0.5])
    monkeypatch.setattr(SearchContext, "quality", lambda *_: next(given))
    task = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
    search(SPACE, strategy, task, SMALL)
    assert strategy.average.value == pytest.approx(0.5, abs=0.01), "with the bonus"
    assert not strategy.pending
    assert all(t.isfinite().all() for t in strategy.policy.parameters())
