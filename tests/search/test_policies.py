"""Policies: their probabilities, gradients, entropies and what they hold for the best, against enumeration."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import spacec
from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.policies.baseline import MovingAverage
from spacec.search.policies.factorised import FactorisedPolicy, fresh_logits
from spacec.search.policies.rewards import SHAPES, absolute, one_sided, power

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
WIDTHS = spacec.loads("""
space toy
input  x: [2]
output y: [1]
net = linear(elastic {2, 3, 4}) >> relu >> linear(elastic {2, 3, 4}) >> relu >> linear(1)
where params <= 25
""")


def policy(space: spacec.Space = SPACE, deviation: float = 1.0, seed: int = 3) -> FactorisedPolicy:
    return FactorisedPolicy(space.table, fresh_logits(space.table, deviation, torch.Generator().manual_seed(seed)))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0.0, 3.0))
def test_probabilities_sum_to_one_over_the_valid_architectures(seed: int, deviation: float) -> None:
    found = policy(deviation=deviation, seed=seed)
    total = torch.stack([found.log_probability(a) for a in EVERY]).logsumexp(0)
    assert total.item() == pytest.approx(0.0, abs=1e-12)
    drawn = torch.stack([found.log_drawn(a) for a in EVERY]).logsumexp(0)
    assert drawn.item() == pytest.approx(found.log_feasible().item(), abs=1e-12)


def test_its_gradients_are_those_of_enumeration() -> None:
    found = policy()
    by_hand = torch.stack([found.log_drawn(a) for a in EVERY]).logsumexp(0)
    expected = torch.autograd.grad(by_hand, found.parameters(), allow_unused=True)
    mine = torch.autograd.grad(found.log_feasible(), found.parameters())
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, atol=1e-12, rtol=0)


def test_the_toy_problem_of_tabnas() -> None:
    """TabNAS' toy: six of nine size pairs have at most 25 weights."""
    found = policy(WIDTHS, deviation=0.0)
    feasible = found.log_feasible()
    assert feasible.exp().item() == pytest.approx(2 / 3)
    for gradient in torch.autograd.grad(feasible, found.parameters()):
        torch.testing.assert_close(gradient, torch.tensor([1 / 6, 0, -1 / 6], dtype=torch.float64))
    first, second = (d.id for d in WIDTHS.decisions)
    (arch,) = (a for a in WIDTHS.enumerate() if (a[first], a[second]) == (2, 0))
    ours = torch.autograd.grad(found.log_probability(arch), found.parameters())
    expected = ([-1 / 2, -1 / 3, 5 / 6], [1 / 2, -1 / 3, -1 / 6])
    for mine, numbers in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, torch.tensor(numbers, dtype=torch.float64))


def test_it_draws_valid_ones_and_proposes_any() -> None:
    found = policy(WIDTHS, deviation=0.0)
    rng = random.Random(0)
    assert all(found.valid(found.draw(rng)) for _ in range(100))
    share = sum(found.valid(found.propose(rng)) for _ in range(1000)) / 1000
    assert share == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_is_the_most_probable_valid_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = policy(deviation=2.0, seed=seed)
    chances = {a: found.log_probability(a).item() for a in EVERY}
    assert chances[found.best()] == pytest.approx(max(chances.values()), abs=1e-9)

    def uncounted(*_: object) -> object:
        raise SpacecError(Diagnostic("E0510", "too many states"))

    monkeypatch.setattr("spacec.search.policies.factorised.algebra", uncounted)
    rejecting = FactorisedPolicy(SPACE.table, found.logits)
    assert not rejecting.exact
    assert chances[rejecting.best()] == pytest.approx(max(chances.values()), abs=1e-9)


def test_the_entropy_is_that_of_the_decisions() -> None:
    """H of a bounded subset and of a choice, from all their outcomes."""
    found = policy()
    arch = next(a for a in EVERY if len(a) == max(map(len, EVERY)))
    expected = torch.zeros((), dtype=torch.float64)
    for d in SPACE.decisions:
        if d.id not in arch:
            continue
        if d.kind == "subset":
            values = [tuple(e for e in range(d.size) if n >> e & 1) for n in range(2**d.size)]
            outcomes: list[Tensor] = [found._log_chance(d, v) for v in values if d.low <= len(v) <= d.high]
        else:
            outcomes = [found._log_chance(d, k) for k in range(len(d.labels))]
        logs = torch.stack(outcomes)
        assert logs.logsumexp(0).item() == pytest.approx(0.0, abs=1e-12)
        expected = expected - (logs.exp() * logs).sum()
    mine = found.entropy(arch)
    assert mine.item() == pytest.approx(expected.item(), abs=1e-12)
    for a, b in zip(
        torch.autograd.grad(mine, found.parameters(), allow_unused=True),
        torch.autograd.grad(expected, found.parameters(), allow_unused=True),
        strict=True,
    ):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_slots_get_what_the_decisions_give_them() -> None:
    found = policy()
    given = found.probabilities()
    for slot in SPACE.slots:
        assert len(given[slot.id]) == slot.size
        assert sum(given[slot.id]) == pytest.approx(1.0)


def test_rewards() -> None:
    assert absolute(0.9, 1.5, -0.2) == pytest.approx(0.8)
    assert absolute(0.9, 0.5, -0.2) == pytest.approx(0.8)
    assert power(0.9, 2.0, -0.5) == pytest.approx(0.9 / 2**0.5)
    assert power(0.9, 0.5, -0.5) == pytest.approx(0.9 * 2**0.5)
    assert one_sided(0.9, 0.5, -0.5) == 0.9
    assert one_sided(0.9, 2.0, -0.5) == pytest.approx(0.9 / 2**0.5)
    assert SHAPES["none"](0.9, 7.0, -1.0) == 0.9


def test_the_baseline_is_corrected_for_its_start() -> None:
    before = MovingAverage(0.9)
    assert [before.advantage(r) for r in (2.0, 4.0)] == pytest.approx([0.0, 2.0])
    mean = (0.1 * 0.9 * 2 + 0.1 * 4) / (0.1 * 0.9 + 0.1)
    assert before.value == pytest.approx(mean)
    included = MovingAverage(0.9, "with")
    assert included.advantage(2.0) == pytest.approx(0.0)
    assert included.advantage(4.0) == pytest.approx(4.0 - mean)
    again = MovingAverage(0.9)
    again.load_state_dict(before.state_dict())
    assert again == before
