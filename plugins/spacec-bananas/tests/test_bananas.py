"""BANANAS: the ensemble learns as autograd would, acquisitions order as they should, rounds mutate the best."""

from __future__ import annotations

from collections.abc import Mapping
from math import erf, exp, pi, sqrt
from pathlib import Path
from typing import Any

import pytest
import spacec_bananas
import torch
from spacec_bananas.acquisition import scores
from spacec_bananas.ensemble import Ensemble, Fit
from spacec_bananas.strategy import Bananas

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.runner import SearchResult, search
from spacec.search.strategy import TrialResult
from spacec.search.tabular import Tabular
from spacec.space.architecture import Architecture
from spacec.space.benchmark import Benchmark, Measure, Measured

GRAMMARS = Path(__file__).resolve().parents[3] / "grammars"
SPACE = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")
FAST = {"initial": 6, "k": 4, "fit_epochs": 20, "layers": 3, "members": 3, "candidates": 24}


def table(space: spacec.Space = SPACE, direction: Any = "max") -> Tabular:
    """A smooth hill with one top: the sum of the candidates' places."""

    def lookup(arch: Architecture, which: Mapping[str, str]) -> Measured | None:
        value = float(sum(v if isinstance(v, int) else sum(v) for _, v in arch.choices))
        return Measured({"height": value if direction == "max" else -value})

    return Tabular(Benchmark("hill", space.table, (Measure("height", direction),), lookup))


class Watched(Bananas):
    """Keeps what was told, in order."""

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.watched: list[Architecture] = []

    def observe(self, results: Any) -> None:
        super().observe(results)
        self.watched += [r.trial.arch for r in results]


def run(options: Mapping[str, object], task: Tabular | None = None, **config: Any) -> tuple[Watched, SearchResult]:
    strategy = Watched({**FAST, **options})
    return strategy, search(SPACE, strategy, task or table(), SearchConfig(**{"trials": 30, **config}))


def height(arch: Architecture) -> int:
    return sum(v for _, v in arch.choices if isinstance(v, int))


def test_its_gradients_are_those_of_autograd() -> None:
    generator = torch.Generator().manual_seed(1)
    net = Ensemble(6, Fit(members=3, layers=4, width=5), generator)
    rows = torch.rand(3, 7, 6, generator=generator)
    targets, weights = torch.rand(3, 7, generator=generator), torch.rand(3, 7, generator=generator)
    net._backward(rows, targets, weights)
    flat = net.flat.clone().requires_grad_()
    parts = [p.view(q.shape) for p, q in zip(flat.split([q.numel() for q in net.parts]), net.parts, strict=True)]
    hidden = rows
    for layer in range(0, len(parts), 2):
        hidden = hidden @ parts[layer] + parts[layer + 1]
        hidden = hidden if layer == len(parts) - 2 else hidden.relu()
    (weights * (hidden.squeeze(-1) - targets).abs()).mean(dim=1).sum().backward()
    assert flat.grad is not None
    assert net.grad.abs().max() > 0.01
    torch.testing.assert_close(net.grad, flat.grad)


def test_its_steps_are_those_of_adam() -> None:
    generator = torch.Generator().manual_seed(1)
    net = Ensemble(4, Fit(members=1, layers=1, width=3, epochs=5, batch_size=8), generator)
    twin = Ensemble(4, net.fit, torch.Generator().manual_seed(1))
    rows, targets = torch.rand(8, 4, generator=generator), torch.rand(8, generator=generator)
    optimizer = torch.optim.Adam([flat := twin.flat.requires_grad_()], lr=0.01, betas=(0.9, 0.99), eps=1e-8)
    for _ in range(5):
        with torch.no_grad():
            twin._backward(rows[None], targets[None], torch.ones(1, 8))
        flat.grad = twin.grad.clone()
        optimizer.step()
    net.train(rows, targets, torch.ones(8), generator)
    torch.testing.assert_close(net.flat, flat.detach(), atol=1e-5, rtol=1e-4)


def test_members_differ_and_learn() -> None:
    generator = torch.Generator().manual_seed(2)
    rows = (torch.rand(60, 12, generator=generator) > 0.5).float()
    targets = rows @ torch.randn(12, generator=generator)
    net = Ensemble(12, Fit(layers=3, epochs=60), generator)
    before = (net.predict(rows) - targets).abs().mean()
    net.train(rows, targets, torch.ones(60), generator)
    after = (net.predict(rows) - targets).abs().mean(dim=1)
    assert (after < 0.4 * before).all()
    assert len(set(after.tolist())) == 5


def test_acquisitions_are_their_formulas() -> None:
    drawn = torch.tensor([[0.0, 1.0, 2.0], [0.2, 0.4, 2.0], [0.4, 0.1, 2.0]])
    mean, spread, least = drawn.mean(dim=0), drawn.std(dim=0), 0.3
    generator = torch.Generator().manual_seed(0)

    def told(how: Any) -> torch.Tensor:
        return scores(drawn, least, how, generator.manual_seed(0))

    torch.testing.assert_close(told("mean"), mean)
    torch.testing.assert_close(told("ucb"), (mean - 0.5 * spread).minimum(mean), atol=1e-6, rtol=0)
    m, s = float(mean[1]), float(spread[1])
    z = (least - m) / s
    below, density = 0.5 * (1 + erf(z / sqrt(2))), exp(-z * z / 2) / sqrt(2 * pi)
    assert float(told("pi")[1]) == pytest.approx(-below, abs=1e-6)
    assert float(told("ei")[1]) == pytest.approx(-s * (z * below + density), abs=1e-6)
    assert any(torch.equal(told("ts"), row) for row in drawn)
    many = torch.stack([scores(drawn, least, "its", generator) for _ in range(2000)])
    torch.testing.assert_close(many.mean(dim=0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(many.std(dim=0), spread, atol=0.05, rtol=0.1)


def test_nothing_is_rated_twice_and_rounds_stay_near_the_best() -> None:
    strategy, _ = run({})
    assert len({a.text() for a in strategy.watched}) == 30
    for start in range(6, 30, 4):
        known = sorted(strategy.watched[:start], key=height, reverse=True)[:5]
        for child in strategy.watched[start : start + 4]:
            assert any(sum(a != b for a, b in zip(p.choices, child.choices, strict=True)) == 1 for p in known)


@pytest.mark.parametrize("acquisition", ["its", "ei"])
def test_it_climbs(acquisition: str) -> None:
    found = [run({"acquisition": acquisition}, trials=40, seed=seed)[1].metrics["height"] for seed in range(3)]
    assert min(found) >= 22, "the top is 24; of 40 drawn uniformly the best has 19 in the mean"


def test_less_is_better_where_the_metric_says_so() -> None:
    _, found = run({"loss": "mape", "bound": -30.0}, table(direction="min"), trials=40)
    assert found.metrics["height"] <= -22


def test_mape_needs_a_bound() -> None:
    with pytest.raises(SpacecError, match="needs bound") as error:
        run({"loss": "mape"})
    assert error.value.diagnostics[0].code == "E0869"


def test_a_space_that_is_used_up_ends_the_search() -> None:
    space = spacec.loads("space s\ninput x: [4]\noutput y: [2]\nnet = (a: tanh | b: relu) >> linear(2)")
    strategy = Bananas(FAST)
    assert search(space, strategy, table(space), SearchConfig(trials=30)).trials == 2


@pytest.mark.parametrize(("name", "scheme"), [("nas_bench_201", "path"), ("tabular", "onehot"), ("clearer", "onehot")])
def test_the_encoding_of_a_space(name: str, scheme: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    strategy = Bananas({**FAST, "fit_epochs": 2})
    search(space, strategy, table(space), SearchConfig(trials=12))
    assert strategy.scheme[0] == scheme


def test_an_encoding_that_is_asked_for_and_impossible_is_an_error() -> None:
    space = spacec.load(GRAMMARS / "tabular.space", preset="tiny")
    with pytest.raises(SpacecError, match="no choice between operations"):
        search(space, Bananas({**FAST, "encoding": "path"}), table(space), SearchConfig(trials=12))


def test_it_proposes_while_trials_are_outstanding_and_in_any_order() -> None:
    strategy, found = run({}, trials=6)
    strategy.ctx = found.context
    strategy.options = Watched({**FAST, "samples": 40}).options
    waiting = [*strategy.propose(3), *strategy.propose(3)]
    assert len({t.arch.text() for t in waiting}) == len(waiting) >= 4
    for trial in reversed(waiting):
        strategy.observe([TrialResult(trial, {"height": float(height(trial.arch))})])
    strategy.observe([TrialResult(waiting[0], {}, error="no memory")])
    assert len(strategy.rated) == 6 + len(waiting)


def test_the_descriptor_names_the_class() -> None:
    (descriptor,) = spacec_bananas.spacec_strategies()
    assert descriptor.load() is Bananas
