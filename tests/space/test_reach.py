"""Limits on costs that are compiled into a diagram: what shipped spaces take, and that order changes nothing."""

from __future__ import annotations

import pytest

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import decisions as mentioned_by
from spacec.space.algebra import algebra
from spacec.space.arrange import arranged
from spacec.space.constraints import linear_limit, linear_parts

WITHIN = (
    ("darts", "params"),
    ("autoformer", "params"),
    ("autoformer", "macs"),
    ("cream", "params"),
    ("hrnet", "params"),
    ("tabular", "params"),
)


@pytest.mark.parametrize(("name", "cost"), WITHIN)
def test_an_ordinary_limit_is_counted(name: str, cost: str) -> None:
    """The share of the space below the cost of a random architecture is that of random architectures."""
    space = spacec.load(f"grammars/{name}.space")
    costs = sorted(space.cost(arch, cost) for arch in space.sample(400, seed=3))
    for place in (20, 200):
        left = space.where(f"{cost} <= {costs[place]}")
        share = left.count() / space.count()
        expected = (place + 1) / 400
        assert abs(share - expected) < 5 * (expected * (1 - expected) / 400) ** 0.5
        assert all(space.cost(arch, cost) <= costs[place] for arch in left.sample(20, seed=4))


def test_decisions_stay_behind_what_their_conditions_mention() -> None:
    for name, _ in WITHIN:
        table = spacec.load(f"grammars/{name}.space").where("params <= 10M").table
        sums = [part for limit in table.constraints for part in linear_parts(linear_limit(table, limit))]
        order = [d.id for d in arranged(table.decisions, sums)]
        assert sorted(order) == sorted(d.id for d in table.decisions)
        before: set[str] = set()
        for name_of in order:
            assert {str(m) for m in mentioned_by(table.by_id[name_of].active)} <= before
            before.add(name_of)


def test_a_limit_that_nothing_violates_costs_no_more_than_none() -> None:
    space = spacec.load("grammars/ofa.space")
    table = space.where("params <= 1000M").table
    assert algebra(table, limit=2_000).total == space.count()


def test_a_limit_that_nothing_violates_is_none_where_its_sums_are_too_many() -> None:
    space = spacec.load("grammars/auto_deeplab.space")
    assert space.count(where="params <= 100M") == space.count()
    with pytest.raises(SpacecError, match="E0510"):
        space.count(where="params <= 1M")


def test_one_sum_over_many_copies_is_split() -> None:
    """Every part of a polynomial is added once its own numbers are settled, so twelve of twenty values stay small."""
    text = "space s\ninput  x: [8]\noutput y: [8]\n"
    text += "".join(f"let w{i} = elastic {{{', '.join(str(8 * (k + 1)) for k in range(20))}}}\n" for i in range(12))
    body = " >> ".join(f"(linear(w{i}) >> linear(8))" for i in range(12))
    space = spacec.loads(f"{text}net = {body}\nwhere params <= 20K\n")
    assert 0 < space.count() < 20**12
