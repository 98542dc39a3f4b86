"""Somewhat more than the valid architectures: what is valid stays, and sampling from the rest is as uniform."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.space import algebra, sample, wide
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import DecisionTable
from spacec.space.diagram import TooManyStates
from spacec.space.sample import RejectionWarning
from tests.space.tables import brute_force, random_table
from tests.space.test_sample import fits


def assignments(table: DecisionTable) -> set[tuple[object, ...]]:
    compiled = wide.wide(table, 100_000)
    return {tuple(sorted(compiled.assignment(k).items())) for k in range(compiled.total)}


@pytest.mark.parametrize("grids", [(8_192,), (3, 1), (1,), ()], ids=str)
@settings(max_examples=120, deadline=None)
@given(size=st.integers(2, 5), seed=st.integers(0, 10_000))
def test_what_is_valid_stays(grids: tuple[int, ...], size: int, seed: int) -> None:
    table = random_table(size, seed, constrained=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wide, "GRIDS", grids)
        found = assignments(table)
    valid = {tuple(sorted(c.items())) for c in brute_force(table)}
    assert valid <= found <= {tuple(sorted(c.items())) for c in brute_force(table, where=False)}


def test_little_work_leaves_constraints_out() -> None:
    table = spacec.load("grammars/darts.space").where("params <= 200K").table
    assert wide.wide(table, limit=2_000).total == algebra.count(table, where=False)
    assert algebra.count(table) <= wide.wide(table).total < 1.01 * algebra.count(table)


SMALL = """\
space s
input  x: [3, 8, 8]
output y: [8]
net = conv(3, elastic {2, 3, 5, 7}) >> conv({1, 3, 5}, elastic {4, 6, 9}) >> (conv(3) | conv(5) | skip)
   >> global_pool >> linear(8)
where params <= 1100
"""


def refusing(table: DecisionTable, where: bool = True) -> algebra.Algebra:
    raise TooManyStates(0, "any limit")


def test_what_is_drawn_is_as_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [a.text() for a in spacec.loads(SMALL).enumerate()]
    table = spacec.loads(SMALL).table
    monkeypatch.setattr(wide, "GRIDS", (16,))
    monkeypatch.setattr(sample, "algebra", refusing)
    assert len(everything) < wide.wide(table).total < algebra.count(table, where=False)
    with pytest.warns(RejectionWarning):
        drawn = sample.sample(table, 100 * len(everything), seed=3)
    assert fits(Counter(a.text() for a in drawn), dict.fromkeys(everything, 100.0))


def test_a_limit_that_no_diagram_holds_is_nearly_always_met() -> None:
    """Once-for-all under a limit that one architecture of a thousand meets."""
    space = spacec.load("grammars/ofa.space").where("params <= 4231040")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        drawn = space.sample(200, seed=1)
    assert all(all_satisfied(space.table, arch.values) for arch in drawn)
    (warning,) = [w.message for w in told if isinstance(w.message, RejectionWarning)]
    share = float(warning.diagnostic.headline.rpartition("(")[2].split(" %")[0])
    assert share > 80
