"""ProxylessNAS' gate gradients against brute force, its rescaling, cost terms, rewards and schedule."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, log, pi
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_proxylessnas.cost import with_cost
from spacec_proxylessnas.gradients import of_pair, rescaled, through_softmax
from spacec_proxylessnas.strategy import ProxylessNAS
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
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

GRAMMARS = Path(__file__).parents[3] / "grammars"
POINTS = spacec.loads("""
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
""")
CELLS = spacec.loads("""
space cells(width = 4, classes = 3)
input  x: [width]
output logits: [classes]
default pick(absent = 1)
let cell = dag(a) { return sum(pick 2 from [a, a >> tanh, a >> relu]: lin: linear(width) | skip: identity) }
net = cell * 2 >> linear(classes)
""")
WEIGHED = spacec.loads("""
space weighed(width = 4, classes = 3)
input  x: [width]
output logits: [classes]
default pick(absent = 1, edges = 1)
let cell = dag(a) { return sum(pick 2 from [a, a >> tanh, a >> relu]: lin: linear(width) | skip: identity) }
net = cell >> linear(classes)
""")
ELASTIC = spacec.loads("""
space widths(classes = 3)
input  x: [4]
output logits: [classes]
net = linear(elastic {2, 4, 6}) >> relu >> linear(classes)
""")
SWITCHED = spacec.loads("""
space switched(classes = 3)
input  x: [4]
output logits: [classes]
let r = {0, 1}
def f = linear(4) >> tanh when r == 0 | linear(4) >> relu when r == 1
net = f >> (skip: identity | more: linear(4)) >> linear(classes)
""")


def started(space: spacec.Space, **options: object) -> tuple[ProxylessNAS, SearchContext, Batch]:
    """A strategy in double precision with logits of any size, and a batch."""
    task = Synthetic().adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    strategy = ProxylessNAS(options)
    strategy.setup(ctx)
    rng = torch.Generator().manual_seed(1)
    for logits in strategy.logits.parameters():
        logits.data = torch.randn(logits.shape, dtype=torch.float64, generator=rng)
    batch = ctx.stream("arch", "t").batch(0, 0)
    return strategy, ctx, Batch({k: v.double() for k, v in batch.inputs.items()}, batch.targets)


def mixed(ctx: SearchContext, batch: Batch, active: Mapping[str, int]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and dL/dg where every candidate runs in the graph, with gates of one and zero: brute force."""
    gates = {s.id: torch.eye(s.size, dtype=torch.float64)[active[s.id]].clone().requires_grad_() for s in ctx.slots}
    loss = ctx.loss(ctx.forward(batch, gates), batch)
    found = torch.autograd.grad(loss, list(gates.values()), allow_unused=True)
    return loss, {s: torch.zeros_like(g) if h is None else h for (s, g), h in zip(gates.items(), found, strict=True)}


@pytest.mark.parametrize("space", [POINTS, CELLS, ELASTIC, SWITCHED])
def test_full_gradients_are_those_of_binary_gates(space: spacec.Space) -> None:
    """dL/dalpha_k = sum_j h_j p_j (delta_jk - p_k), h_j = <dL/do, O_j(x)> for candidates that did not run as well."""
    strategy, ctx, batch = started(space, mode="full")
    state = ctx.generator.get_state()
    gradient, values = strategy.architecture_gradient(batch, batch)
    ctx.generator.set_state(state)
    loss, h = mixed(ctx, batch, ctx.draw(strategy.weights()))
    assert values["arch_loss"] == pytest.approx(float(loss.detach()))
    assert any(float(g.abs().max()) > 0 for g in gradient if g is not None)
    for (slot, alpha), found in zip(strategy.logits.items(), gradient, strict=True):
        p = alpha.detach().softmax(0)
        jacobian = p[:, None] * (torch.eye(len(p)) - p)
        expected = (h[slot][:, None] * jacobian).sum(0)
        torch.testing.assert_close(torch.zeros_like(p) if found is None else found, expected)


@pytest.mark.parametrize("mode", ["two", "full"])
def test_edge_weights_have_the_gradient_of_their_softmax(mode: str) -> None:
    """They are no choice: p stays, and dL/dalpha = dL/dp through the softmax, at the paths that were drawn."""
    strategy, ctx, batch = started(WEIGHED, mode=mode)
    state = ctx.generator.get_state()
    gradient = dict(zip(strategy.logits, strategy.architecture_gradient(batch, batch)[0], strict=True))
    ctx.generator.set_state(state)
    drawn = {s: pair[0] for s, pair in strategy.pairs.items()} if mode == "two" else ctx.draw(strategy.weights())
    (edges,) = (slot.id for slot in ctx.slots if slot.edges)
    one_hot = {s.id: torch.eye(s.size, dtype=torch.float64)[drawn[s.id]] for s in ctx.slots if not s.edges}
    loss = ctx.loss(ctx.forward(batch, {**one_hot, edges: strategy.logits[edges].softmax(0)}), batch)
    (expected,) = torch.autograd.grad(loss, strategy.logits[edges])
    torch.testing.assert_close(gradient[edges], expected)


def test_the_gradient_through_softmax_is_that_of_costs() -> None:
    """With c_j = p_j h_j: c_k - p_k sum_j c_j, which is DARTS' gradient by the costs of candidates."""
    h, alpha = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alpha.requires_grad_()
    (expected,) = torch.autograd.grad((alpha.softmax(0) * h).sum(), alpha)
    p = alpha.detach().softmax(0)
    torch.testing.assert_close(through_softmax(h, p), expected)
    torch.testing.assert_close(p * h - p * (p * h).sum(), expected)


@pytest.mark.parametrize("space", [POINTS, CELLS, ELASTIC])
def test_two_paths_have_the_gradient_of_a_softmax_over_the_two(space: spacec.Space) -> None:
    strategy, ctx, batch = started(space, mode="two")
    gradient, _ = strategy.architecture_gradient(batch, batch)
    _, h = mixed(ctx, batch, {slot: pair[0] for slot, pair in strategy.pairs.items()})
    for (slot, alpha), found in zip(strategy.logits.items(), gradient, strict=True):
        pair = list(strategy.pairs[slot])
        assert len(set(pair)) == 2
        both = alpha.detach()[pair].requires_grad_()
        (two,) = torch.autograd.grad((both.softmax(0) * h[slot][pair]).sum(), both)
        expected = torch.zeros_like(alpha).index_put((torch.tensor(pair),), two)
        torch.testing.assert_close(torch.zeros_like(alpha) if found is None else found, expected.detach())
        torch.testing.assert_close(of_pair(h[slot][pair], alpha.detach(), tuple(pair)), expected.detach())


def test_a_step_on_two_paths_moves_no_other_probability() -> None:
    strategy, _, batch = started(POINTS, mode="two", arch_lr=0.1)
    before = {slot: p.detach() for slot, p in strategy.weights().items()}
    strategy.arch_step(batch, batch)
    for slot, p in strategy.weights().items():
        (other,) = {0, 1, 2} - set(strategy.pairs[slot])
        torch.testing.assert_close(p[other], before[slot][other])
        assert float((p - before[slot]).detach().abs().max()) > 1e-3
    old, new = torch.tensor([0.0, 1.0, 2.0]).double(), torch.tensor([0.5, 1.0, 1.2]).double()
    shifted = rescaled(new, old, (0, 2))
    assert float(shifted[[0, 2]].exp().sum()) == pytest.approx(float(old[[0, 2]].exp().sum()))
    assert float(shifted[2] - shifted[0]) == pytest.approx(0.7)


def test_pairs_are_drawn_by_probability_without_replacement() -> None:
    """P(first drawn or second) by enumeration; the active one by p among the two."""
    strategy, _, _ = started(POINTS)
    p = torch.tensor([0.6, 0.3, 0.1]).double()
    n = 4000
    pairs = [strategy._pair(p) for _ in range(n)]
    both = {(0, 1): 0.6 * 0.3 / 0.4 + 0.3 * 0.6 / 0.7, (0, 2): 0.6 * 0.1 / 0.4 + 0.1 * 0.6 / 0.9}
    for (i, j), chance in both.items():
        found = [pair for pair in pairs if set(pair) == {i, j}]
        assert len(found) / n == pytest.approx(chance, abs=0.03)
        assert sum(pair[0] == i for pair in found) / len(found) == pytest.approx(float(p[i] / (p[i] + p[j])), abs=0.04)


@pytest.mark.parametrize("term", ["mul", "add"])
@pytest.mark.parametrize("mode", ["two", "full"])
def test_cost_terms_reach_the_logits(term: str, mode: str) -> None:
    """mul: 0.2 L (log E / log ref)^0.3; add: L + 0.1 (E - ref) / ref."""
    plain, ctx, batch = started(POINTS, mode=mode)
    gates = dict(zip(plain.logits, plain.architecture_gradient(batch, batch)[0], strict=True))
    strategy, ctx, batch = started(POINTS, mode=mode, reference=60, cost_term=term)
    gradient, values = strategy.architecture_gradient(batch, batch)
    loss = values["arch_loss"]
    expected = ctx.expected_cost(strategy.weights())
    assert values["expected_cost"] == pytest.approx(float(expected.detach()))
    if term == "mul":
        factor = 0.2 * (log(float(expected.detach())) / log(60)) ** 0.3
        cost = 0.2 * loss * (expected.log() / log(60)) ** 0.3
    else:
        factor, cost = 1.0, 0.1 * (expected - 60) / 60
    direct = torch.autograd.grad(cost, strategy.logits.parameters())
    for slot, found, d in zip(strategy.logits, gradient, direct, strict=True):
        assert found is not None
        assert gates[slot] is not None
        torch.testing.assert_close(found, factor * gates[slot] + d)


def test_a_cost_below_one_keeps_a_finite_gradient() -> None:
    e = torch.tensor(0.5, requires_grad=True)
    loss = with_cost(torch.tensor(1.0), e, 10.0, "mul", 0.2, 0.3)
    (found,) = torch.autograd.grad(loss, e)
    assert float(found) == 0.0


@pytest.mark.parametrize(("reference", "term", "low"), [(1, "mul", 1), (0, "add", 0)])
def test_a_reference_that_nothing_can_be_divided_by_is_refused(reference: float, term: str, low: int) -> None:
    with pytest.raises(spacec.SpacecError, match=rf"E0703.*reference.*more than {low}"):
        started(POINTS, reference=reference, cost_term=term)


def test_an_unknown_cost_is_refused_before_the_first_step() -> None:
    with pytest.raises(spacec.SpacecError, match=r"E0512.*'watts'"):
        started(POINTS, reference=60, cost="watts")
    started(POINTS, cost="watts")  # nothing counts it


def test_a_latency_table_is_a_cost(tmp_path: Path) -> None:
    (tmp_path / "here.csv").write_text("op,input,ms\nlinear,*,2\n*,*,0\n")
    file = tmp_path / "timed.space"
    file.write_text(POINTS.text + 'where latency("here.csv") <= 100ms\n')
    space = spacec.load(file)
    strategy = ProxylessNAS({"reference": 4, "cost": 'latency("here.csv")'})
    config = SearchConfig(epochs=1, steps=1)
    found = search(space, strategy, Synthetic(), config)
    p = strategy.weights()
    assert float(found.context.expected_cost(p, 'latency("here.csv")').detach()) == pytest.approx(
        2 + sum(2 * (1 - float(w[0].detach())) for w in p.values()), rel=1e-5
    )


def test_reinforce_is_the_mean_of_advantages_times_scores() -> None:
    strategy, ctx, batch = started(POINTS, mode="reinforce", samples=4, reference=60, reward_power=0.5, baseline=0.25)
    strategy.average = 0.1
    state = ctx.generator.get_state()
    before = {k: v.clone() for k, v in ctx.supernet.state_dict().items()}
    gradient, values = strategy.architecture_gradient(batch, batch)
    assert all(torch.equal(v, before[k]) for k, v in ctx.supernet.state_dict().items())
    ctx.generator.set_state(state)
    draws = [ctx.draw(strategy.weights()) for _ in range(4)]
    rewards = []
    for drawn in draws:
        out = ctx.forward(batch, drawn)
        accuracy = float((out.prediction.argmax(1) == batch.target).double().mean())
        rewards.append(accuracy * (60 / (18 + sum((0, 25, 35)[k] for k in drawn.values()))) ** 0.5)
    mean = sum(rewards) / 4
    baseline = 0.1 + 0.25 * (mean - 0.1)
    assert values == {"reward": pytest.approx(mean), "baseline": pytest.approx(baseline)}
    alphas = strategy.logits
    scores = torch.stack([torch.stack([alphas[s].log_softmax(0)[k] for s, k in d.items()]).sum() for d in draws])
    objective = -((torch.tensor(rewards).double() - baseline) * scores).mean()
    for found, expected in zip(gradient, torch.autograd.grad(objective, alphas.parameters()), strict=True):
        assert found is not None
        torch.testing.assert_close(found, expected)


def test_the_rate_is_two_cosines() -> None:
    strategy, ctx, _ = started(POINTS)
    ctx.config = strategy_config(ProxylessNAS.config, {"epochs": 12, "arch_from": 4, "steps": 2})
    ctx.epochs, ctx.steps = 12, 2
    rates = {}
    for ctx.epoch in range(12):
        rates |= {(ctx.epoch, step): strategy.weight_rate(step) for step in range(2)}
    for (epoch, step), rate in rates.items():
        at = epoch + step / 2
        top, share = (0.05, at / 4) if epoch < 4 else (0.025, (at - 4) / 8)
        assert rate == pytest.approx(top * (1 + cos(pi * share)) / 2)


@pytest.mark.parametrize(
    ("space", "options"),
    [
        (WEIGHED, {"mode": "two", "reference": 60, "cost_term": "add"}),
        (WEIGHED, {"mode": "full"}),
        (CELLS, {"mode": "reinforce", "samples": 2}),
    ],
)
def test_it_conforms(space: spacec.Space, options: dict[str, object]) -> None:
    assert not conformance.require(space, ProxylessNAS, options).unsupported


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(ProxylessNAS.config), ProxylessNAS().options
    assert (config.epochs, config.arch_from, config.arch_every, config.lr) == (160, 40, 5, 0.025)
    assert (options.arch_lr, options.arch_betas, options.arch_weight_decay) == (1e-3, (0.0, 0.999), 0.0)
    assert (options.arch_init, options.warmup_rate, options.samples, options.baseline) == (1e-3, 0.05, 10, 0.99)
    assert (options.cost_power, options.reward_power, options.reference) == (0.3, 0.1, None)


def test_what_it_cannot_search() -> None:
    sized = spacec.load(GRAMMARS / "nas_bench_101.space", preset="tiny")
    verdicts: dict[str, Any] = {m: ProxylessNAS({"mode": m}).unsupported(sized) for m in ("two", "full", "reinforce")}
    assert "decides sizes" in verdicts["two"]
    assert "decides sizes" in verdicts["full"]
    assert verdicts["reinforce"] == ""


def test_the_descriptor_names_the_class() -> None:
    import spacec_proxylessnas

    (descriptor,) = spacec_proxylessnas.spacec_strategies()
    assert isinstance(descriptor, StrategyDescriptor)
    assert descriptor.load() is ProxylessNAS
    assert descriptor.name == ProxylessNAS.name
