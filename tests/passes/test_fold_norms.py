"""Norms become part of the terms that alone read them."""

from __future__ import annotations

import pytest

from spacec.ir.flat import FlatGraph, FlatMix, FlatOp, Gate, Term
from spacec.ir.verify import violations
from spacec.passes.fold_norms import FoldNorms
from tests.lower.spaces import Builder


def graph(uses: int = 1, key: str = "") -> FlatGraph:
    """A mix of a norm and its input; the norm, or its key, is used again by what makes a second output."""
    b = Builder()
    x = b.input("x", 2, 4, 4)
    conv = b.op("conv", x, key="conv_0", kernel=1)
    norm = b.op("bn", conv, key="bn_0")
    terms = Term(norm, (Gate("s", "i", 0),)), Term(conv, (Gate("s", "i", 1),))
    b.nodes.append(FlatMix(terms, b.nodes[conv].type))
    y = len(b.nodes) - 1
    again = b.op("bn", y, key=key) if key else b.op("relu", norm if uses > 1 else y)
    return b.graph("g", y=y, z=again)


def test_a_norm_becomes_part_of_its_term() -> None:
    before = graph()
    after = FoldNorms().apply(before, frozenset())
    assert not violations(after)
    (mix,) = (n for n in after.nodes if isinstance(n, FlatMix))
    conv = next(i for i, n in enumerate(after.nodes) if isinstance(n, FlatOp) and n.key == "conv_0")
    assert mix.terms == (Term(conv, (Gate("s", "i", 0),), 0, "bn_0"), Term(conv, (Gate("s", "i", 1),)))
    assert "bn_0" not in {n.key for n in after.nodes if isinstance(n, FlatOp)}


@pytest.mark.parametrize(
    ("before", "keep"),
    [(graph(uses=2), frozenset()), (graph(key="bn_0"), frozenset()), (graph(), frozenset(("bn_0",)))],
)
def test_a_norm_with_other_readers_uses_or_a_kept_value_stays(before: FlatGraph, keep: frozenset[str]) -> None:
    assert FoldNorms().apply(before, keep) == before


def test_the_norm_of_a_term_is_one_layer() -> None:
    b = Builder()
    x = b.input("x", 2, 4, 4)
    b.op("conv", x, key="bn_0", kernel=1)
    b.nodes.append(FlatMix((Term(x, (), 0, "bn_0"),), b.nodes[x].type))
    assert violations(b.graph("g", y=2)) == ["node 2: another layer has the key bn_0"]
