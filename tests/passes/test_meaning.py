"""Every pass leaves a sound graph that means the same, whatever the space."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.ir.flat import FlatChoose, FlatGraph
from spacec.ir.verify import violations
from spacec.passes.base import parse
from spacec.passes.specialise import UnfitError
from spacec.testing.generate import random_space
from tests.grammars.record import GRAMMARS
from tests.passes.graphs import all_running, same_meaning

PASSES = ("drop_zeros", "canonicalise", "mixes", "share", "hoist", "fold_norms", "recompute", "drop_dead", "order")
"""What the meaning without torch can judge: layers that are joined need their weights for that."""


def check(flat: FlatGraph, keep: frozenset[str] = frozenset()) -> None:
    for name in PASSES:
        made = parse(name).apply(flat, keep)
        assert not violations(made), name
        assert same_meaning(flat, made), name
        assert parse(name).apply(made, keep) == made, f"{name} changes what it made"
        flat = made


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_random_spaces(seed: int) -> None:
    flat = spacec.loads(random_space(seed, 10, rank=1 + seed % 2)).flat
    try:
        flat = all_running(flat)
    except UnfitError:
        return
    instances = sorted({n.instance for n in flat.nodes if isinstance(n, FlatChoose)})
    check(flat, frozenset(instances[:: 1 + seed % 3] if seed % 2 else ()))


@pytest.mark.parametrize("name", ["ddnas", "nas_bench_201", "robust_darts", "transnas_micro", "two_modality"])
def test_shipped_spaces(name: str) -> None:
    check(all_running(spacec.load(GRAMMARS / f"{name}.space", preset="tiny").flat))


@pytest.mark.parametrize("parts", [2, 3])
def test_partial_channels(parts: int) -> None:
    space = spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny")
    check(all_running(space.partial_channels(parts).flat))
