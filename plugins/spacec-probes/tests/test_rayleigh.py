"""The Rayleigh quotient against explicit tangent kernels, enumerated batches and the theorems it serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from math import exp, fsum, log
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_probes.rayleigh import Measured, Rayleigh, inner, mean_eigenvalue, measure, squared_pull
from torch import Tensor

import spacec
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.gradient import GradientStrategy
from spacec.search.probe import INIT
from spacec.search.record import NullRecorder, RunStore
from spacec.search.runner import search
from spacec.search.task import Batch, OutLike
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

CELLS = spacec.loads("""
space cells(width = 4, classes = 3)
input  x: [width]
output logits: [classes]
def op = skip: identity | lin: linear(bias = 0) >> tanh | norm: linear(bias = 0) >> bn
let cell(_) = dag(a) { b = a >> op; return b + (a >> op) }
net = linear(width) >> cell(0) >> cell(1) >> linear(classes)
""")
SMOOTH = spacec.loads("""
space smooth(width = 4)
input  x: [width]
output y: [2]
def op = skip: identity | lin: linear >> tanh
net = op >> linear(2)
""")
TEXT = """
space line(width = 3, out = 1, bias = 0)
input  x: [width]
output y: [out]
def op = a: identity | b: identity
net = op >> linear(out, bias = bias)
"""
LINE = spacec.loads(TEXT)
LINE_WITH_BIAS = spacec.loads(TEXT, out=4, bias=1)


class Plain(GradientStrategy):
    name = "plain"


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def started(space: Any, task: Synthetic | None = None, **options: object) -> tuple[Rayleigh, SearchContext, Synthetic]:
    """A probe beside a strategy whose logits are away from zero, before the first step."""
    task = (task or Synthetic({"samples": 12})).adapt(space.inputs, space.outputs)
    config = SearchConfig(batch_size=6, weight_decay=float(options.pop("weight_decay", 3e-4)))
    ctx = SearchContext(space, task, config, TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy = Plain({"arch_init": 1.0})
    strategy.setup(ctx)
    probe = Rayleigh(options)
    probe.setup(ctx, strategy)
    return probe, ctx, task


def batch_of(ctx: SearchContext, size: int) -> Batch:
    return ctx.stream("weights", "test", batch_size=size).batch(0, 0)


def weights_of(ctx: SearchContext) -> dict[str, Tensor]:
    return dict(ctx.supernet.named_parameters())


def square(gradient: Mapping[str, Tensor]) -> float:
    return fsum(float(g.square().sum()) for g in gradient.values())


def jacobian(z: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    """``(numbers, weights)``, one row after the other."""
    rows = []
    for value in z.flatten():
        found = torch.autograd.grad(value, list(weights.values()), retain_graph=True, allow_unused=True)
        pairs = zip(found, weights.values(), strict=True)
        rows.append(torch.cat([(torch.zeros_like(w) if g is None else g).flatten() for g, w in pairs]))
    return torch.stack(rows)


@pytest.mark.parametrize("space", [CELLS, SMOOTH])
def test_the_quotient_lies_within_the_kernels_extreme_eigenvalues(space: Any) -> None:
    """K = J J^T / B of the whole batch's map, batch statistics and all; R = <G, K G> / |G|^2."""
    probe, ctx, task = started(space)
    batch = batch_of(ctx, 5)
    out = ctx.forward(batch, probe.mask())
    found = measure(task, out, batch, weights_of(ctx))
    quotient = square(found.gradient) / found.functional
    z = out.prediction
    j = jacobian(z, weights_of(ctx))
    kernel = j @ j.T / 5
    values = torch.linalg.eigvalsh(kernel)
    assert float(values[0]) - 1e-12 <= quotient <= float(values[-1]) + 1e-12
    (slope,) = torch.autograd.grad(task.loss(out, batch), z, retain_graph=True)
    g = slope.flatten()
    assert quotient == pytest.approx(float(g @ kernel @ g / (g @ g)), rel=1e-10)
    assert values[-1] > 1.01 * values[0]


def test_hutchinsons_estimate_is_the_trace() -> None:
    """Over all 64 sign vectors of two samples and three outputs its mean is the trace."""
    probe, ctx, _ = started(CELLS)
    out = ctx.forward(batch_of(ctx, 2), probe.mask())
    weights = weights_of(ctx)
    signs = [torch.tensor(s).reshape(2, 3) for s in product((1.0, -1.0), repeat=6)]
    mean = fsum(squared_pull([out.prediction], list(weights.values()), [s]) for s in signs) / len(signs)
    assert mean == pytest.approx(float(jacobian(out.prediction, weights).square().sum()), rel=1e-10)


def test_where_all_eigenvalues_are_equal_rho_is_one() -> None:
    """One sample through a linear map with bias: J J^T = (|x|^2 + 1) I."""
    probe, ctx, task = started(LINE_WITH_BIAS)
    batch = batch_of(ctx, 1)
    out = ctx.forward(batch, probe.mask())
    weights = weights_of(ctx)
    found = measure(task, out, batch, weights)
    expected = float(batch.inputs["x"].square().sum()) + 1
    assert mean_eigenvalue(out, 1, weights, 3) == pytest.approx(expected, rel=1e-12)
    assert square(found.gradient) / found.functional == pytest.approx(expected, rel=1e-12)


def test_shares_sum_to_the_whole_and_are_those_of_the_weights_named() -> None:
    probe, ctx, _ = started(CELLS)
    reading: Any = probe.on_epoch_end(INIT)
    for table in ("cells", "edges", "places", "ops"):
        assert fsum(reading[table].values()) == pytest.approx(reading["quotient"], rel=1e-14)
    assert set(reading["cells"]) == {("net",), ("cell_0",), ("cell_1",)}
    assert set(reading["ops"]) == {("fixed",), ("lin",), ("norm",)}
    assert ("cell_1", "op_0", "norm") in reading["places"]
    for (cell, edge), value in reading["edges"].items():
        inside = [v for (c, e, _), v in reading["places"].items() if (c, e) == (cell, edge)]
        assert fsum(inside) == pytest.approx(value, rel=1e-14)
    found, _ = probe._measured(INIT, probe.mask(), weights_of(ctx))
    mine = fsum(square({n: g for n, g in m.gradient.items() if n.startswith("cell_0.")}) for m in found)
    assert reading["cells"]["cell_0",] == pytest.approx(mine / fsum(m.functional for m in found), rel=1e-12)


def parts(ctx: SearchContext, mask: Any, n: int, size: int) -> dict[tuple[int, ...], Measured]:
    """What every batch of ``size`` among ``n`` samples gives."""
    whole = batch_of(ctx, n)
    found = {}
    for at in combinations(range(n), size):
        rows = torch.tensor(at)
        batch = Batch({k: x[rows] for k, x in whole.inputs.items()}, {k: y[rows] for k, y in whole.targets.items()})
        found[at] = measure(ctx.task, ctx.forward(batch, mask), batch, weights_of(ctx))
    return found


def test_the_numerator_of_two_batches_is_unbiased() -> None:
    """Over every pair of batches of 2 of 5 samples: drawn apart, the squared norm of the mean gradient; disjoint, the
    mean of <g_i, g_j> over i != j. The numerator of one batch is larger by the gradient's variance."""
    probe, ctx, _ = started(SMOOTH)
    mask = probe.mask()
    (whole,) = parts(ctx, mask, 5, 5).values()
    single = [m.gradient for m in parts(ctx, mask, 5, 1).values()]
    batches = parts(ctx, mask, 5, 2)
    apart = [inner([a.gradient, b.gradient]) for a, b in product(batches.values(), repeat=2)]
    assert fsum(apart) / len(apart) == pytest.approx(square(whole.gradient), rel=1e-10)
    disjoint = [
        inner([batches[a].gradient, batches[b].gradient]) for a, b in combinations(batches, 2) if not {*a} & {*b}
    ]
    assert fsum(disjoint) / len(disjoint) == pytest.approx(inner(single), rel=1e-10)
    plain = fsum(square(m.gradient) for m in batches.values()) / len(batches)
    assert plain > 1.05 * square(whole.gradient)
    functional = fsum(m.functional for m in batches.values()) / len(batches)
    assert functional == pytest.approx(whole.functional, rel=1e-10), "the denominator is unbiased as it is"


class Half(Synthetic):
    """mean |f - y|^2 / 2 over the samples."""

    def adapt(self, inputs: Any, outputs: Any) -> Half:
        task = Half(self.options)
        task._ports = super().adapt(inputs, outputs)._ports
        return task

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        return {"half": (out.prediction - batch.target).square().flatten(1).sum(1).mean() / 2}


REGRESSION = spacec.loads("""
space fitted(width = 4)
input  x: [width]
output y: [1]
def op = skip: identity | lin: linear >> tanh
net = op >> linear(1)
""")


def test_the_half_life_of_a_squared_loss_is_ln_2_over_2_r() -> None:
    probe, _, _ = started(REGRESSION, Half({"samples": 12}))
    reading: Any = probe.on_epoch_end(INIT)
    assert reading["half_life"] == pytest.approx(log(2) / (2 * reading["quotient"]), rel=1e-10)
    usual: Any = started(REGRESSION)[0].on_epoch_end(INIT)
    # mean |f - y|^2 has |g|^2 = 4 L
    assert usual["half_life"] == pytest.approx(log(2) / (4 * usual["quotient"]), rel=1e-10)


def test_no_half_life_but_for_squared_losses() -> None:
    assert "half_life" not in started(CELLS)[0].on_epoch_end(INIT)


def test_gradient_flow_decreases_a_squared_loss_by_the_integral_of_r() -> None:
    """L(t) = L(0) exp(-2 int R), by many small steps."""
    probe, ctx, task = started(REGRESSION, Half({"samples": 12}))
    batch, mask, weights = batch_of(ctx, 6), probe.mask(), weights_of(ctx)
    losses, integral, step = [], 0.0, 1e-2
    for _ in range(150):
        found = measure(task, ctx.forward(batch, mask), batch, weights)
        losses.append(found.loss)
        integral += step * square(found.gradient) / found.functional
        with torch.no_grad():
            for name, w in weights.items():
                w -= step * found.gradient[name]
    last = measure(task, ctx.forward(batch, mask), batch, weights).loss
    assert last < 0.8 * losses[0]
    assert last == pytest.approx(losses[0] * exp(-2 * integral), rel=1e-2)


def test_the_functional_gradient_of_cross_entropy_is_p_minus_y() -> None:
    probe, ctx, task = started(CELLS)
    batch = batch_of(ctx, 6)
    out = ctx.forward(batch, probe.mask())
    found = measure(task, out, batch, weights_of(ctx))
    residual = out.prediction.detach().softmax(1) - torch.nn.functional.one_hot(batch.target, 3)
    assert found.functional == pytest.approx(float(residual.square().sum(1).mean()), rel=1e-12)


class Logistic(Half):
    """Labels by the sign of the first input; log(1 + exp(-y f)), mean over the samples."""

    def adapt(self, inputs: Any, outputs: Any) -> Logistic:
        task = Logistic(self.options)
        task._ports = Synthetic.adapt(self, inputs, outputs)._ports
        return task

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        y = batch.inputs["x"][:, 0].sign()
        return {"logistic": torch.nn.functional.softplus(-y * out.prediction[:, 0]).mean()}


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 3.0])
def test_the_logistic_loss_falls_at_least_as_fast_as_its_theorem_says(scale: float) -> None:
    """-dL/dt = R |g|^2 >= (eps / n)^2 (1 - exp(-L))^2 for n samples with margin eps."""
    probe, ctx, task = started(LINE, Logistic({"samples": 12}))
    batch, weights = batch_of(ctx, 6), weights_of(ctx)
    for seed in range(5):
        with torch.no_grad():
            for w in weights.values():
                w.copy_(scale * torch.randn(w.shape, generator=torch.Generator().manual_seed(seed)))
        found = measure(task, ctx.forward(batch, probe.mask()), batch, weights)
        margin = float(batch.inputs["x"][:, 0].abs().min())
        assert square(found.gradient) >= (margin / 6) ** 2 * (1 - exp(-found.loss)) ** 2
        assert not found.squared


def test_weight_decay_is_not_in_it() -> None:
    readings = [started(CELLS, weight_decay=decay, probes=0)[0].on_epoch_end(INIT) for decay in (0.0, 0.5)]
    assert readings[0] == readings[1]


def test_a_split_too_small_for_disjoint_batches_gives_the_plain_quotient() -> None:
    probe, _, _ = started(SMOOTH, Synthetic({"samples": 1}))
    reading = probe.on_epoch_end(INIT)
    assert "unbiased" not in reading
    assert "quotient" in reading


def test_it_is_recorded_beside_a_search(tmp_path: Path) -> None:
    task = Synthetic({"samples": 12}).adapt(CELLS.inputs, CELLS.outputs)
    probes = [Rayleigh({"batches": 3, "mode": "eval"})]
    search(CELLS, Plain(), task, SearchConfig(epochs=2, steps=2, batch_size=4), tmp_path / "run", probes=probes)
    with RunStore(tmp_path / "run" / "run.sqlite") as store:
        (run,) = store.export()["runs"]
    assert not [e for e in run["events"] if e["kind"] == "probe failed"]
    rows = {(m["name"], m["epoch"]) for m in run["metrics"]}
    for name in ("quotient", "unbiased", "trace", "rho"):
        assert {(f"rayleigh.{name}", e) for e in (INIT, 0, 1)} <= rows


def test_the_defaults() -> None:
    options = Rayleigh().options
    assert (options.batches, options.probes, options.split, options.mode) == (2, 4, "weights", "train")
