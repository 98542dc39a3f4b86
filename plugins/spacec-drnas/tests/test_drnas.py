"""DrNAS' draws and gradients against closed forms, its pruning and widening, and searches across both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from spacec_drnas.dirichlet import concentration, divergence, mean, sample
from spacec_drnas.strategy import DrNAS
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.hooks import StrategyDescriptor
from spacec.search.config import SearchConfig, strategy_config
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.progress import Progress
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space cells(C = 12)
input  x: [C, 4, 4]
output logits: [3]
def edge = none: zero | skip: identity | conv: relu >> conv(3) >> bn | sep: sep_conv(3) | pool: max_pool(3)
let cell = dag(x) { s = [x];  for i in 1..2 { s += sum(from s: edge) };  return s[2] }
net = cell >> global_pool >> linear(3)
""")
TASK = Synthetic({"samples": 16}).adapt(SPACE.inputs, SPACE.outputs)
FAST = {"epochs": 4, "steps": 2, "batch_size": 4, "arch_from": 0, "eval_batches": 1}
SHORT = {"warmup": "1", "arch_lr": "0.1"}
PLACE = "cell.edge[0]"


def started(options: dict[str, object] | None = None, space: Space = SPACE) -> DrNAS:
    strategy = DrNAS(options)
    task = Synthetic({"samples": 8}).adapt(space.inputs, space.outputs)
    ctx = SearchContext(space, task, SearchConfig(batch_size=4), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN, strategy.supernet_options())
    strategy.setup(ctx)
    rng = torch.Generator().manual_seed(3)
    for parameter in strategy.arch_parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    return strategy


# The distribution


def test_concentrations_are_elu_plus_one_and_stay_positive() -> None:
    logits = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(concentration(logits), F.elu(logits) + 1)
    (ours,) = torch.autograd.grad(concentration(logits).sum(), logits)
    (theirs,) = torch.autograd.grad((F.elu(logits) + 1).sum(), logits)
    torch.testing.assert_close(ours, theirs)
    assert float(concentration(torch.tensor(-40.0))) > 0
    (drawn,) = sample({"slot": torch.tensor([-1e4, -1e4, 0.0])}, torch.Generator().manual_seed(0)).values()
    torch.testing.assert_close(drawn, torch.tensor([0.0, 0.0, 1.0]))
    with pytest.raises(SpacecError, match="E0607"):
        sample({"slot": torch.tensor([float("nan"), 0.0])}, torch.Generator())


def draws(logits: Tensor, n: int = 40_000) -> Tensor:
    return sample({"slot": logits.expand(n, -1)}, torch.Generator().manual_seed(0))["slot"]


def test_draws_have_the_moments_of_the_distribution() -> None:
    logits = torch.tensor([-1.0, 0.3, 1.5], dtype=torch.float64)
    w, b = draws(logits), concentration(logits)
    torch.testing.assert_close(w.sum(1), torch.ones(len(w), dtype=torch.float64))
    torch.testing.assert_close(w.mean(0), mean(logits), rtol=0, atol=5e-3)
    variance = mean(logits) * (1 - mean(logits)) / (b.sum() + 1)
    torch.testing.assert_close(w.var(0), variance, rtol=0.05, atol=0)


def test_gradients_are_those_of_expectations_in_closed_form() -> None:
    """E[c·w] = c·b/B and E[w_k²] = b_k (b_k + 1) / (B (B + 1)), with B = sum b; within five standard errors."""
    c = torch.tensor([0.7, -1.1, 0.4], dtype=torch.float64)
    logits = torch.tensor([-1.0, 0.3, 1.5], dtype=torch.float64, requires_grad=True)
    b = concentration(logits)
    total = b.sum()
    exact = ((c * b).sum() / total, (b * (b + 1) / (total * (total + 1))).sum())
    copies = logits.detach().expand(40_000, -1).clone().requires_grad_()
    w = sample({"slot": copies}, torch.Generator().manual_seed(0))["slot"]
    for value, expectation in zip(((c * w).sum(), w.square().sum()), exact, strict=True):
        (expected,) = torch.autograd.grad(expectation, logits, retain_graph=True)
        (each,) = torch.autograd.grad(value, copies, retain_graph=True)
        error = each.std(0) / len(each) ** 0.5
        assert bool(((each.mean(0) - expected).abs() < 5 * error).all())
        assert float((error / expected.abs()).max()) < 0.05


def test_divergence_is_that_of_numerical_integration() -> None:
    logits = torch.tensor([0.4, 1.2], dtype=torch.float64)
    x = torch.linspace(1e-6, 1 - 1e-6, 200_001, dtype=torch.float64)
    a, b = concentration(logits)
    density = torch.distributions.Beta(a, b).log_prob(x)
    torch.testing.assert_close(divergence(logits), torch.trapezoid(density.exp() * density, x), rtol=1e-4, atol=1e-6)
    assert float(divergence(torch.zeros(5))) == pytest.approx(0, abs=1e-6)


def test_draws_come_from_the_strategys_generator_alone() -> None:
    state = torch.random.get_rng_state()
    logits = {"slot": torch.zeros(4)}
    first, second = (sample(logits, torch.Generator().manual_seed(5))["slot"] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


# Steps


def test_the_regulariser_is_decay_or_divergence() -> None:
    out: Any = None
    l2, kl = started(), started({"reg": "kl", "reg_scale": "0.5"})
    assert l2.arch_optimizer.param_groups[0]["weight_decay"] == 1e-3
    assert l2.extra_loss(out, "arch") is None
    assert kl.arch_optimizer.param_groups[0]["weight_decay"] == 0
    assert kl.extra_loss(out, "weights") is None
    expected = 0.5 * sum(divergence(a.detach()) for a in kl.logits.values())
    found = kl.extra_loss(out, "arch")
    assert found is not None
    torch.testing.assert_close(found.detach(), expected)


def test_every_step_draws_anew() -> None:
    strategy = started()
    a, b = (strategy.masks(k)[0].mask for k in range(2))
    assert a is not None
    assert b is not None
    assert not torch.equal(a[PLACE], b[PLACE])
    assert not a[PLACE].requires_grad
    assert strategy.arch_mask()[PLACE].requires_grad


def test_probabilities_are_means_or_the_released_softmax() -> None:
    strategy, soft = started(), started({"derive_by": "softmax"})
    for s, rank in ((strategy, mean), (soft, lambda a: a.softmax(0))):
        s.scope.keep(PLACE, (1, 2, 4))
        found = torch.tensor(s.probabilities()[PLACE], dtype=torch.float64)
        expected = rank(s.logits[PLACE].detach().double()[[1, 2, 4]])
        torch.testing.assert_close(found[[1, 2, 4]], expected)
        assert found[[0, 3]].tolist() == [0, 0]


# Pruning


@pytest.mark.parametrize(("size", "kept"), [(8, 4), (7, 4), (6, 4), (5, 3), (4, 3), (3, 2), (2, 2)])
def test_slots_of_fewer_candidates_keep_the_same_share(size: int, kept: int) -> None:
    candidates = " | ".join(f"o{k}: conv({k + 1})" for k in range(size))
    text = "space s()\ninput  x: [12, 8, 8]\noutput y: [12, 8, 8]\n"
    space = spacec.loads(text + f"def edge = {candidates}\nnet = (a: relu | b: tanh) >> edge")
    strategy = started({"partial": "4"}, space)
    for logits in strategy.logits.parameters():
        logits.data = torch.arange(len(logits), dtype=torch.float32)
    strategy.prune()
    assert strategy.scope[strategy.ctx.slots[-1].id] == tuple(range(size - kept, size))


def test_absence_is_never_all_that_is_left() -> None:
    space = spacec.loads("""
space s()
input  x: [4, 4, 4]
output y: [4, 4, 4]
default pick(absent = 1)
net = dag(x) { s = [x, x >> relu];  return sum(pick 1 from s: skip: identity | conv: conv(3)) }
""")
    strategy = started({"ops": "3", "ops_later": "1"}, space)
    for logits in strategy.logits.parameters():
        logits.data = torch.tensor([3.0, 0.0, 1.0])
    strategy.prune()
    assert set(strategy.scope.values()) == {(0, 2)}
    assert strategy.ctx.supernet.complete(strategy.arch_mask())


def test_pruned_candidates_run_no_more() -> None:
    strategy = started()
    strategy.prune()
    assert all(len(kept) == 3 for kept in strategy.scope.values())
    batch = strategy.ctx.stream("weights", "w").batch(0, 0)
    strategy.ctx.loss(strategy.ctx.forward(batch, strategy.masks(0)[0].mask), batch).backward()
    left = set(strategy.scope[PLACE])
    for k, part in ((2, "conv_0"), (3, "sep_0")):
        weights = strategy.ctx.supernet.named_parameters()
        grads = [p.grad for name, p in weights if name.startswith(f"cell_0.edge_0.{part}.")]
        assert {g is not None for g in grads} == {k in left}


# Stages


class Watched(DrNAS):
    """Notes the logits before each epoch, and weights and momenta around the widening."""

    def setup(self, ctx: SearchContext) -> None:
        super().setup(ctx)
        self.seen: list[list[Tensor]] = []
        self.around: list[dict[str, Tensor]] = []

    def on_epoch(self, epoch: int) -> None:
        super().on_epoch(epoch)
        self.seen.append([p.detach().clone() for p in self.arch_parameters()])

    def widen(self) -> None:
        self.note()
        super().widen()
        self.note()

    def note(self) -> None:
        hypers = self.ctx.weight_hypers().items()
        self.around.append({n: h.buffer.clone() for n, h in hypers if h.buffer is not None})


def test_stages_of_a_search() -> None:
    strategy = Watched(SHORT)
    search(SPACE, strategy, TASK, strategy_config(DrNAS.config, FAST))
    moved = [
        not all(torch.equal(a, b) for a, b in zip(x, y, strict=True))
        for x, y in zip(
            strategy.seen, [*strategy.seen[1:], [p.detach() for p in strategy.arch_parameters()]], strict=True
        )
    ]
    assert moved == [True, True, False, True]
    assert strategy.ctx.forms[MAIN] == {"partial": 4}
    assert all(len(kept) == 3 for kept in strategy.scope.values())
    before, after = strategy.around
    assert before.keys() == after.keys()
    check_repeated(before, after)


def check_repeated(old: dict[str, Tensor], new: dict[str, Tensor]) -> None:
    """Rows that were there are as they were; over repeated columns they sum to what they were."""
    assert old.keys() == new.keys()
    assert any(new[name].shape != t.shape for name, t in old.items())
    for name, tensor in new.items():
        if tensor.dim() == 4 and tensor.shape != old[name].shape and tensor.shape[1] > 1:
            torch.testing.assert_close(tensor[:2].sum(1), old[name].sum(1))
        elif tensor.dim():
            assert torch.equal(tensor[: len(old[name])], old[name])


def test_the_old_channels_keep_their_weights() -> None:
    strategy = started()
    old = {n: t.clone() for n, t in strategy.ctx.supernet.state_dict().items()}
    strategy.widen()
    check_repeated(old, strategy.ctx.supernet.state_dict())


def test_without_progress_nothing_changes() -> None:
    strategy = DrNAS({"progressive": "false"})
    search(SPACE, strategy, TASK, strategy_config(DrNAS.config, FAST))
    assert strategy.ctx.forms[MAIN] == {"partial": 6}
    assert all(len(kept) == 5 for kept in strategy.scope.values())


def weights_of(strategy: DrNAS) -> dict[str, Tensor]:
    return {**strategy.ctx.supernet.state_dict(), **strategy.logits.state_dict()}


@pytest.mark.parametrize("cut", [1, 2])
def test_a_search_repeats_and_resumes_across_the_widening_bit_for_bit(tmp_path: Path, cut: int) -> None:
    config = strategy_config(DrNAS.config, FAST)

    def stop(progress: Progress) -> None:
        if progress.phase == "search" and progress.epoch == cut:
            raise KeyboardInterrupt

    whole, stopped, resumed = (DrNAS(SHORT) for _ in range(3))
    search(SPACE, whole, TASK, config)
    with pytest.raises(KeyboardInterrupt):
        search(SPACE, stopped, TASK, config, tmp_path / "run", progress=stop)
    search(SPACE, resumed, TASK, config, tmp_path / "run", resume=True)
    assert all(torch.equal(t, weights_of(resumed)[name]) for name, t in weights_of(whole).items())
    assert dict(resumed.scope) == dict(whole.scope)
    assert resumed.derive() == whole.derive()


def test_it_conforms() -> None:
    conformance.require(SPACE, DrNAS)


def test_a_space_without_shares_is_refused() -> None:
    assert DrNAS().unsupported(spacec.loads(SPACE.text, C=11)) == (
        "none of its choices can run on a share of their channels: its 11 channels do not split into 6 or fewer"
        " (`-o partial=1 -o partial_later=1` searches on all channels)"
    )


def test_the_papers_settings_are_the_defaults() -> None:
    config, options = strategy_config(DrNAS.config), DrNAS().options
    assert (config.epochs, config.batch_size, config.lr, config.lr_min, config.arch_from) == (50, 64, 0.1, 0.0, 10)
    assert (config.momentum, config.weight_decay, config.clip) == (0.9, 3e-4, 5.0)
    assert (options.arch_lr, options.arch_betas, options.reg, options.reg_scale) == (6e-4, (0.5, 0.999), "l2", 1e-3)
    assert (options.partial, options.partial_later, options.ops, options.ops_later, options.warmup) == (6, 4, 7, 4, 10)
    strategy = DrNAS()
    strategy.ctx = SearchContext(SPACE, TASK, config, TrainConfig(), torch.device("cpu"), NullRecorder())
    assert strategy.boundary == 25


def test_the_descriptor_names_the_class() -> None:
    import spacec_drnas

    (descriptor,) = spacec_drnas.spacec_strategies()
    assert isinstance(descriptor, StrategyDescriptor)
    found: Any = descriptor.load()
    assert found is DrNAS
    assert descriptor.name == DrNAS.name
