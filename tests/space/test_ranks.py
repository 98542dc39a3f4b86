"""Ranks and architectures are in bijection, one at a time and in bulk, whatever the numbers."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.ir.conditions import Has, Is
from spacec.space import algebra, unrank
from spacec.space.algebra import NoSuchRank
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.unrank import Unranker
from tests.space.tables import brute_force, darts, nas_bench_201, tables, tabular

GRAMMARS = sorted((Path(__file__).parents[2] / "grammars").glob("*.space"))


def by_one(table: DecisionTable, ranks: list[int]) -> list[Architecture]:
    return [algebra.unrank(table, rank) for rank in ranks]


@settings(max_examples=200, deadline=None)
@given(tables())
def test_in_bulk_as_one_by_one(table: DecisionTable) -> None:
    total = algebra.count(table)
    everything = by_one(table, list(range(total)))
    assert list(algebra.unrank_batch(table, range(total))) == everything
    assert list(algebra.enumerate_architectures(table)) == everything
    assert [algebra.rank(table, arch) for arch in everything] == list(range(total))
    assert {tuple(c.items()) for c in brute_force(table)} == {a.choices for a in everything}
    shuffled = Random(total).sample(range(total), total)
    assert list(algebra.unrank_batch(table, np.array(shuffled, dtype=np.int64))) == by_one(table, shuffled)


@settings(max_examples=200, deadline=None)
@given(tables(), st.sampled_from([1, 2, 5, 30]), st.sampled_from([0, 3, 4096]))
def test_numbers_beyond_any_word(table: DecisionTable, most: int, listed: int) -> None:
    """The ways that need more than a word, tried with tiny words."""
    total = algebra.count(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unrank, "_MOST", most)
        patch.setattr(unrank, "_LISTED", listed)
        unranker = Unranker(table, algebra.algebra(table))
        for ranks in (list(range(total)), Random(most).sample(range(total), total), [0] * min(total, 3)):
            codes = unranker.codes(ranks)
            assert codes.tolist() == algebra.unrank_batch(table, ranks).codes.tolist()


@pytest.mark.parametrize("path", GRAMMARS, ids=lambda p: p.stem)
def test_shipped_spaces(path: Path) -> None:
    space = spacec.load(path)
    total, rng = space.count(), Random(1)
    ranks = [0, total - 1, *(rng.randrange(total) for _ in range(3))]
    found = space.unrank_batch(ranks)
    assert [space.rank(arch) for arch in found] == ranks
    assert list(found) == [space.unrank(rank) for rank in ranks]
    start = max(0, total - 40)
    last = list(space.enumerate(start=start))
    assert last == list(space.unrank_batch(range(start, total)))
    assert [space.rank(arch) for arch in last[-3:]] == [total - 3, total - 2, total - 1]
    assert list(islice(space.enumerate(), 2)) == [space.unrank(0), space.unrank(1)]
    for rank in (-1, total, total + 10**400):
        with pytest.raises(NoSuchRank) as caught:
            space.unrank(rank)
        assert caught.value.diagnostics[0].code == "E0520"
        with pytest.raises(IndexError):
            space.unrank_batch([0, rank])


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_part_of_an_enumeration(data: st.DataObject) -> None:
    table = data.draw(st.sampled_from([darts(), tabular(), nas_bench_201()]))
    total = algebra.count(table)
    start = data.draw(st.integers(0, total))
    step = data.draw(st.integers(1, total))
    stop = min(total, start + step * data.draw(st.integers(0, 70)))
    assert list(algebra.enumerate_architectures(table, True, start, stop, step)) == by_one(
        table, list(range(start, stop, step))
    )


def test_ranks_near_each_other_in_a_space_beyond_all_words() -> None:
    """One component of some 10^600 architectures: conditions chain all decisions."""
    ops = tuple("abcdefgh")
    chain = [Decision("d0", "net", "op", ops)]
    for i in range(1, 700):
        chain.append(Decision(f"d{i}", "net", "op", ops, active=Is(f"d{i - 1}", frozenset(range(7)))))
    table = DecisionTable("chain", "0", tuple(chain))
    total = algebra.count(table)
    assert total > 10**590
    middle = total // 3
    ranks = [*range(middle, middle + 200), 0, total - 1, middle + 7, *range(50, 0, -1), middle + 2**70]
    assert list(algebra.unrank_batch(table, ranks)) == by_one(table, ranks)
    assert [algebra.rank(table, a) for a in algebra.enumerate_architectures(table, start=total - 60)] == list(
        range(total - 60, total)
    )


def test_wide_subsets() -> None:
    pick = Decision("net.pick", "net", "subset", low=0, high=90, size=90)
    bodies = tuple(Decision(f"net.op[{e}]", "net", "op", ("a", "b", "c"), active=Has("net.pick", e)) for e in (0, 70))
    for decisions in ((pick,), (pick, *bodies)):
        table = DecisionTable("wide", "0", decisions)
        total, rng = algebra.count(table), Random(0)
        ranks = [0, total - 1, *(rng.randrange(total) for _ in range(20))]
        assert list(algebra.unrank_batch(table, ranks)) == by_one(table, ranks)


def test_small_spaces() -> None:
    nothing = DecisionTable("none", "0", ())
    one = DecisionTable("one", "0", (Decision("net.op", "net", "op", ("a",)),))
    for table in (nothing, one):
        assert algebra.count(table) == 1
        (arch,) = algebra.enumerate_architectures(table)
        assert list(algebra.unrank_batch(table, [0, 0])) == [arch, arch]
        assert algebra.rank(table, arch) == 0
        with pytest.raises(NoSuchRank, match="no architecture of rank 1"):
            algebra.unrank(table, 1)
    assert len(algebra.unrank_batch(nothing, [])) == 0


def test_what_is_no_part_of_an_enumeration() -> None:
    table = nas_bench_201()
    for start, stop in ((-1, None), (15_626, None), (0, 15_626), (3, -2)):
        with pytest.raises(NoSuchRank) as caught:
            algebra.enumerate_architectures(table, True, start, stop)
        assert "ranks 0 to 15,624" in caught.value.diagnostics[0].notes[0]
    with pytest.raises(ValueError, match="upwards"):
        algebra.enumerate_architectures(table, step=0)
    assert list(algebra.enumerate_architectures(table, start=15_625)) == []
    empty = tabular(limit=0)
    assert list(algebra.enumerate_architectures(empty)) == []
    with pytest.raises(NoSuchRank) as caught:
        algebra.unrank(empty, 0)
    assert caught.value.diagnostics[0].notes == ("it has no ranks",)


def test_ranks_of_architectures_that_are_not_valid() -> None:
    space = spacec.load(GRAMMARS[0].parent / "tabular.space")
    arch = space.unrank(5)
    assert space.rank(arch) == 5
    assert space.rank(arch, where=False) >= 5
    bad = next(a for a in space.enumerate(where=False, start=7_000) if space.violated(a))
    with pytest.raises(spacec.SpacecError) as caught:
        space.rank(bad)
    assert caught.value.diagnostics[0].code == "E0606"
