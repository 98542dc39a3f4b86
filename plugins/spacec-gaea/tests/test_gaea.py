"""GAEA: the simplex step against its closed form and brute force, and the searches that make it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import e
from pathlib import Path

import pytest
import torch
from spacec_gaea.simplex import ExponentiatedGradient, mirror_step
from spacec_gaea.strategy import GAEA
from torch import Tensor, nn

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.hooks import StrategyDescriptor
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import MAIN, SearchContext
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

POINTS = """
space points(width = 5, classes = 3)
input  x: [width]
output logits: [classes]
def block = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
net = block * 2 >> linear(classes)
"""
CELLS = """
space cells(width = 4, classes = 3)
input  x: [width]
output logits: [classes]
DEFAULT
def edge = skip: identity | lin: linear(bias = 0) >> tanh
let cell = dag(x) { s = [x, x >> tanh, x >> relu]
  for i in 0..1 { s += sum(pick 2 from s: edge) }
  return s[4] }
net = cell >> linear(classes)
"""
SPACE, PICKS = spacec.loads(POINTS), spacec.loads(CELLS.replace("DEFAULT", ""))
WEIGHED = spacec.loads(CELLS.replace("DEFAULT", "default pick(edges = 1)"))
TASK = Synthetic()
P = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
G = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)


def started(space: spacec.Space, options: Mapping[str, object]) -> tuple[GAEA, Batch, Batch]:
    """A strategy set up in double precision, and two batches."""
    strategy = GAEA(options)
    task = TASK.adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    strategy.setup(ctx)
    for parameter in strategy.arch_parameters():
        parameter.data = parameter.data.double()
    strategy.arch_optimizer = strategy.make_arch_optimizer()
    pair = [ctx.stream(name, name).batch(0, 0) for name in ("weights", "arch")]
    train, val = (Batch({k: v.double() for k, v in b.inputs.items()}, b.targets) for b in pair)
    return strategy, train, val


def loss_gradients(strategy: GAEA, batch: Batch) -> list[Tensor]:
    """dL/dpoint of a batch, from a mask written out here."""
    points = [p.detach().clone().requires_grad_() for p in strategy.logits.parameters()]
    out = strategy.ctx.forward(batch, dict(zip(strategy.logits, points, strict=True)))
    return list(torch.autograd.grad(strategy.ctx.task.loss(out, batch), points))


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0, 5.0])
def test_the_step_is_the_closed_form(rate: float) -> None:
    weighed = P * torch.exp(-rate * G)
    torch.testing.assert_close(mirror_step(P.log(), G, rate).exp(), weighed / weighed.sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_it_is_mirror_descent(rate: float) -> None:
    """Of all points of a fine grid of the simplex, the nearest to it minimises lr <g, q> + KL(q || p)."""
    n = 300
    a, b = torch.meshgrid(torch.arange(1, n), torch.arange(1, n), indexing="ij")
    inside = a + b < n
    q = torch.stack([a[inside], b[inside], n - a[inside] - b[inside]], 1).double() / n
    cost = rate * (q @ G) + (q * (q / P).log()).sum(1)
    found = mirror_step(P.log(), G, rate).exp()
    assert float((q[cost.argmin()] - found).abs().max()) <= 1.0 / n
    at = rate * (found @ G) + (found * (found / P).log()).sum()
    assert float(at) <= float(cost.min())


def test_no_gradient_is_too_large_and_no_entry_is_lost() -> None:
    logs = P.float().log()
    far = mirror_step(logs, torch.tensor([1e30, -1e30, 0.0]), 1.0)
    assert torch.equal(far.exp(), torch.tensor([0.0, 1.0, 0.0]))
    gone = mirror_step(logs, torch.tensor([0.0, 500.0, 0.0]), 1.0)
    assert float(gone.exp()[1]) == 0.0
    back = mirror_step(gone, torch.tensor([0.0, -500.0, 0.0]), 1.0)
    torch.testing.assert_close(back.exp(), P.float(), rtol=1e-3, atol=1e-4)


def test_points_stay_on_the_simplex() -> None:
    one, pair = nn.Parameter(torch.ones(4)), [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    optimizer = ExponentiatedGradient([[one], pair], 0.1)
    rng = torch.Generator().manual_seed(0)
    for _ in range(300):
        for p in (one, *pair):
            p.grad = 20 * torch.randn(p.shape, generator=rng)
        optimizer.step()
        for entries in (one, torch.cat(pair)):
            assert entries.detach().sum().item() == pytest.approx(1.0, abs=1e-5)
            assert bool((entries >= 0).all())


def test_vectors_that_are_one_point_between_them_share_the_sum() -> None:
    a, b = nn.Parameter(P[:1].clone()), nn.Parameter(P[1:].clone())
    optimizer = ExponentiatedGradient([[a, b]], 0.5)
    a.grad, b.grad = G[:1], G[1:]
    optimizer.step()
    torch.testing.assert_close(torch.cat([a, b]).detach(), mirror_step(P.log(), G, 0.5).exp())


@pytest.mark.parametrize("level", ["bi", "single"])
def test_an_architecture_step_is_exponentiated_gradient(level: str) -> None:
    strategy, train, val = started(SPACE, {"level": level})
    for _ in range(3):
        before = [p.detach().clone() for p in strategy.logits.parameters()]
        gradients = loss_gradients(strategy, val if level == "bi" else train)
        strategy.arch_step(train, val)
        for p, old, g in zip(strategy.logits.parameters(), before, gradients, strict=True):
            expected = old * torch.exp(-0.1 * g)
            torch.testing.assert_close(p.detach(), expected / expected.sum(), rtol=1e-9, atol=1e-12)
        assert float((before[0] - strategy.logits.parameters()[0]).detach().abs().max()) > 1e-5


def test_the_weights_step_leaves_the_points_alone() -> None:
    strategy, *_ = started(SPACE, {})
    (path,) = strategy.masks(0)
    assert path.mask is not None
    assert all(not w.requires_grad for w in path.mask.values())


def test_the_release_applies_a_softmax_to_the_points() -> None:
    strategy, train, val = started(SPACE, {"again": True})
    slot = next(iter(strategy.logits))
    torch.testing.assert_close(strategy.weights()[slot], strategy.logits[slot].softmax(0))
    strategy.logits[slot].data = torch.eye(8, dtype=torch.float64)[0]
    reach = strategy.weights()[slot].detach()
    assert float(reach.max()) == pytest.approx(e / (e + 7)) == pytest.approx(0.280, abs=5e-4)
    assert float(reach.min()) == pytest.approx(1 / (e + 7)) == pytest.approx(0.103, abs=5e-4)
    strategy, train, val = started(SPACE, {"again": True})
    before = [p.detach().clone() for p in strategy.logits.parameters()]
    found, _ = strategy.architecture_gradient(train, val)
    leaves = [p.clone().requires_grad_() for p in before]
    mask = {s: p.softmax(0) for s, p in zip(strategy.logits, leaves, strict=True)}
    loss = strategy.ctx.task.loss(strategy.ctx.forward(val, mask), val)
    for g, expected in zip(found, torch.autograd.grad(loss, leaves), strict=True):
        assert g is not None
        torch.testing.assert_close(g, expected)


def test_ones_are_the_centre_after_a_step_and_before_it_under_the_second_softmax() -> None:
    ones, train, val = started(SPACE, {"start": "ones", "again": True})
    centre, *_ = started(SPACE, {"again": True})
    for _ in range(2):
        for slot, w in ones.weights().items():
            torch.testing.assert_close(w, centre.weights()[slot])
        ones.arch_step(train, val)
        centre.arch_step(train, val)
    assert [float(p.detach().sum()) for p in ones.logits.parameters()] == pytest.approx([1.0, 1.0])


def test_edges_into_a_node_are_weighed_by_a_point_of_their_own() -> None:
    strategy, train, val = started(PICKS, {"edges": True})
    assert [len(node) for node in strategy.nodes] == [3, 4]
    gradient, _ = strategy.architecture_gradient(train, val)
    points = [p.detach().clone() for p in strategy.arch_parameters()]
    for slot, w in strategy.weights().items():
        size = next(len(node) for node in strategy.nodes if slot in node)
        torch.testing.assert_close(w, torch.full_like(w, 1 / size / len(w)))
    strategy.arch_step(train, val)
    for p, old, g in zip(strategy.arch_parameters(), points, gradient, strict=True):
        assert g is not None
        torch.testing.assert_close(p.detach(), mirror_step(old.log(), g, 0.1).exp())
    beta = strategy.betas[0].detach()
    beta.copy_(torch.tensor([0.1, 0.6, 0.3]))
    assert "1+2" in strategy.derive().text()


def test_edge_weights_of_a_cell_may_be_one_point() -> None:
    strategy, train, val = started(PICKS, {"edges": True, "edge_norm": "cell", "start": "ones"})
    strategy.arch_step(train, val)
    total = torch.cat([beta.detach() for beta in strategy.betas]).sum()
    assert float(total) == pytest.approx(1.0)


def test_edges_that_the_space_weighs_are_not_weighed_twice() -> None:
    strategy, train, val = started(WEIGHED, {"edges": True})
    assert strategy.betas == []
    strategy.arch_step(train, val)
    edges = [slot.id for slot in strategy.ctx.slots if slot.edges]
    assert len(edges) == 2
    assert all(strategy.weights()[slot].detach().sum().item() == pytest.approx(1.0) for slot in edges)


def test_on_a_linear_loss_it_finds_the_best_vertex() -> None:
    point = nn.Parameter(torch.full((5,), 0.2))
    optimizer = ExponentiatedGradient([[point]], 0.1)
    costs = torch.tensor([1.0, 0.4, 0.8, 0.3, 0.9])
    seen = []
    for _ in range(300):
        seen.append((costs @ point.detach()).item())
        point.grad = costs
        optimizer.step()
    assert all(b <= a + 1e-6 for a, b in pairwise(seen))
    assert point.detach().argmax() == 3
    assert point.detach().max() > 0.9


@pytest.mark.parametrize(
    "options", [{}, {"edges": True, "edge_norm": "cell", "again": True}, {"level": "single", "partial": 2}]
)
def test_a_resumed_search_is_the_search(tmp_path: Path, options: dict[str, object]) -> None:
    config = strategy_config(GAEA.config, {"epochs": 3, "steps": 2, "batch_size": 8, "arch_from": 1})
    whole = search(PICKS, GAEA(options), TASK, config)

    class Stopped(GAEA):
        def on_epoch(self, epoch: int) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(PICKS, Stopped(options), TASK, config, tmp_path / "run")
    strategy = GAEA(options)
    resumed = search(PICKS, strategy, TASK, config, tmp_path / "run", resume=True)
    one, other = (r.context.supernet.state_dict() for r in (whole, resumed))
    assert all(torch.equal(one[k], other[k]) for k in one)
    assert (whole.metrics, whole.architecture) == (resumed.metrics, resumed.architecture)
    moved = [p.detach().std() for p in strategy.arch_parameters()]
    assert max(moved) > 1e-5


@pytest.mark.parametrize("options", [{}, {"partial": 2}])
@pytest.mark.parametrize("name", ["nas_bench_201", "tabular"])
def test_it_conforms(name: str, options: dict[str, object]) -> None:
    grammar = Path(__file__).resolve().parents[3] / "grammars" / f"{name}.space"
    report = conformance.require(spacec.load(grammar, preset="tiny"), GAEA, options, softmax=not options)
    assert bool(report.unsupported) == (name == "tabular" and bool(options))


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(GAEA.config), GAEA().options
    assert (config.epochs, config.batch_size, config.lr, config.lr_min) == (50, 256, 0.1, 0.0)
    assert (config.momentum, config.weight_decay, config.clip, config.arch_from) == (0.9, 3e-4, 5.0, 11)
    assert (options.arch_lr, options.level, options.partial, options.again) == (0.1, "bi", 1, False)


@pytest.mark.parametrize(
    ("options", "code"), [({"partial": "0"}, "E0703"), ({"level": "tri"}, "E0702"), ({"arch_betas": "0"}, "E0701")]
)
def test_wrong_options_are_refused(options: dict[str, str], code: str) -> None:
    with pytest.raises(SpacecError) as caught:
        GAEA(options)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_the_descriptor_names_the_class() -> None:
    import spacec_gaea

    (descriptor,) = spacec_gaea.spacec_strategies()
    assert isinstance(descriptor, StrategyDescriptor)
    assert descriptor.load() is GAEA
    assert descriptor.name == GAEA.name
