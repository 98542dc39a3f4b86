"""TabNAS: its toy problem, P(V) from draws, the gradient of its updates, and its loop with a supernet."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import pytest
import spacec_tabnas
import torch
from spacec_tabnas.chance import estimated_log_feasible
from spacec_tabnas.strategy import TabNAS
from spacec_tabnas.toy import BEST, LIMIT, LOSSES, TEXT, open_toy
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.search.config import SearchConfig
from spacec.search.policies.factorised import FactorisedPolicy
from spacec.search.record import RunStore
from spacec.search.runner import SearchResult, search
from spacec.search.strategy import Path
from spacec.search.tabular import Tabular
from spacec.search.task import Batch
from spacec.space.architecture import Architecture
from spacec.testing import conformance
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads(TEXT)
WITHIN = SPACE.where(f"params <= {LIMIT}")
COUPLED = spacec.loads(TEXT + f"where params * params <= {LIMIT**2}\n")
"""The same limit, written so that valid architectures cannot be counted."""
EVERY = {tuple(2 + k for _, k in arch.choices): arch for arch in SPACE.enumerate()}
VALID = {tuple(2 + k for _, k in arch.choices) for arch in WITHIN.enumerate()}


def table() -> Tabular:
    return Tabular(open_toy(SPACE.table, None), metric="reward")


def sizes(arch: Architecture) -> tuple[int, ...]:
    return tuple(2 + int(str(k)) for _, k in arch.choices)


def run(
    seed: int = 0, samples: int = 500, space: spacec.Space = SPACE, **options: object
) -> tuple[TabNAS, SearchResult]:
    strategy = TabNAS({"mode": "trials", "target": LIMIT, "samples": samples, **options})
    return strategy, search(space, strategy, table(), SearchConfig(seed=seed))


def policy(space: spacec.Space = WITHIN, start: float = 1.0) -> FactorisedPolicy:
    rng = torch.Generator().manual_seed(7)
    logits = {d.id: start * torch.randn(3, generator=rng, dtype=torch.float64) for d in space.decisions}
    return FactorisedPolicy(space.table, {name: t.requires_grad_() for name, t in logits.items()})


def gradient(value: Tensor, of: FactorisedPolicy) -> Tensor:
    """By layer and size."""
    return torch.stack(torch.autograd.grad(value, of.parameters()))


def joint(of: FactorisedPolicy) -> dict[tuple[int, ...], Tensor]:
    """The probability of each of the nine networks, from the definition of softmax."""
    first, second = (t.softmax(0) for t in of.logits.values())
    return {(2 + a, 2 + b): first[a] * second[b] for a, b in product(range(3), repeat=2)}


# the toy problem


def test_the_table_is_that_of_the_paper() -> None:
    weights = {at: SPACE.params(arch) for at, arch in EVERY.items()}
    assert weights == {
        (2, 2): 15, (2, 3): 19, (2, 4): 23, (3, 2): 20, (3, 3): 25, (3, 4): 30, (4, 2): 25, (4, 3): 31, (4, 4): 37,
    }  # fmt: skip
    assert {at for at, n in weights.items() if n <= LIMIT} == VALID
    assert min(VALID, key=LOSSES.__getitem__) == BEST
    assert sum(1 - LOSSES[at] for at in VALID) / len(VALID) == pytest.approx(0.23)
    found = table().benchmark.query(EVERY[4, 2]).metrics
    assert (found["reward"], found["loss"]) == (pytest.approx(0.4), 0.6)


def test_its_first_step_follows_the_exact_gradients() -> None:
    """At uniform logits P(V) = 2/3 and grad log P(4-2 | V) is known; the policy descends - advantage times it."""
    strategy, _ = run(samples=1, arch_lr=0.0, chance="exact")
    found = strategy.policy
    log_feasible = strategy.log_feasible()
    assert isinstance(log_feasible, Tensor)
    assert log_feasible.exp().item() == pytest.approx(2 / 3)
    per_layer = torch.tensor([1 / 6, 0, -1 / 6], dtype=torch.float64)
    torch.testing.assert_close(gradient(log_feasible, found), torch.stack([per_layer, per_layer]))
    loss = strategy.policy_loss(EVERY[BEST], 0.3)
    assert loss is not None
    expected = torch.tensor([[-1 / 2, -1 / 3, 5 / 6], [1 / 2, -1 / 3, -1 / 6]], dtype=torch.float64)
    torch.testing.assert_close(gradient(loss, found), -0.3 * expected)


@pytest.mark.parametrize(("chance", "right"), [("exact", True), ("none", False)])
def test_the_mean_of_its_steps_is_the_gradient_of_what_is_kept(chance: str, right: bool) -> None:
    """sum over V of p(a|V) (Q(a) - b) grad J(a) is the gradient of E[Q | V], for any b; without P(V) it is another."""
    strategy, _ = run(samples=1, chance=chance)
    found = strategy.policy = policy()
    of = joint(found)
    feasible = sum((of[at] for at in VALID), torch.zeros((), dtype=torch.float64))
    expected = gradient(sum(((1 - LOSSES[at]) * of[at] for at in VALID), feasible * 0) / feasible, found)
    mine = torch.zeros_like(expected)
    for at in VALID:
        loss = strategy.policy_loss(EVERY[at], 1 - LOSSES[at] - 0.25)
        assert loss is not None
        mine -= (joint(found)[at] / feasible).detach() * gradient(loss, found)
    assert torch.allclose(mine, expected, atol=1e-12) is right


def test_it_finds_the_bottleneck_where_a_shaped_reward_does_not() -> None:
    """Yang et al., figure of the toy problem: of six seeds most end on 4-2; of those of the absolute reward few."""
    found = [sizes(run(seed, samples=100)[1].architecture) for seed in range(6)]
    assert sum(at == BEST for at in found) >= 4
    assert set(found) <= VALID
    shaped = [sizes(run(s, reward="absolute", beta=-2, samples=100)[1].architecture) for s in range(6)]
    assert sum(at == BEST for at in shaped) <= 2


# P(V) from draws


class Scripted(FactorisedPolicy):
    """Its proposals are told beforehand."""

    script: Iterator[Architecture]

    def propose(self, rng: random.Random) -> Architecture:
        return next(self.script)


def scripted(of: FactorisedPolicy, draws: Sequence[tuple[int, ...]]) -> Scripted:
    found = Scripted(of.table, of.logits)
    found.script = iter([EVERY[at] for at in draws])
    return found


def test_the_estimate_of_draws_is_unbiased_in_value_and_gradient() -> None:
    """Over all pairs of draws, weighted by their probability: P(V) and its gradient, to rounding."""
    of = policy()
    p = {at: x.item() for at, x in joint(of).items()}
    value, slope = 0.0, torch.zeros(2, 3, dtype=torch.float64)
    for pair in product(EVERY, repeat=2):
        log_estimate = estimated_log_feasible(scripted(of, pair), 2, random.Random(0))
        if log_estimate is None:
            assert not VALID & set(pair)
            continue
        assert log_estimate.exp().item() == pytest.approx(sum(at in VALID for at in pair) / 2)
        value += p[pair[0]] * p[pair[1]] * log_estimate.exp().item()
        slope += p[pair[0]] * p[pair[1]] * gradient(log_estimate.exp(), of)
    feasible = sum((joint(of)[at] for at in VALID), torch.zeros((), dtype=torch.float64))
    assert value == pytest.approx(feasible.item(), abs=1e-12)
    torch.testing.assert_close(slope, gradient(feasible, of), atol=1e-12, rtol=0)


def test_the_gradient_of_its_logarithm_is_the_mean_over_valid_draws() -> None:
    of = policy()
    draws = [(4, 4), (4, 2), (2, 3), (3, 4), (2, 3)]
    kept = [gradient(joint(of)[at].log(), of) for at in draws if at in VALID]
    found = estimated_log_feasible(scripted(of, draws), 5, random.Random(0))
    assert found is not None
    torch.testing.assert_close(gradient(found, of), sum(kept, torch.zeros(2, 3)) / 3)
    released = estimated_log_feasible(scripted(of, draws), 5, random.Random(0), released=True)
    assert released is not None
    summed = sum((joint(of)[at] for at in draws if at in VALID), torch.zeros(()))
    assert released.item() == pytest.approx(math.log(summed.item()))
    torch.testing.assert_close(gradient(released, of), gradient(summed.log(), of))


def test_where_no_draw_is_valid_there_is_no_step() -> None:
    strategy, _ = run(samples=1, chance="sampled", draws=2)
    strategy.policy = scripted(policy(), [(4, 4), (4, 3)])
    before = [t.clone() for t in strategy.policy.parameters()]
    strategy.learn(0.4, EVERY[BEST])
    strategy.step()
    assert all(map(torch.equal, before, strategy.policy.parameters()))


def test_the_number_of_draws_goes_from_one_to_another() -> None:
    strategy, _ = run(samples=4, chance="sampled", draws=3, last_draws=11)
    assert strategy.draws_now == 11
    strategy.told = 2
    assert strategy.draws_now == 7
    strategy.told = 0
    assert strategy.draws_now == 3


def test_constraints_that_cannot_be_counted_are_sampled() -> None:
    with RunStore(None) as store:
        strategy = TabNAS({"mode": "trials", "samples": 30})
        found = search(COUPLED, strategy, Tabular(open_toy(COUPLED.table, None)), SearchConfig(), store=store)
        (event,) = (e for e in store.events(1) if e["kind"] == "sampled P(V)")
    assert "5 draws" in event["message"]
    assert sizes(found.architecture) in VALID
    assert any(float(t.detach().abs().max()) > 0.1 for t in strategy.policy.parameters())
    with pytest.raises(SpacecError, match="chance=sampled"):
        search(COUPLED, TabNAS({"mode": "trials", "chance": "exact"}), table(), SearchConfig())


# trials


def test_what_is_thrown_away_counts_where_asked() -> None:
    strategy, found = run(samples=60, arch_lr=0.0, skip=True)
    assert strategy.drawn == 60
    assert 25 <= found.trials < 55  # two thirds are valid
    strategy, found = run(samples=60, arch_lr=0.0)
    assert found.trials == 60
    with pytest.raises(SpacecError, match="all 1 draws were thrown away"):
        run(samples=1, skip=True, seed=0)  # draws 4-4


def test_its_answer_is_the_likeliest_or_the_best_rated_within_the_target() -> None:
    first, second = (d.id for d in SPACE.decisions)
    for answer, expected in (("likely", (3, 4)), ("rated", BEST)):
        strategy, _ = run(samples=60, reward="absolute", answer=answer, arch_lr=0.0)
        with torch.no_grad():
            strategy.policy.logits[first][1] = strategy.policy.logits[second][2] = 5.0
        assert sizes(strategy.derive()) == expected


@pytest.mark.parametrize("options", [{"target": 14}, {"target": 14, "chance": "sampled"}])
def test_a_limit_that_nothing_keeps_is_refused(options: Mapping[str, Any]) -> None:
    with pytest.raises(SpacecError, match="E0511"):
        run(**options)


def test_a_limit_on_a_cost_that_depends_on_the_size_of_the_data_is_kept() -> None:
    space = spacec.loads("""
space free(classes = 3)
input  x: [2, H, W]
output logits: [classes]
net = conv(elastic {1, 3}, elastic {2, 4}) >> relu >> global_pool >> linear(classes)
""")
    costs = sorted(space.cost(a, "macs", H=5, W=5) for a in space.enumerate())
    config = SearchConfig(epochs=1, steps=3, batch_size=4, eval_every=0)
    strategy = TabNAS({"cost": "macs", "target": costs[0], "chance": "exact", "arch_warmup": 0.0})
    found = search(space, strategy, Synthetic({"size": 5}), config).architecture
    assert space.cost(found, "macs", H=5, W=5) == costs[0]


def test_a_reward_that_is_not_finite_is_refused() -> None:
    space = spacec.loads("space s(c = 2)\ninput x: [c, H, W]\noutput y: [c, H, W]\nnet = a: skip | b: conv(3)\n")
    strategy = TabNAS({"reward": "power", "target": 5, "beta": -1, "arch_warmup": 0.0, "arch_lr": 0.0})
    with pytest.raises(SpacecError, match=r"E0893.*params of '.*:net=a' are 0, and reward=power is not finite"):
        search(space, strategy, Synthetic({"size": 4}), SearchConfig(epochs=5, steps=4, batch_size=4, eval_every=0))


def test_a_rival_reward_needs_a_target() -> None:
    with pytest.raises(SpacecError, match="E0893"):
        run(reward="absolute", target=None)


@pytest.mark.parametrize(
    ("reward", "expected"), [("rejection", 0.5), ("absolute", 0.5 - 2 * 0.2), ("power", 0.5 * 1.2**-2)]
)
def test_rewards(reward: str, expected: float) -> None:
    strategy, _ = run(samples=1, reward=reward, beta=-2.0)
    assert strategy.reward(0.5, EVERY[3, 4]) == pytest.approx(expected)  # 30 weights for 25


# a supernet


class Watched(TabNAS):
    """Keeps what its steps did."""

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.seen: list[tuple[bool, Architecture | None, Sequence[Path]]] = []
        self.rated: Architecture | None = None

    def candidate(self) -> Architecture | None:
        self.rated = super().candidate()
        return self.rated

    def arch_step(self, train_batch: Batch, val_batch: Batch) -> Mapping[str, float] | None:
        before = [t.clone() for t in self.policy.parameters()]
        self.rated = None
        found = super().arch_step(train_batch, val_batch)
        self.moved = not all(map(torch.equal, before, self.policy.parameters()))
        return found

    def masks(self, step: int) -> Sequence[Path]:
        rated, found = self.rated, super().masks(step)
        self.seen.append((self.moved, rated, found))
        return found


def shared(**options: object) -> Watched:
    strategy = Watched({"target": LIMIT, **options})
    task = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
    search(SPACE, strategy, task, SearchConfig(epochs=4, steps=10, batch_size=4, eval_every=0))
    return strategy


def test_the_first_quarter_only_trains_weights_and_then_one_draw_does_both() -> None:
    strategy = shared(skip=True)
    warm, rest = strategy.seen[:10], strategy.seen[10:]
    assert all(not moved and rated is None and len(paths) == 1 for moved, rated, paths in warm)
    drawn = {tuple(sorted((paths[0].mask or {}).items())) for _, _, paths in warm}
    assert len(drawn) > 3
    thrown = [paths for _, rated, paths in rest if rated is None]
    assert thrown
    assert not any(thrown)
    for _, rated, paths in rest:
        assert rated is None or (sizes(rated) in VALID and paths == [Path(SPACE.mask(rated))])
    assert sum(moved for moved, _, _ in rest) >= len(rest) // 3
    assert all(paths for _, _, paths in shared().seen)


def test_a_layer_of_k_units_is_the_first_k_of_the_widest() -> None:
    supernet = SPACE.supernet(seed=1)
    x = torch.randn(5, 2)
    (w1, b1), (w2, b2), (w3, b3) = (
        (supernet.get_parameter(f"{name}.weight"), supernet.get_parameter(f"{name}.bias"))
        for name in (n.removesuffix(".weight") for n, _ in supernet.named_parameters() if n.endswith(".weight"))
    )
    assert (w1.shape, w2.shape, w3.shape) == ((4, 2), (4, 4), (1, 4))
    for (a, b), arch in EVERY.items():
        hidden = (x @ w1[:a].T + b1[:a]).relu()
        hidden = (hidden @ w2[:b, :a].T + b2[:b]).relu()
        torch.testing.assert_close(supernet(x, mask=SPACE.mask(arch)).prediction, hidden @ w3[:, :b].T + b3)


# the protocol


@pytest.mark.parametrize(
    "options", [{"mode": "shared", "finalists": 2}, {"mode": "trials", "samples": 12, "skip": True}]
)
def test_it_conforms(options: Mapping[str, object]) -> None:
    space = spacec.load("grammars/tabular.space", preset="tiny")
    assert not conformance.require(space, TabNAS, options=options).unsupported


def test_the_descriptors_name_what_there_is() -> None:
    (descriptor,) = spacec_tabnas.spacec_strategies()
    assert descriptor.load() is TabNAS
    (benchmark,) = spacec_tabnas.spacec_benchmarks()
    assert benchmark.load() is open_toy
