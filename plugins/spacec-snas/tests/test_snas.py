"""SNAS, DSNAS and GDAS against the unified costs c_k = Z_k dL/dZ_k, in double precision on spaces of a few networks."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from spacec_snas.dsnas import DSNAS
from spacec_snas.gdas import GDAS, hard
from spacec_snas.gumbel import concrete, falling, gumbel, noise_given
from spacec_snas.resource import resource_by_slot
from spacec_snas.single import SingleLevel
from spacec_snas.snas import SNAS
from torch import Tensor

import spacec
from spacec.hooks import StrategyDescriptor
from spacec.lower.masks import OneHot
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.gradient import GradientStrategy
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.strategy import Strategy
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

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
SINGLE = [SNAS, DSNAS]
EVERY: list[type[GradientStrategy]] = [SNAS, DSNAS, GDAS]


def started(
    strategy: type[GradientStrategy], space: spacec.Space, **options: object
) -> tuple[Any, SearchContext, Batch]:
    """A strategy in double precision with logits of any size, and a batch."""
    task = Synthetic().adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN).double()
    made = strategy({"resource": 0.0, **options} if issubclass(strategy, SingleLevel) else options)
    made.setup(ctx)
    rng = torch.Generator().manual_seed(1)
    for logits in made.logits.parameters():
        logits.data = torch.randn(logits.shape, dtype=torch.float64, generator=rng)
    batch = ctx.stream("weights", "t").batch(0, 0)
    return made, ctx, Batch({k: v.double() for k, v in batch.inputs.items()}, batch.targets)


def backward(strategy: Any, ctx: SearchContext, batch: Batch) -> None:
    """The weight step up to the optimiser, as the runner makes it."""
    (path,) = strategy.masks(0)
    loss = ctx.loss(ctx.forward(batch, path.mask), batch)
    torch.autograd.backward(loss)


def gates(ctx: SearchContext, batch: Batch, mask: Mapping[str, Any]) -> dict[str, Tensor]:
    """dL/dZ by slot, by the supernet's own account of it."""
    out = ctx.forward(batch, mask, gates=True)
    found: dict[str, Tensor] = ctx.supernet.gate_gradients(ctx.loss(out, batch), out)
    return found


@pytest.mark.parametrize("space", [POINTS, CELLS, ELASTIC, WEIGHED])
def test_the_gradient_of_snas_is_that_of_costs(space: spacec.Space) -> None:
    """dL/dalpha_k = (c_k - Z_k C_e) / lambda, with c_k = Z_k dL/dZ_k and C_e = sum_k c_k."""
    strategy, ctx, batch = started(SNAS, space, temperature=0.7, temperature_end=0.7)
    backward(strategy, ctx, batch)
    sampled = {slot: z[""].detach() for slot, z in strategy.samples().items()}
    edges = {slot.id for slot in ctx.slots if slot.edges}
    assert bool(edges) == (space is WEIGHED)
    for slot, gate in gates(ctx, batch, sampled).items():
        costs, heat = sampled[slot] * gate, 1.0 if slot in edges else 0.7
        torch.testing.assert_close(strategy.logits[slot].grad, (costs - sampled[slot] * costs.sum()) / heat)


@pytest.mark.parametrize("space", [POINTS, CELLS, ELASTIC])
@pytest.mark.parametrize("clamp", [0.0, 0.01])
def test_the_gradient_of_dsnas_is_the_edges_cost_times_that_of_log_p(space: spacec.Space, clamp: float) -> None:
    """dL/dalpha = C_e d log p(Z)/dalpha, with C_e = sum_k Z_k dL/dZ_k over all cells that share the slot."""
    strategy, ctx, batch = started(DSNAS, space, clamp=clamp)
    backward(strategy, ctx, batch)
    strategy.learn()
    sampled = {slot: z[""].detach() for slot, z in strategy.gates.items()}
    found = gates(ctx, batch, {slot: OneHot(z) for slot, z in sampled.items()})
    assert any(float(f.abs().sum()) > 0 for f in found.values())
    for slot, gate in found.items():
        alpha = strategy.logits[slot].detach().requires_grad_()
        edge = (sampled[slot] * gate).sum()
        log_p = (sampled[slot] * alpha.log_softmax(0)).sum()
        (score,) = torch.autograd.grad(log_p, alpha)
        edge = edge.clamp(-clamp, clamp) if clamp else edge
        torch.testing.assert_close(strategy.logits[slot].grad, edge * score)


def test_edge_weights_stay_a_softmax_when_paths_are_sampled() -> None:
    """They are no choice: dL/dalpha_k = c_k - p_k C_e in DSNAS, and dL/dp through the softmax in GDAS."""
    strategy, ctx, batch = started(DSNAS, WEIGHED)
    backward(strategy, ctx, batch)
    strategy.learn()
    (edges,) = (slot.id for slot in ctx.slots if slot.edges)
    p = strategy.logits[edges].detach().softmax(0)
    torch.testing.assert_close(strategy.gates[edges][""].detach(), p)
    found = gates(ctx, batch, {slot.id: _detached(strategy.mask()[slot.id]) for slot in ctx.slots})
    costs = p * found[edges]
    torch.testing.assert_close(strategy.logits[edges].grad, costs - p * costs.sum())
    for strategy_class in (DSNAS, GDAS):
        strategy, ctx, batch = started(strategy_class, WEIGHED)
        mask = strategy.arch_mask() if strategy_class is GDAS else strategy.mask() if strategy.masks(0) else {}
        assert isinstance(mask[edges], Tensor)
    (path,) = strategy.masks(0)
    assert isinstance(path.mask, Mapping)
    assert {slot: type(entry) for slot, entry in path.mask.items()} == {
        slot.id: Tensor if slot.edges else int for slot in ctx.slots
    }


def _detached(entry: Any) -> Any:
    return OneHot(entry.weights.detach()) if isinstance(entry, OneHot) else entry.detach()


def test_only_the_sampled_candidates_of_dsnas_run() -> None:
    strategy, ctx, batch = started(DSNAS, POINTS)
    backward(strategy, ctx, batch)
    for slot, by_instance in strategy.gates.items():
        (k,) = by_instance[""].detach().nonzero().flatten().tolist()
        assert by_instance[""].grad is not None
        assert float(by_instance[""].grad.abs().sum()) == float(by_instance[""].grad[k].abs())
        block = f"block_{slot[-2]}"
        weights = {n: w.grad for n, w in ctx.supernet.named_parameters() if n.startswith(block)}
        ran = {name for name, gradient in weights.items() if gradient is not None}
        assert ran == {name for name in weights if name.startswith(f"{block}.{('skip', 'lin', 'norm')[k]}_0.")}


@pytest.mark.parametrize("strategy_class", SINGLE)
def test_cells_that_sample_apart_add_their_gradients(strategy_class: type[SingleLevel]) -> None:
    strategy, ctx, batch = started(strategy_class, CELLS, per_cell=True)
    backward(strategy, ctx, batch)
    strategy.learn()
    parts = strategy.samples() if isinstance(strategy, SNAS) else strategy.gates
    assert all(len(z) == 2 for z in parts.values())
    assert any(len({tuple(t.tolist()) for t in z.values()}) == 2 for z in parts.values())
    out = ctx.forward(batch, strategy.mask(), gates=True)
    by_instance = ctx.supernet.gate_gradients(ctx.loss(out, batch), out, per="instance")
    for slot, z in parts.items():
        total = torch.zeros_like(strategy.logits[slot])
        for name, sample in z.items():
            costs = sample.detach() * by_instance.get(name, torch.zeros_like(sample))
            p = strategy.logits[slot].detach().softmax(0)
            if isinstance(strategy, SNAS):
                total = total + (costs - sample.detach() * costs.sum()) / strategy.heat
            else:
                total = total + costs.sum() * (sample.detach() - p)
        torch.testing.assert_close(strategy.logits[slot].grad, total.detach())


@pytest.mark.parametrize("space", [POINTS, CELLS])
def test_the_gradient_of_gdas_comes_through_the_sampled_candidate_alone(space: spacec.Space) -> None:
    """dL/dalpha = dL/dZ_k dh_k/dalpha, h = softmax((log p + G) / tau); the candidate k is what ran."""
    strategy, ctx, batch = started(GDAS, space, tau=2.0, tau_end=2.0)
    mask = strategy.arch_mask()
    loss = ctx.loss(ctx.forward(batch, mask), batch)
    alphas = strategy.logits.parameters()
    found = dict(
        zip(strategy.logits, torch.autograd.grad(loss, alphas, retain_graph=True, allow_unused=True), strict=True)
    )
    for slot, gate in gates(ctx, batch, {s: OneHot(m.weights.detach().round()) for s, m in mask.items()}).items():
        k = int(mask[slot].weights.argmax())
        (direct,) = torch.autograd.grad(mask[slot].weights[k], strategy.logits[slot], retain_graph=True)
        torch.testing.assert_close(found[slot], gate[k] * direct)


def test_the_released_gdas_gives_candidates_that_do_not_run_the_sum_of_the_outputs_gradient() -> None:
    strategy, ctx, batch = started(GDAS, POINTS, zero_weights=True)
    a, b = strategy.logits
    leaf = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    plain, out = (
        ctx.supernet(batch.inputs["x"], {a: OneHot(leaf, zeros=zeros), b: 0}, taps=["block_0"])
        for zeros in (False, True)
    )
    assert torch.equal(out.prediction, plain.prediction)
    loss = ctx.loss(out, batch)
    y = out.taps["block_0"]
    gate, by_output = torch.autograd.grad(loss, [leaf, y], retain_graph=True)
    (without,) = torch.autograd.grad(ctx.loss(plain, batch), leaf)
    assert without.tolist()[::2] == [0.0, 0.0]
    torch.testing.assert_close(gate[1], without[1])
    torch.testing.assert_close(gate[::2], by_output.sum().expand(2))
    assert all(m.zeros for m in strategy.arch_mask().values())


def test_noise_that_follows_a_draw_has_the_law_of_argmax() -> None:
    """Draws by softmax, then noise given the draw, are together plain Gumbel noise: mean 0.5772, variance pi^2 / 6."""
    logits = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(logits.softmax(0), 4000, replacement=True, generator=rng).tolist()
    noise = torch.stack([noise_given(logits, k, rng) for k in drawn])
    assert torch.equal((logits + noise).argmax(1), torch.tensor(drawn))
    torch.testing.assert_close(noise.mean(0), torch.full((3,), 0.5772).double(), atol=0.07, rtol=0)
    torch.testing.assert_close(noise.var(0), torch.full((3,), 1.6449).double(), atol=0.2, rtol=0)
    assert float(torch.corrcoef(noise.T).triu(1).abs().max()) < 0.06


def test_hard_masks_are_one_hot_and_carry_the_soft_gradient() -> None:
    alpha = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64, requires_grad=True)
    noise = gumbel(alpha.detach(), torch.Generator().manual_seed(3))
    z = hard(alpha, noise, 1, 0.5)
    torch.testing.assert_close(z.detach(), torch.tensor([0.0, 1.0, 0.0]).double())
    assert z.tolist()[0] == z.tolist()[2] == 0.0
    weights = torch.tensor([1.0, 2.0, 4.0]).double()
    (found,) = torch.autograd.grad((weights * z).sum(), alpha)
    (soft,) = torch.autograd.grad((weights * concrete(alpha, noise, 0.5)).sum(), alpha)
    torch.testing.assert_close(found, soft)


def test_temperatures_fall_linearly() -> None:
    assert [falling(1.0, 0.03, e, 150) for e in (0, 75, 150)] == [1.0, pytest.approx(0.515), 0.03]
    strategy, ctx, _ = started(GDAS, POINTS)
    ctx.epochs = 250
    heats = []
    for ctx.epoch in (0, 249):
        heats.append(strategy.heat)
    assert heats == [10.0, pytest.approx(0.1)]


def test_resources_by_slot_are_the_candidates_own_costs() -> None:
    """POINTS' candidates have 0, 25 and 35 weights; sum_s R_s of the linear form has the gradient of E[C]."""
    _, ctx, _ = started(SNAS, POINTS)
    p = {s.id: torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64, requires_grad=True) for s in ctx.slots}
    linear = resource_by_slot(ctx, p, "params", "linear")
    assert [float(r.detach()) for r in linear.values()] == pytest.approx([0.5 * 25 + 0.3 * 35] * 2)
    logs = resource_by_slot(ctx, p, "params", "log")
    assert [float(r.detach()) for r in logs.values()] == pytest.approx([log(0.5 * 25 + 0.3 * 35)] * 2)
    first = next(iter(p))
    (found,) = torch.autograd.grad(linear[first], p[first])
    (whole,) = torch.autograd.grad(ctx.expected_cost(p), p[first])
    torch.testing.assert_close(found, whole)
    free = {s: torch.tensor([1.0, 0.0, 0.0]).double() for s in p}
    assert [float(r.detach()) for r in resource_by_slot(ctx, free, "params", "log").values()] == [0.0, 0.0]


@pytest.mark.parametrize("form", ["log", "linear"])
def test_dsnas_estimates_the_gradient_of_expected_resources_without_bias(form: str) -> None:
    """E_Z[r_Z (Z - p)] = d/dalpha sum_k p_k r_k: summed over the candidates by their probabilities, no sampling."""
    strategy, ctx, _ = started(DSNAS, POINTS, resource=0.1, resource_form=form)
    slot = ctx.slots[0]
    rest = ctx.slots[1]
    p = strategy.logits[slot.id].detach().softmax(0)
    total = torch.zeros(3, dtype=torch.float64)
    amounts = []
    for k in range(3):
        strategy.gates = {slot.id: {"": strategy._one_hot(slot, k)}, rest.id: {"": strategy._one_hot(rest, 0)}}
        for name in (slot.id, rest.id):
            strategy.logits[name].grad = None
        strategy.learn()
        total += p[k] * strategy.logits[slot.id].grad
        amounts.append(0.1 * (log(max(1, (0, 25, 35)[k])) if form == "log" else (0, 25, 35)[k]))
    alpha = strategy.logits[slot.id].detach().requires_grad_()
    (expected,) = torch.autograd.grad((alpha.softmax(0) * torch.tensor(amounts).double()).sum(), alpha)
    torch.testing.assert_close(total, expected)


def test_snas_adds_the_gradient_of_its_resource_term() -> None:
    without, ctx, batch = started(SNAS, POINTS)
    backward(without, ctx, batch)
    without.learn()
    with_term, ctx, batch = started(SNAS, POINTS, resource=0.1, resource_form="linear")
    backward(with_term, ctx, batch)
    values = with_term.learn()
    z = {s: by[""] for s, by in with_term.samples().items()}
    cost = 0.1 * ctx.expected_cost(z)
    for slot in with_term.logits:
        (expected,) = torch.autograd.grad(cost, with_term.logits[slot], retain_graph=True)
        torch.testing.assert_close(with_term.logits[slot].grad - without.logits[slot].grad, expected)
    fixed = 5 * 3 + 3
    assert values["resource"] == pytest.approx(float(cost.detach()) - 0.1 * fixed)


def test_the_logits_learn_in_the_weight_step_and_nothing_reads_the_other_half() -> None:
    for strategy_class in SINGLE:
        strategy = strategy_class({"resource": 0.0, "arch_clip": 10.0})
        assert strategy_class.arch_step is Strategy.arch_step
        found = search(POINTS, strategy, Synthetic(), SearchConfig(epochs=1, steps=3))
        assert all(float((t.detach() - 1.0).abs().max()) > 0 for t in strategy.logits.parameters())
        assert found.context.step == 3


def test_the_papers_settings_are_the_defaults() -> None:
    snas, dsnas, gdas = SNAS().options, DSNAS().options, GDAS().options
    for options in (snas, dsnas):
        assert (options.arch_lr, options.arch_mean, options.arch_init, options.resource) == (3e-4, 1.0, 0.01, 1.5e-3)
    assert (snas.temperature, snas.temperature_end, dsnas.clamp) == (1.0, 0.03, 0.0)
    assert (gdas.tau, gdas.tau_end, gdas.zero_weights) == (10.0, 0.1, False)
    assert (gdas.arch_lr, gdas.arch_betas, gdas.arch_weight_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert [strategy_config(s.config).epochs for s in EVERY] == [150, 150, 250]
    assert strategy_config(GDAS.config).lr == 0.025


def test_only_snas_needs_mixtures() -> None:
    sized = spacec.load(Path(__file__).parents[3] / "grammars" / "nas_bench_101.space", preset="tiny")
    assert [bool(s().unsupported(sized)) for s in EVERY] == [True, False, False]
    assert not any(s().unsupported(WEIGHED) for s in EVERY)


@pytest.mark.parametrize(
    ("strategy_class", "space", "options"),
    [(SNAS, WEIGHED, {}), (DSNAS, ELASTIC, {}), (DSNAS, CELLS, {"per_cell": True}), (GDAS, WEIGHED, {})],
)
def test_they_conform(strategy_class: type[GradientStrategy], space: spacec.Space, options: dict[str, object]) -> None:
    assert not conformance.require(space, strategy_class, options).unsupported


@pytest.mark.parametrize(("options", "code"), [({"cost": "watts"}, "E0512"), ({"clamp": "-1"}, "E0703")])
def test_wrong_options_are_refused(options: dict[str, object], code: str) -> None:
    with pytest.raises(spacec.SpacecError, match=code):
        started(DSNAS, POINTS, **{"resource": 1.0, **options})


def test_the_descriptors_name_the_classes() -> None:
    import spacec_snas

    found = spacec_snas.spacec_strategies()
    assert all(isinstance(d, StrategyDescriptor) for d in found)
    assert {d.name: d.load() for d in found} == {"snas": SNAS, "dsnas": DSNAS, "gdas": GDAS}
    assert all(d.load().name == d.name for d in found)
