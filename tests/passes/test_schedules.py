"""Every pass of every named schedule leaves a graph without violations, and mixes say what choices said."""

from __future__ import annotations

import pytest

import spacec
from spacec.ir.flat import FlatChoose, FlatGraph, FlatMix, Gate
from spacec.ir.verify import violations
from spacec.lower.schedule import NAMED
from spacec.passes.base import parse, run
from spacec.passes.specialise import Specialise
from tests.grammars.record import GRAMMARS, NAMES


def specialised(flat: FlatGraph) -> FlatGraph:
    chooses = [n for n in flat.nodes if isinstance(n, FlatChoose)]
    return Specialise(tuple(tuple(range(len(c.alternatives))) for c in chooses)).apply(flat)


@pytest.mark.parametrize("name", NAMES)
def test_no_violations(name: str) -> None:
    whole = spacec.load(GRAMMARS / f"{name}.space", preset="tiny").flat
    for schedule in NAMED.values():
        flat = specialised(whole)
        assert not violations(flat)
        for step in schedule.pipeline():
            flat = step.apply(flat, frozenset())
            assert not violations(flat), step.name


def test_a_sum_of_choices_is_one_mix() -> None:
    flat = specialised(spacec.load(GRAMMARS / "nas_bench_201.space", preset="tiny").flat)
    found = run(flat, [parse("mixes")])
    mixes = [n for n in found.nodes if isinstance(n, FlatMix)]
    weighed = [t for m in mixes for t in m.terms if t.gates]
    choices = [n for n in flat.nodes if isinstance(n, FlatChoose)]
    assert len(weighed) == sum(len([a for a in c.alternatives if a is not None]) for c in choices)
    assert {t.gates[0] for t in weighed} == {
        Gate(c.slot, c.instance, k) for c in choices for k, a in enumerate(c.alternatives) if a is not None
    }


def test_unknown_passes_and_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"no pass is called 'mixed'; there are .*mixes"):
        parse("mixed")
    with pytest.raises(ValueError, match="pass 'mixes' has no option 'deep'"):
        parse("mixes:deep=1")
