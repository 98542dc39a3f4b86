"""Random architectures: each law against brute force, and one sequence for each seed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import islice, permutations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import Has, Is
from spacec.ir.dims import Symbol, poly
from spacec.space import algebra, draws, sample, weighted
from spacec.space.batch import Batch
from spacec.space.decisions import Constraint, Decision, DecisionTable, Forbidden
from spacec.space.diagram import TooManyStates
from spacec.space.sample import Law, RejectionWarning
from spacec.space.streams import RankStream
from tests.space.tables import brute_force, cost_symbol, darts, nas_bench_201, random_table, tables, tabular

LAWS = (Law(), Law(weighted=True), Law(weighted=True, priors=False), Law(distinct=True), Law(True, True, True))
RECORDED = [
    "pool,conv1,none,conv3,conv1,none",
    "skip,pool,skip,conv3,skip,pool",
    "skip,pool,skip,conv3,skip,pool",
    "pool,conv1,none,conv3,conv1,none",
    "skip,pool,skip,conv3,skip,pool",
]
"""Of seed 0 in NAS-Bench-201, by law."""
WIDTH = poly(Symbol("net.linear[0].out"))
DIGITS = tuple(Decision(f"net.d{i}", "net", "value", tuple("012345"), tuple(range(6))) for i in range(3))
SUM = poly(Symbol("net.d0")) + poly(Symbol("net.d1")) + poly(Symbol("net.d2"))
RARE = DecisionTable("rare", "0", DIGITS, constraints=(Constraint(SUM, "<=", 4, "d0 + d1 + d2 <= 4"),))
"""35 valid architectures of 216."""

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


def fits(observed: Counter[object], expected: dict[object, float], slack: float = 0) -> bool:
    """Pearson's statistic is below its mean by 5 standard deviations of its limit distribution, and ``slack``."""
    assert set(observed) <= set(expected)
    statistic = sum((observed[k] - e) ** 2 / e for k, e in expected.items())
    freedom = len(expected) - 1
    return statistic <= freedom + 5 * (2 * freedom) ** 0.5 + slack


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


@pytest.fixture
def uncountable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No diagram can be made under constraints, not even of their sums on a grid."""
    exact = algebra.algebra

    def small(table: DecisionTable, where: bool = True) -> algebra.Algebra:
        if where:
            raise TooManyStates(10)
        return exact(table, where=False)

    monkeypatch.setattr(sample, "algebra", small)
    monkeypatch.setattr(sample, "wide", lambda table: exact(table, where=False))


@pytest.mark.usefixtures("uncountable")
def test_rejection_is_as_uniform_and_told() -> None:
    valid = [tuple(c.items()) for c in brute_force(RARE)]
    with pytest.warns(RejectionWarning) as caught:
        observed = Counter(a.choices for a in sample.sample(replace(RARE), 35 * 50, seed=0))
    assert fits(observed, dict.fromkeys(valid, 50.0))
    (warning,) = caught
    diagnostic = warning.message.diagnostic  # type: ignore[union-attr]  # it is a RejectionWarning
    assert diagnostic.code == "W0520"
    accepted, drawn = (int(n) for n in re.findall(r"[0-9]+", diagnostic.headline.replace(",", ""))[:2])
    assert accepted >= 1750
    assert accepted / drawn == pytest.approx(35 / 216, rel=0.1)
    assert "takes more than 10 steps" in diagnostic.notes[0]
    assert "W0520" in str(warning.message)


@pytest.mark.usefixtures("uncountable")
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_rejection_has_one_sequence_too(law: Law) -> None:
    table = replace(RARE)
    n = 35 if law.distinct else 80
    with pytest.warns(RejectionWarning):
        few, many = sample.sample(table, 3, 7, law), sample.sample(table, n, 7, law)
    with pytest.warns(RejectionWarning) as caught:
        one_by_one = list(islice(sample.sampler(table, 7, law), n))
    assert few == many[:3]
    assert one_by_one == many
    assert len(caught) == 1
    assert len(set(many)) == 35 or not law.distinct
    assert {a.choices for a in many} <= {tuple(c.items()) for c in brute_force(table)}


@pytest.mark.usefixtures("uncountable")
def test_rejection_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpacecError, match="36 distinct architectures of rare were asked for; 35 were found in 10,000"):
        sample.sample(replace(RARE), 36, law=Law(distinct=True))
    with pytest.warns(RejectionWarning):
        assert len(set(sample.sampler(replace(RARE), law=Law(distinct=True)))) == 35
    empty = replace(tabular(), constraints=(Constraint(WIDTH, "<", 8),))
    for n, law in [(1, Law()), (100, Law()), (1, Law(weighted=True)), (1, Law(distinct=True))]:
        with pytest.raises(SpacecError) as caught:
            sample.sample(empty, n, 0, law)
        assert caught.value.diagnostics[0].code == "E0511"
    with pytest.raises(SpacecError, match="none of 10,000"):
        next(sample.sampler(empty))
    monkeypatch.setattr(draws, "TRIES", 30)
    with pytest.warns(RejectionWarning), pytest.raises(SpacecError, match="E0511"):
        list(islice(sample.sampler(replace(RARE), 5), 10_000))


def test_costs_that_are_multiplied_are_met_by_rejection() -> None:
    params = poly(cost_symbol("params"))
    table = replace(tabular(), constraints=(Constraint(params * params, "<=", 41153**2, "params^2 <= 41153^2"),))
    with pytest.warns(RejectionWarning, match="is not linear in its costs"):
        found = sample.sample(table, 9, 3)
    assert {a.choices for a in found} <= {tuple(c.items()) for c in brute_force(table)}


@settings(max_examples=150, deadline=None)
@given(tables(constrained=True))
def test_validity_in_bulk(table: DecisionTable) -> None:
    free = replace(table, constraints=())
    batch = Batch(table, algebra.unrank_batch(free, range(algebra.count(free))).codes)
    valid = {tuple(c.items()) for c in brute_force(table)}
    assert draws.valid_rows(batch).tolist() == [a.choices in valid for a in batch]


def test_conditions_that_couple_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform sampling needs a count; decision by decision it goes without."""

    def never(table: DecisionTable, where: bool = True) -> algebra.Algebra:
        raise TooManyStates(10)

    monkeypatch.setattr(sample, "algebra", never)
    monkeypatch.setattr(sample, "wide", never)
    with pytest.raises(TooManyStates):
        sample.sample(UNEVEN)
    with pytest.warns(RejectionWarning):
        drawn = sample.sample(UNEVEN, 6_000, 1, Law(weighted=True))
    assert fits(Counter(a["top"] for a in drawn), {1: 1500.0, 2: 4500.0})


# laws


def probabilities(table: DecisionTable, priors: bool) -> dict[object, float]:
    """The product of the probabilities of what is decided, shared among the valid assignments."""
    found: dict[object, float] = {}
    for chosen in brute_force(table):
        weight = 1.0
        for name, value in chosen.items():
            d = table.by_id[name]
            if isinstance(value, int) and priors and d.priors is not None:
                weight *= d.priors[value] / sum(d.priors)
            else:
                weight /= d.cardinality
        if weight:
            found[tuple(chosen.items())] = weight
    total = sum(found.values())
    return {choices: weight / total for choices, weight in found.items()}


def with_priors(table: DecisionTable, seed: int) -> DecisionTable:
    rng = Random(seed)
    weights = (tuple(rng.choice((0, 0.1, 0.3, 1, 2.5)) for _ in d.labels) for d in table.decisions)
    given = [replace(d, priors=w if sum(w) else None) for d, w in zip(table.decisions, weights, strict=True)]
    return replace(table, decisions=tuple(given))


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(0, 99), st.sampled_from([1, 3, 64]), st.booleans())
def test_weighted_is_exact_whatever_the_bits(table: DecisionTable, seed: int, bits: int, priors: bool) -> None:
    """With one random bit per choice nearly every choice needs more of them."""
    table = with_priors(table, seed)
    expected = probabilities(table, priors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighted, "_BITS", bits)
        if not expected:
            with pytest.raises(SpacecError) as caught:
                sample.sample(table, 1, seed, Law(weighted=True, priors=priors))
            assert caught.value.diagnostics[0].code == "E0511"
            return
        n = 1_000
        observed = Counter(a.choices for a in sample.sample(table, n, seed, Law(weighted=True, priors=priors)))
    assert set(observed) <= set(expected)
    common = {k: n * p for k, p in expected.items() if n * p >= 5}
    rest = n - sum(common.values())
    counts = Counter({k: c for k, c in observed.items() if k in common})
    if rest > 5:
        common[()] = rest
        counts[()] = n - counts.total()
    assert fits(counts, common, slack=30)  # many tables are tried


def test_decision_by_decision_is_something_else() -> None:
    drawn = sample.sample(UNEVEN, 6_000, 5, Law(weighted=True, priors=False))
    assert fits(Counter(a["top"] for a in drawn), {0: 2000.0, 1: 2000.0, 2: 2000.0})
    weighed = sample.sample(UNEVEN, 6_000, 5, Law(weighted=True))
    assert fits(Counter(a["top"] for a in weighed), {1: 1500.0, 2: 4500.0})
    picks = [a["pick"] for a in weighed if "pick" in a]
    subsets = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
    assert fits(Counter(picks), dict.fromkeys(subsets, len(picks) / 6))


@pytest.mark.parametrize("law", [Law(), Law(weighted=True, priors=False)], ids=str)
def test_every_law_meets_constraints_and_covers_the_space(law: Law) -> None:
    """The constrained widths: uniform, which the product of uniform decisions given validity is too."""
    table = tabular()
    observed = Counter(a.choices for a in sample.sample(table, 856 * 20, 2, law))
    assert fits(observed, dict.fromkeys((a.choices for a in algebra.enumerate_architectures(table)), 20.0))


def test_a_space_whose_constraints_hide_weights() -> None:
    never = replace(UNEVEN, constraints=(Forbidden(Is("top", frozenset({1, 2}))),))
    with pytest.raises(SpacecError, match="prior of zero"):
        sample.sample(never, 1, 0, Law(weighted=True))


def test_without_replacement_every_order_is_alike() -> None:
    """Ordered pairs and triples out of five."""
    table = DecisionTable("five", "0", (Decision("net.op", "net", "op", tuple("abcde")),))
    for n in (2, 3, 5):
        orders = list(permutations(range(5), n))
        observed: Counter[object] = Counter()
        for seed in range(50 * len(orders)):
            observed[tuple(a["net.op"] for a in sample.sample(table, n, seed, Law(distinct=True)))] += 1
        assert fits(observed, dict.fromkeys(orders, 50.0))


def test_without_replacement_takes_every_subset_under_a_constraint() -> None:
    table = tabular()
    everything = sample.sample(table, 856, 4, Law(distinct=True))
    assert {a.choices for a in everything} == {tuple(c.items()) for c in brute_force(table)}
    assert everything != sample.sample(table, 856, 5, Law(distinct=True))
    assert list(sample.sampler(table, 4, Law(distinct=True))) == everything
    with pytest.raises(SpacecError) as caught:
        sample.sample(table, 857, 4, Law(distinct=True))
    assert caught.value.diagnostics[0].code == "E0521"
    assert "857 distinct architectures of tabular were asked for; 856 were found" in str(caught.value)


def test_without_replacement_in_a_space_of_10_to_the_477() -> None:
    wide = DecisionTable("wide", "0", tuple(Decision(f"d{i}", "net", "op", ("a", "b", "c")) for i in range(1_000)))
    assert len(set(sample.sample(wide, 300, 1, Law(distinct=True)))) == 300


def test_weighted_without_replacement() -> None:
    """Each next one by weight among those left: both orders of the two that have one."""
    two = replace(UNEVEN, constraints=(Forbidden(Is("top", frozenset({0}))), Forbidden(Has("pick", 1))))
    law = Law(weighted=True, distinct=True)
    expected = probabilities(two, True)
    first = Counter(sample.sample(two, 1, seed, law)[0].choices for seed in range(2_000))
    assert fits(first, {k: 2_000 * p for k, p in expected.items()})
    with_all = sample.sample(two, len(expected), 3, law)
    assert {a.choices for a in with_all} == set(expected)
    with pytest.raises(SpacecError, match="5 distinct architectures of uneven were asked for; 4 were found"):
        sample.sample(two, len(expected) + 1, 3, law)


# sequences


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_seed_has_one_meaning(law: Law) -> None:
    for table in (darts(), tabular(), nas_bench_201(), UNEVEN, random_table(5, 11), darts(("normal",))):
        n = min(200, algebra.count(table)) if law.distinct else 200
        if law.distinct and law.weighted:
            n = min(n, 5)
        whole = sample.sample(table, n, 7, law)
        assert list(sample.sample_batch(table, n, 7, law)) == whole
        assert list(islice(sample.sampler(table, 7, law), n)) == whole
        for few in (0, 1, 5, 12):
            assert sample.sample(table, min(few, n), 7, law) == whole[:few]
        source = sample.draws(table, 7, law)
        parts = [source.take(min(k, n - k * (k - 1) // 2), exactly=False) for k in range(1, 8) if k * (k - 1) // 2 < n]
        assert [a for part in parts for a in part] == whole[: sum(map(len, parts))]


def test_ranks_in_bulk_are_those_of_randrange() -> None:
    for total in (1, 2, 3, 5, 2**31, 2**32 - 1, 2**32, 2**33 + 1, 2**62 - 1, 2**62, 2**63 + 5, 2**64, 10**400):
        rng, stream = Random(total), RankStream(total, total)
        expected = [rng.randrange(total) for _ in range(200)]
        assert [int(r) for k in (0, 1, 2, 17, 180) for r in stream.take(k)] == expected


def test_a_seed_gives_the_same_under_any_hash_seed() -> None:
    """In this process, in others, and as recorded: the stream is part of the interface."""
    script = (
        "from spacec.space.sample import sample\n"
        "from tests.space.tables import darts, tabular\n"
        "from tests.space.test_sample import LAWS\n"
        "for t in (darts(), tabular()):\n"
        "    for law in LAWS:\n"
        "        for a in sample(t, 2, 7, law): print(a)\n"
    )
    found = set()
    for hash_seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", script]
        found.add(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
    here = [str(a) for t in (darts(), tabular()) for law in LAWS for a in sample.sample(t, 2, 7, law)]
    assert found.pop().split() == here
    nb201 = nas_bench_201()
    assert [str(sample.sample(nb201, 1, 0, law)[0]).removeprefix("00000201:cell=") for law in LAWS] == RECORDED


def test_n_and_seed() -> None:
    table = darts()
    assert sample.sample(table, 0) == []
    assert len(sample.sample_batch(table, 0)) == 0
    assert sample.sample(table, 5, 1)[:2] == sample.sample(table, 2, 1)
    assert sample.sample(table, 5, 1) != sample.sample(table, 5, 2)
    for law in LAWS:
        with pytest.raises(ValueError, match="-1 architectures"):
            sample.sample(table, -1, 0, law)


def test_spaces_without_a_decision() -> None:
    nothing = DecisionTable("none", "0", ())
    assert [a.choices for a in sample.sample(nothing, 40)] == [()] * 40
    assert [a.choices for a in sample.sample(nothing, 40, law=Law(weighted=True))] == [()] * 40
    assert len(sample.sample(nothing, 1, law=Law(distinct=True))) == 1


def test_the_facade() -> None:
    space = spacec.load(Path(__file__).parents[2] / "grammars/nas_bench_201.space")
    assert space.sample(40, 3) == list(space.sample_batch(40, 3)) == list(islice(space.sampler(3), 40))
    assert len(set(space.sample(15_625, replace=False))) == 15_625
    assert space.sample(3, 1, weighted=True) == space.sample_decisions(3, 1)  # there are no priors
    light = space.where("params <= 200K")
    assert all(light.params(a) <= 200_000 for a in light.sampler(replace=False))


def test_uniform_over_networks() -> None:
    """The sum of two of three is one network in either order: nine architectures, six networks."""
    space = spacec.loads("space s\ninput x: [4]\noutput y: [4]\ndef e = relu | tanh | sigmoid\nnet = e + e\n")
    firsts = list(space.distinct(space.enumerate()))
    assert (space.count(), len(firsts)) == (9, 6)
    drawn = space.sample(600, 1, distinct=True)
    assert fits(Counter(map(space.canonical, drawn)), dict.fromkeys(map(space.canonical, firsts), 100.0))
    assert space.sample(3, 1, distinct=True) == drawn[:3]
    assert space.class_size(firsts[1]) == 2
    with pytest.raises(SpacecError) as caught:
        space.sample(2, distinct=True, weighted=True)
    assert caught.value.diagnostics[0].code == "E0514"
    with pytest.raises(SpacecError) as caught:
        space.where("params > 3").sample(distinct=True)
    assert caught.value.diagnostics[0].code == "E0511"


def test_weighted_without_replacement_to_the_end() -> None:
    """What has hardly any weight is drawn all the same, once the rest is; by weight, in one sequence."""
    space = spacec.loads(
        "space s\ninput x: [4, 8, 8]\noutput y: [4, 8, 8]\n"
        "net = (relu @ 1000000000 | bn) >> (relu @ 3 | bn @ 1) >> (relu @ 0 | bn | identity)"
    )
    everything = {a for a in space.enumerate() if a.text().split("=")[1].split(",")[2] != "relu"}
    assert len(everything) == 8
    last = Counter()
    for seed in range(300):
        drawn = space.sample(8, seed, replace=False, weighted=True)
        assert set(drawn) == everything
        assert all(a.text().split("=")[1].startswith("relu") for a in drawn[:4])
        last[drawn[4].text().split("=")[1].split(",")[1]] += 1
        again = space.sampler(seed, replace=False, weighted=True)
        assert [next(again) for _ in range(8)] == drawn
        assert list(space.sample_batch(8, seed, replace=False, weighted=True)) == drawn
    assert 190 < last["relu"] < 255  # three quarters of 300
    with pytest.raises(SpacecError, match="9 distinct"):
        space.sample(9, replace=False, weighted=True)


def test_more_rows_than_any_array_has() -> None:
    with pytest.raises(MemoryError):
        spacec.loads("space s\ninput x: [4]\noutput y: [4]\nnet = relu | identity").sample(10**32)
