"""REINFORCE beside a supernet: its steps against the exact policy gradient, what a step reads, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from spacec_reinforce.strategy import Reinforce
from torch import Tensor

import spacec
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.record import NullRecorder
from spacec.search.runner import search
from spacec.search.task import Batch
from spacec.search.trainer import TrainConfig
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space few
input  x: [4]
output y: [1]
def op = b: identity | c: (linear(4) >> bn >> relu) * {1..2}
net = (op | zero) >> linear(elastic {2, 6}) >> linear(4) >> op >> linear(1)
where params <= 115
""")
EVERY = list(SPACE.enumerate())


class Plain(Reinforce):
    """Whose steps are its gradients, and too small to move it."""

    RATE = 1e-9

    def make_arch_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.policy.parameters(), lr=self.RATE)


def started(kind: type[Reinforce] = Reinforce, **options: object) -> tuple[Any, SearchContext, Batch]:
    """A strategy whose policy is far from uniform, beside a supernet whose weights are random, and a batch."""
    task = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
    ctx = SearchContext(SPACE, task, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    made = kind({"mode": "shared", "start": 1.0, **options})
    made.setup(ctx)
    return made, ctx, ctx.stream("arch", "t", batch_size=48).batch(0, 0)


def exact_gradient(strategy: Reinforce, ctx: SearchContext, batch: Batch) -> dict[str, Tensor]:
    """Of sum over a of pi(a | V) Q(a), from the definition of pi and the qualities of all architectures."""
    leaves = {name: t.detach().clone().requires_grad_() for name, t in strategy.policy.logits.items()}
    logs = torch.stack([sum(leaves[d].log_softmax(0)[value] for d, value in a.choices) for a in EVERY])
    qualities = torch.tensor([ctx.quality(batch, ctx.mask_of(a)) for a in EVERY], dtype=torch.float64)
    assert len(set(qualities.tolist())) > 5
    torch.autograd.backward((logs.softmax(0) * qualities).sum())
    return {name: torch.zeros_like(t) if t.grad is None else t.grad for name, t in leaves.items()}


def test_its_losses_have_the_exact_gradient_in_the_mean() -> None:
    """sum over a of pi(a) grad loss(a, Q(a) - b) is minus the gradient of the expected quality, for any b."""
    strategy, ctx, batch = started()
    expected = exact_gradient(strategy, ctx, batch)
    chances = [strategy.policy.log_probability(a).exp().item() for a in EVERY]
    assert sum(chances) == pytest.approx(1.0)
    qualities = [ctx.quality(batch, ctx.mask_of(a)) for a in EVERY]
    for b in (0.0, 0.4):
        terms = [p * strategy.policy_loss(a, q - b) for p, q, a in zip(chances, qualities, EVERY, strict=True)]
        found = torch.autograd.grad(torch.stack(terms).sum(), strategy.policy.parameters())
        for (name, gradient), mine in zip(expected.items(), found, strict=True):
            torch.testing.assert_close(-mine, gradient, atol=1e-12, rtol=0, msg=name)


def test_its_architecture_steps_ascend_that_gradient() -> None:
    """The mean over real steps: drawn, run in the supernet, compared with the baseline."""
    strategy, ctx, batch = started(Plain, batch=25)
    expected = exact_gradient(strategy, ctx, batch)
    moves = []
    for _ in range(60):
        before = strategy.policy.state_dict()
        strategy.arch_step(batch, batch)
        after = strategy.policy.state_dict()
        moves.append(torch.cat([(after[name] - before[name]) / Plain.RATE for name in before]))
    found, exact = torch.stack(moves), torch.cat([expected[name] for name in strategy.policy.logits])
    error = found.std(0) / len(moves) ** 0.5
    assert ((found.mean(0) - exact).abs() <= 4 * error + 1e-6).all()
    assert (exact.abs() > 8 * error).any(), "the draws say too little to tell a gradient from none"


def test_a_step_changes_the_policy_and_nothing_of_the_supernet() -> None:
    strategy, ctx, batch = started(batch=3)
    weights = {name: t.clone() for name, t in ctx.supernet.state_dict().items()}
    before = strategy.policy.state_dict()
    values = strategy.arch_step(batch, batch)
    strategy.arch_step(batch, batch)
    assert values.keys() == {"reward", "baseline"}
    assert any(not torch.equal(before[name], t) for name, t in strategy.policy.state_dict().items())
    assert all(torch.equal(weights[name], t) for name, t in ctx.supernet.state_dict().items())
    assert all(p.grad is None for p in ctx.supernet.parameters())


def test_it_learns_what_the_supernet_shows() -> None:
    """A path without its first op sees nothing of the input, so its share of the policy falls."""
    options = {"mode": "shared", "arch_lr": 0.1, "arch_warmup": 0.25, "batch": 4, "finalists": 4}
    strategy = Reinforce(options)
    config = SearchConfig(epochs=2, steps=60, batch_size=16, eval_every=0, lr=0.02)
    result = search(SPACE, strategy, Synthetic(), config)
    nothing = strategy.probabilities()["net.choice[0]"][-1]
    assert nothing < 0.05
    assert result.trials == 4
    assert result.metrics["score"] > -0.2


def test_conforms() -> None:
    conformance.require(SPACE, Reinforce, {"mode": "shared", "finalists": 2})
    conformance.require(SPACE, Reinforce)


def test_a_quality_that_is_no_finite_number_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, _, batch = started()
    before = strategy.policy.state_dict()
    monkeypatch.setattr(SearchContext, "quality", lambda *_: float("inf"))
    assert strategy.arch_step(batch, batch) == {"drawn": 0.0}
    assert strategy.average.value is None
    assert all(torch.equal(t, before[name]) for name, t in strategy.policy.state_dict().items())
