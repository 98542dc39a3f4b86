"""Architectures as an array of codes, and back."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import Is
from spacec.space import algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.batch import INACTIVE, WIDEST, Batch, concatenate, elements_of, mask_of
from spacec.space.codec import to_json
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.sample import sample
from tests.space.tables import brute_force, darts, nas_bench_201, tables

GRAMMARS = sorted((Path(__file__).parents[2] / "grammars").glob("*.space"))


@settings(max_examples=200, deadline=None)
@given(tables())
def test_every_architecture_comes_back(table: DecisionTable) -> None:
    archs = [architecture_of(table, chosen) for chosen in brute_force(table)]
    batch = Batch.of(table, archs)
    assert batch.codes.shape == (len(archs), len(table.decisions))
    assert list(batch) == archs
    for arch, row in zip(archs, batch.codes.tolist(), strict=True):
        for decision, code in zip(table.decisions, row, strict=True):
            value = arch.get(decision.id)
            assert code == (INACTIVE if value is None else mask_of(value) if isinstance(value, tuple) else value)
    again = batch[0:0]
    assert len(again) == 0
    assert list(again) == []


def test_many_decisions_of_which_few_are_active() -> None:
    ops = ("a", "b", "c")
    chain = [Decision("d0", "net", "op", ops)]
    for i in range(1, 400):
        chain.append(Decision(f"d{i}", "net", "op", ops, active=Is(f"d{i - 1}", frozenset({1}))))
    table = DecisionTable("chain", "0" * 8, tuple(chain))
    archs = [algebra.unrank(table, rank) for rank in (0, 1, 2, 399, 800)]
    batch = Batch.of(table, archs)
    assert list(batch) == archs == [batch[i] for i in range(5)]


@pytest.mark.parametrize("path", GRAMMARS, ids=lambda p: p.stem)
def test_every_shipped_space(path: Path) -> None:
    space = spacec.load(path)
    archs = space.sample(3, seed=1)
    batch = space.batch(archs)
    assert list(batch) == archs
    for found, known in zip(batch, archs, strict=True):
        assert found.text() == known.text()
        assert space.to_json(found) == space.to_json(known)


def test_it_is_a_sequence() -> None:
    table = nas_bench_201()
    archs = sample(table, 9, seed=1)
    batch = Batch.of(table, archs)
    assert Batch.of(table, batch) is batch
    assert (len(batch), batch[2], batch[-1], batch.index(archs[3])) == (9, archs[2], archs[-1], archs.index(archs[3]))
    assert list(batch[1:7:2]) == archs[1:7:2]
    assert list(batch[[4, 4, 0]]) == [archs[4], archs[4], archs[0]]
    assert list(batch[batch.codes[:, 0] == 1]) == [a for a in archs if a["cell.edge[0]"] == 1]
    assert archs[5] in batch
    assert list(reversed(batch)) == archs[::-1]
    with pytest.raises(IndexError):
        batch[9]
    assert batch[:4] + batch[4:] == batch == concatenate([batch[:2], batch[2:2], batch[2:]])
    assert batch != batch[::-1]
    assert batch != archs
    assert batch != batch[:3]
    with pytest.raises(ValueError, match="one space"):
        batch + Batch.of(darts(), [])
    with pytest.raises(ValueError, match="one space"):
        concatenate([])
    with pytest.raises(ValueError, match="expected \\[architectures, 6\\]"):
        Batch(table, np.zeros((2, 5), dtype=np.int64))
    with pytest.raises(TypeError):
        hash(batch)
    assert "9 architectures of nas_bench_201" in repr(batch)


@pytest.mark.parametrize("size", [WIDEST, WIDEST + 1, 200])
def test_wide_subsets(size: int) -> None:
    table = DecisionTable("wide", "0" * 8, (Decision("pick", "net", "subset", low=0, high=size, size=size),))
    rng = Random(size)
    picks = [(), (0,), (size - 1,), tuple(range(size)), *(elements_of(rng.getrandbits(size)) for _ in range(9))]
    archs = [Architecture("wide", "0" * 8, (("pick", p),), (), sample(table)[0].spelling) for p in picks]
    batch = Batch.of(table, archs)
    assert batch.codes.dtype == (np.int64 if size <= WIDEST else object)
    assert [batch[i]["pick"] for i in range(len(batch))] == picks
    assert list(batch + batch) == archs * 2
    assert batch == Batch.of(table, list(batch))


def test_strangers_are_named() -> None:
    table = darts()
    arch = sample(table)[0]
    for choices, code in [
        ((("normal.pick[0]", (0, 7)),), "E0604"),
        ((("normal.pick[0]", (1, 0)),), "E0604"),
        ((*arch.choices, ("nowhere", 0)), "E0603"),
    ]:
        with pytest.raises(SpacecError) as caught:
            Batch.of(table, [replace(arch, choices=choices)])
        assert caught.value.diagnostics[0].code == code
    with pytest.raises(SpacecError) as caught:
        Batch.of(nas_bench_201(), [arch])
    assert caught.value.diagnostics[0].code == "E0602"


def test_architectures_of_another_form_are_adapted() -> None:
    whole, part = darts(), replace(darts(("normal",)), digest="00000000")
    part = replace(part, owner_digests={"normal": whole.owner_digests["normal"]})
    archs = sample(whole, 4, seed=3)
    batch = Batch.of(part, archs)
    assert [a.values for a in batch] == [{k: v for k, v in a.values.items() if k in part.by_id} for a in archs]


def test_architectures_travel_with_their_text_alone() -> None:
    """Equality, hash, text and JSON survive pickling and copying; the spelling of the table stays behind."""
    table = darts()
    (arch,) = Batch.of(table, sample(table, 1, seed=2))
    for other in (pickle.loads(pickle.dumps(arch)), copy.copy(arch), copy.deepcopy(arch)):
        assert other == arch
        assert hash(other) == hash(arch)
        assert repr(other) == repr(arch)
        assert (other.text(), to_json(other), other.space) == (arch.text(), to_json(arch), arch.space)
        assert other.owner_digests == arch.owner_digests
    many = DecisionTable("m", "0" * 8, tuple(Decision(f"d{i}", "net", "op", ("a", "b")) for i in range(3_000)))
    few = replace(sample(many)[0], choices=(("d7", 1),))
    assert len(pickle.dumps(few)) < 1_000
