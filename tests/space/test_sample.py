"""Uniform over architectures, and decision by decision."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings

from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import Has, Is
from spacec.ir.dims import Symbol, poly
from spacec.space import algebra, sample
from spacec.space.decisions import Constraint, Decision, DecisionTable
from spacec.space.diagram import TooManyStates
from tests.space.tables import brute_force, darts, nas_bench_201, tables, tabular

UNEVEN = DecisionTable(
    "uneven",
    "0",
    (
        Decision("top", "net", "op", ("big", "small", "pick"), priors=(0.0, 0.25, 0.75)),
        Decision("big", "net", "op", ("a", "b", "c", "d"), active=Is("top", frozenset({0}))),
        Decision("pick", "net", "subset", low=1, high=2, size=3, active=Is("top", frozenset({2}))),
        Decision("body", "net", "op", ("a", "b"), active=Has("pick", 1)),
    ),
)


def fits(observed: Counter[object], expected: dict[object, float]) -> bool:
    """Pearson's statistic is below its mean by 5 standard deviations of its limit distribution."""
    assert set(observed) <= set(expected)
    statistic = sum((observed[k] - e) ** 2 / e for k, e in expected.items())
    freedom = len(expected) - 1
    return statistic < freedom + 5 * (2 * freedom) ** 0.5


@settings(max_examples=250, deadline=None)
@given(tables())
def test_samples_are_valid(table: DecisionTable) -> None:
    valid = {tuple(c.items()) for c in brute_force(table)}
    if not valid:
        with pytest.raises(SpacecError) as caught:
            sample.sample(table, 1)
        assert caught.value.diagnostics[0].code == "E0511"
        return
    assert {a.choices for a in sample.sample(table, 20, seed=1)} <= valid


def test_uniform_over_architectures() -> None:
    everything = [a.choices for a in algebra.enumerate_architectures(UNEVEN)]
    n = 100 * len(everything)
    observed = Counter(a.choices for a in sample.sample(UNEVEN, n, seed=3))
    assert fits(observed, dict.fromkeys(everything, 100.0))


def test_uniform_under_a_constraint() -> None:
    table = tabular()
    observed = Counter(a.choices for a in sample.sample(table, 856 * 20, seed=0))
    assert fits(observed, dict.fromkeys((a.choices for a in algebra.enumerate_architectures(table)), 20.0))


def test_rejection_is_as_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = algebra.algebra

    def small(table: DecisionTable, where: bool = True) -> algebra.Algebra:
        if where:
            raise TooManyStates(10)
        return exact(table, where=False)

    monkeypatch.setattr(sample, "algebra", small)
    table = tabular()
    valid = [tuple(c.items()) for c in brute_force(table)]
    observed = Counter(a.choices for a in sample.sample(table, 856 * 10, seed=0))
    assert fits(observed, dict.fromkeys(valid, 10.0))


def test_decision_by_decision_is_something_else() -> None:
    drawn = sample.sample_decisions(UNEVEN, 6_000, seed=5, priors=False)
    assert fits(Counter(a["top"] for a in drawn), {0: 2000.0, 1: 2000.0, 2: 2000.0})
    weighed = sample.sample_decisions(UNEVEN, 6_000, seed=5)
    assert fits(Counter(a["top"] for a in weighed), {1: 1500.0, 2: 4500.0})
    picks = [a["pick"] for a in weighed if "pick" in a]
    subsets = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
    assert fits(Counter(picks), dict.fromkeys(subsets, len(picks) / 6))


def test_constraints_that_random_trial_cannot_meet() -> None:
    width = poly(Symbol("net.linear[0].out"))
    table = replace(tabular(), constraints=(Constraint(width, "<", 8),))
    for draw in (sample.sample, sample.sample_decisions):
        with pytest.raises(SpacecError) as caught:
            draw(table, 1)
        assert caught.value.diagnostics[0].code == "E0511"


def test_a_seed_gives_the_same_under_any_hash_seed() -> None:
    """In this process, in others, and as recorded: the stream is part of the interface."""
    script = (
        "from spacec.space.sample import sample, sample_decisions\n"
        "from tests.space.tables import darts, tabular\n"
        "for t in (darts(), tabular()):\n"
        "    for a in (*sample(t, 2, 7), *sample_decisions(t, 1, 7)): print(a)\n"
    )
    found = set()
    for hash_seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", script]
        found.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
    here = [str(a) for t in (darts(), tabular()) for a in (*sample.sample(t, 2, 7), *sample.sample_decisions(t, 1, 7))]
    assert found.pop().split() == here
    assert str(sample.sample(nas_bench_201(), 1, 0)[0]) == "00000201:cell=pool,conv1,none,conv3,conv1,none"


def test_n_and_seed() -> None:
    table = darts()
    assert sample.sample(table, 0) == []
    assert sample.sample(table, 5, 1)[:2] == sample.sample(table, 2, 1)
    assert sample.sample(table, 5, 1) != sample.sample(table, 5, 2)
