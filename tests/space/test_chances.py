"""Factorised distributions under constraints: P(V), marginals, gradients and samples, against sums over everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations
from math import log, prod
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.space import algebra
from spacec.space.chances import Chances, feasible_probability, softmax
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.factorised import factorised, own_chances
from spacec.space.values import values
from spacec.testing.generate import random_space
from tests.space.tables import Values, brute_force, tables
from tests.space.test_sample import fits

SEEDS = st.integers(0, 10_000)

TOY = """\
space toy(limit = 25)
input  x: [2]
output y: [1]
let a = elastic {2, 3, 4}
let b = elastic {2, 3, 4}
net = linear(a) >> linear(b) >> linear(1)
where params <= limit
"""

Given = dict[str, tuple[Fraction, ...]]


def random_probabilities(table: DecisionTable, seed: int, some: bool = True) -> Given:
    """For most decisions; positive, so that every coin may meet its bounds."""
    rng = Random(seed)
    found: Given = {}
    for d in table.decisions:
        if some and rng.random() < 0.2:
            continue
        if d.kind == "subset":
            found[d.id] = tuple(Fraction(rng.randint(1, 8), 9) for _ in range(d.size))
        else:
            weights = [rng.randint(1, 9) for _ in d.labels]
            found[d.id] = tuple(Fraction(w, sum(weights)) for w in weights)
    return found


def value_chance(d: Decision, value: int | tuple[int, ...], p: Given) -> Fraction:
    """As the definition says: one of the candidates; of the subsets within bounds, by what the coins give each."""
    if isinstance(value, int):
        return p[d.id][value] if d.id in p else Fraction(1, len(d.labels))

    def coins(subset: tuple[int, ...]) -> Fraction:
        given = p.get(d.id, (Fraction(1, 2),) * d.size)
        return prod((q if e in subset else 1 - q for e, q in enumerate(given)), start=Fraction(1))

    every = [s for k in range(d.low, d.high + 1) for s in combinations(range(d.size), k)]
    return coins(value) / sum(coins(s) for s in every)


def chance(table: DecisionTable, chosen: Mapping[str, Any], p: Given) -> Fraction:
    return prod((value_chance(d, chosen[d.id], p) for d in table.decisions if d.id in chosen), start=Fraction(1))


def contributes(d: Decision, chosen: Values) -> list[int]:
    """One number per candidate or element: whether it is taken."""
    value = chosen.get(d.id)
    taken = value if isinstance(value, tuple) else () if value is None else (value,)
    return [int(k in taken) for k in range(d.size if d.kind == "subset" else len(d.labels))]


@settings(max_examples=200, deadline=None)
@given(tables(), SEEDS)
def test_against_sums_over_everything(table: DecisionTable, seed: int) -> None:
    p = random_probabilities(table, seed)
    valid = brute_force(table)
    total = sum((chance(table, c, p) for c in valid), start=Fraction(0))
    assert feasible_probability(table, p) == total
    assert sum((chance(table, c, p) for c in brute_force(table, where=False)), start=Fraction(0)) == 1
    exact = Chances(table, p)
    assert exact.probability == total
    if not valid:
        with pytest.raises(SpacecError) as caught:
            exact.sample(1)
        assert caught.value.diagnostics[0].code == "E0511"
        return
    for d in table.decisions:
        active = sum((chance(table, c, p) for c in valid if d.id in c), start=Fraction(0)) / total
        assert exact.activity[d.id] == active
        taken = [sum(chance(table, c, p) * k for c, k in zip(valid, column, strict=True)) / total
                 for column in zip(*(contributes(d, c) for c in valid), strict=True)]  # fmt: skip
        assert list(exact.marginals[d.id]) == taken
    arch = next(algebra.enumerate_architectures(table))
    assert exact.log_probability(arch) == pytest.approx(log(chance(table, arch.values, p) / total))


@settings(max_examples=100, deadline=None)
@given(tables(), SEEDS)
def test_what_a_decision_does_by_itself(table: DecisionTable, seed: int) -> None:
    p = random_probabilities(table, seed)
    distribution = factorised(table, p)
    for d in table.decisions:
        listed = list(values(d))
        taken = [sum((value_chance(d, v, p) for v in listed if (k in v if isinstance(v, tuple) else k == v)),
                     start=Fraction(0)) for k in range(d.size if d.kind == "subset" else len(d.labels))]  # fmt: skip
        assert list(own_chances(d, distribution)) == taken


def logits_of(table: DecisionTable, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = {d.id: d.size if d.kind == "subset" else len(d.labels) for d in table.decisions}
    return {
        name: torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True)
        for name, size in sizes.items()
    }


def probabilities_of(table: DecisionTable, logits: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {d.id: logits[d.id].sigmoid() if d.kind == "subset" else logits[d.id].softmax(0) for d in table.decisions}


def check_gradients(table: DecisionTable, seed: int) -> None:
    logits = logits_of(table, seed)
    through = feasible_probability(table, probabilities_of(table, logits))
    distribution = softmax(table, {name: vector.detach().numpy() for name, vector in logits.items()})
    by_hand = Chances(table, distribution)
    assert by_hand.probability == pytest.approx(float(torch.as_tensor(through).detach()))
    if not by_hand.probability:
        return
    known = [v for v in logits.values() if v.numel()]
    if isinstance(through, torch.Tensor) and through.requires_grad:
        found = torch.autograd.grad(through.log(), known, allow_unused=True)
        for name, gradient in zip((n for n, v in logits.items() if v.numel()), found, strict=True):
            expected = np.zeros(len(logits[name])) if gradient is None else gradient.numpy()
            np.testing.assert_allclose(by_hand.log_gradient[name], expected, atol=1e-10)
    name = next((n for n, v in logits.items() if v.numel()), None)
    if name is not None:
        check_difference(table, logits, name, float(by_hand.log_gradient[name][0]))


def check_difference(table: DecisionTable, logits: dict[str, torch.Tensor], name: str, expected: float) -> None:
    moved: list[float] = []
    for step in (1e-5, -1e-5):
        shifted = {n: v.detach().clone() for n, v in logits.items()}
        shifted[name][0] += step
        moved.append(log(Chances(table, softmax(table, {n: v.numpy() for n, v in shifted.items()})).probability))
    assert (moved[0] - moved[1]) / 2e-5 == pytest.approx(expected, abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(tables(constrained=True), SEEDS)
def test_gradients_of_tables(table: DecisionTable, seed: int) -> None:
    check_gradients(table, seed)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_gradients_of_spaces(seed: int) -> None:
    space = spacec.loads(random_space(seed, 6))
    if space.count() < 3_000:
        p = random_probabilities(space.table, seed)
        middle = sorted(space.params(a) for a in space.sample(9, seed))[4]
        limited = space.where(f"params <= {middle}")
        valid = [a for a in space.enumerate() if space.params(a) <= middle]
        free = sum((chance(space.table, a.values, p) for a in space.enumerate()), start=Fraction(0))
        assert space.feasible_probability(p) == free
        assert limited.feasible_probability(p) == sum(chance(space.table, a.values, p) for a in valid)
        check_gradients(limited.table, seed)


def test_tabnas_toy_exactly() -> None:
    """Facts of the paper's toy (TabNAS, appendix): six of nine are within the limit."""
    space = spacec.loads(TOY)
    found = space.feasible()
    third = [Fraction(1, 6), 0, Fraction(-1, 6)]
    assert space.feasible_probability() == found.probability == Fraction(2, 3)
    assert {n: list(v) for n, v in found.log_gradient.items()} == {"a": third, "b": third}
    best = next(a for a in space.enumerate() if a["a"] == 2)
    assert {n: list(v) for n, v in found.score(best).items()} == {
        "a": [Fraction(-1, 2), Fraction(-1, 3), Fraction(5, 6)],
        "b": [Fraction(1, 2), Fraction(-1, 3), Fraction(-1, 6)],
    }
    assert found.log_probability(best) == pytest.approx(log(1 / 6))
    gradient = space.feasible_log_gradient()
    np.testing.assert_allclose([gradient["a"], gradient["b"]], [[1 / 6, 0, -1 / 6]] * 2, atol=1e-15)
    logits = {name: torch.zeros(3, dtype=torch.float64, requires_grad=True) for name in "ab"}
    torch.log(space.feasible_probability({n: v.softmax(0) for n, v in logits.items()})).backward()
    assert logits["a"].grad is not None
    np.testing.assert_allclose(logits["a"].grad.numpy(), [1 / 6, 0, -1 / 6], atol=1e-15)


def test_many_distributions_at_once() -> None:
    space = spacec.loads(TOY)
    columns = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    together = space.feasible_probability({"a": columns.T})
    alone = [space.feasible_probability({"a": row}) for row in columns]
    np.testing.assert_allclose(together, alone)


UNEVEN = """\
space uneven
input  x: [4, 8, 8]
output y: [4, 8, 8]
let k = {3, 5, 7}
let cell = dag(x) { s = [x, x >> relu, x >> bn]; return sum(pick 1..2 from s: conv(k) | conv(1) | skip) }
net = cell >> (cell | skip)
where params <= 420
"""


def test_samples_have_their_probability_given_the_constraints() -> None:
    space = spacec.loads(UNEVEN)
    p = random_probabilities(space.table, 5, some=False)
    total = space.feasible_probability(p)
    assert 0 < total < 1
    n = 20_000
    expected = {a.text(): float(n * chance(space.table, a.values, p) / total) for a in space.enumerate()}
    observed = Counter(a.text() for a in space.sample_from(p, n, seed=2))
    rare = {k for k, e in expected.items() if e < 5}
    for counts in (observed, expected):
        counts["rare"] = sum(counts.pop(k, 0) for k in rare)  # type: ignore[call-overload]  # one name for both kinds
    assert fits(observed, expected)
    assert space.sample_from(p, 50, seed=2) != space.sample_from(p, 50, seed=3)
    assert space.sample_from(p, 50, seed=2) == space.sample_from(p, 50, seed=2)


def test_a_certain_choice_is_always_drawn() -> None:
    space = spacec.load("grammars/darts.space").where("params <= 350K")
    name = "normal.pick[0].edge[0]"
    p = {name: (0, 0, 0, 1, 0, 0, 0), "normal.pick[1]": (1, 0, 1)}
    drawn = space.sample_from(p, 300)
    assert {(a[name], a["normal.pick[1]"]) for a in drawn} == {(3, (0, 2))}
    assert all(space.params(a) <= 350_000 for a in drawn)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"a": (0.5, 0.5)}, "2 probabilities for a, which has 3 candidates"),
        ({"c": (0.5, 0.5)}, "'c', which is no decision"),
        ({"a": (0.5, 0.75, -0.25)}, "-0.25 among the probabilities for a is none"),
    ],
)
def test_probabilities_that_do_not_fit(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SpacecError, match="E0607") as caught:
        spacec.loads(TOY).feasible_probability(given)
    assert told in caught.value.diagnostics[0].headline


def test_coins_that_cannot_meet_their_bounds() -> None:
    table = DecisionTable("s", "0", (Decision("pick", "net", "subset", low=1, high=1, size=2),))
    with pytest.raises(SpacecError, match="no subset within its bounds"):
        feasible_probability(table, {"pick": (0, 0)})
    assert list(Chances(table, {"pick": (1, Fraction(1, 2))}).marginals["pick"]) == [1, 0]


def test_no_probability_left() -> None:
    space = spacec.loads(TOY)
    assert space.feasible_probability({"a": (0, 0, 1), "b": (0, 0, 1)}) == 0
    with pytest.raises(SpacecError, match="E0511"):
        space.sample_from({"a": (0, 0, 1), "b": (0, 0, 1)})
