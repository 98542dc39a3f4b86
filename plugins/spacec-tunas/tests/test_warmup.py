"""Warm-up: the mean of all candidates, the largest sizes, each by its own chance, and paths where chance is spent."""

from __future__ import annotations

import random

import pytest
import torch
from spacec_tunas.warmup import falling, largest, warm_mask
from torch import Tensor

import spacec
from spacec.search.space_like import Mask
from spacec.testing.generate import random_space
from spacec.testing.inputs import example_inputs

NESTED = spacec.loads("""
space nested(width = 3)
input  x: [width]
output y: [width]
net = (a: linear | b: (c: linear | d: linear >> tanh) >> linear | e: identity) >> linear
""")
ELASTIC = spacec.loads("""
space sizes(width = 6)
input  x: [width]
output y: [width]
net = dag(x) {
  less = elastic {1, 2, 3}
  y = x >> linear(width - less) >> linear(elastic {4, 2}) >> relu >> linear(width)
  return y >> (linear >> tanh) * elastic {1..3}
}
""")
PICKS = spacec.loads("""
space picks(width = 3)
input  x: [width]
output y: [width]
default pick(absent = 1)
let cell = dag(a) { return sum(pick 2 from [a, a >> tanh, a >> relu]: lin: linear | skip: identity) }
net = cell >> linear
""")

PACKED = spacec.loads("""
space packed(width = 3)
input  x: [width]
output y: [width]
net = dag(x) {
  e = pick 1..3 from v in 0..2: v
  return concat(from v in e: x >> linear((3 + len(e[v..])) // len(e))) >> linear(width) >> (a: linear | b: tanh)
}
""")

COUNTED = spacec.loads("""
space counted(width = 3)
input  x: [width]
output y: [width]
net = dag(x) {
  taken = pick 1..2 from [x, x >> tanh]: (a: linear | b: linear >> tanh)
  return sum(taken) >> linear(4 // len(taken)) >> linear(width)
}
""")


def run(space: spacec.Space, mask: Mask) -> Tensor:
    net = space.supernet(seed=0).double()
    inputs = {name: t.double() for name, t in example_inputs(space).items()}
    prediction: Tensor = net(inputs, mask=mask).prediction
    return prediction


def outcomes(space: spacec.Space) -> list[Tensor]:
    return [run(space, space.mask(arch)) for arch in space.enumerate()]


def test_the_probability_falls_linearly() -> None:
    assert [falling(s, 4) for s in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert falling(0, 0) == 0.0


@pytest.mark.parametrize("space", [NESTED, ELASTIC, PICKS], ids=lambda s: s.name)
def test_without_chance_it_is_the_path(space: spacec.Space) -> None:
    for arch in list(space.enumerate())[:8]:
        mask = warm_mask(space, arch, random.Random(0), 0.0, 0.0)
        assert torch.equal(run(space, mask), run(space, space.mask(arch)))


@pytest.mark.parametrize("drawn", list(NESTED.enumerate()), ids=str)
def test_choices_that_run_whole_give_the_mean_of_their_candidates(drawn: spacec.Architecture) -> None:
    """What is nested in a candidate that was not drawn is asked too; linear maps after a mean are means of theirs."""
    a, c, d, e = outcomes(NESTED)
    found = run(NESTED, warm_mask(NESTED, drawn, random.Random(0), 1.0, 0.0))
    torch.testing.assert_close(found, (a + (c + d) / 2 + e) / 3)


@pytest.mark.parametrize("drawn", list(PICKS.enumerate())[::4], ids=str)
def test_picked_elements_run_all_their_operations(drawn: spacec.Architecture) -> None:
    """The elements of a pick stay as drawn, each with the mean of its operations."""
    alike = [arch for arch in PICKS.enumerate() if arch["cell.pick[0]"] == drawn["cell.pick[0]"]]
    expected = torch.stack([run(PICKS, PICKS.mask(arch)) for arch in alike]).mean(0)
    torch.testing.assert_close(run(PICKS, warm_mask(PICKS, drawn, random.Random(0), 1.0, 1.0)), expected)


def test_elastic_decisions_are_at_their_largest_sizes() -> None:
    """The largest size, which the smallest value may give, and the greatest depth; no choice is made of them."""
    assert [largest(d) for d in ELASTIC.decisions] == [0, 0, 2]
    for arch in list(ELASTIC.enumerate())[::5]:
        mask = warm_mask(ELASTIC, arch, random.Random(0), 0.0, 1.0)
        assert list(mask.values()) == [0, 0, 2]
        assert warm_mask(ELASTIC, arch, random.Random(0), 1.0, 0.0) == ELASTIC.mask(arch)


def test_every_decision_has_a_chance_of_its_own() -> None:
    arch, rng = PICKS.sample(1, seed=0)[0], random.Random(0)
    picked = [f"cell.pick[0].choice[{e}]" for e in arch["cell.pick[0]"]]
    counts = dict.fromkeys([(False, False), (False, True), (True, False), (True, True)], 0)
    for _ in range(1000):
        mask = warm_mask(PICKS, arch, rng, 0.3, 0.0)
        counts[tuple(not isinstance(mask[slot], int) for slot in picked)] += 1
    for (one, other), count in counts.items():
        assert count / 1000 == pytest.approx((0.3 if one else 0.7) * (0.3 if other else 0.7), abs=0.05)


def test_what_the_architecture_leaves_out_is_drawn_evenly() -> None:
    arch, rng, counts = next(iter(NESTED.enumerate())), random.Random(0), [0, 0]
    for _ in range(1000):
        nested = warm_mask(NESTED, arch, rng, 0.5, 0.0)["net.b[0].choice[0]"]
        if isinstance(nested, int):
            counts[nested] += 1
    assert counts == pytest.approx([250, 250], abs=50)


def test_a_choice_that_decides_sizes_keeps_its_candidate() -> None:
    assert [slot.sized for slot in PACKED.slots] == [True, True, True, False]
    for drawn in list(PACKED.enumerate())[::3]:
        mask = warm_mask(PACKED, drawn, random.Random(0), 1.0, 1.0)
        assert [mask[slot.id] for slot in PACKED.slots[:3]] == list(PACKED.mask(drawn).values())[:3]
        alike = [arch for arch in PACKED.enumerate() if arch["net.pick[0]"] == drawn["net.pick[0]"]]
        expected = torch.stack([run(PACKED, PACKED.mask(arch)) for arch in alike]).mean(0)
        torch.testing.assert_close(run(PACKED, mask), expected)
    assert all(slot.sized for slot in COUNTED.slots)
    for drawn in COUNTED.enumerate():
        assert warm_mask(COUNTED, drawn, random.Random(0), 1.0, 1.0) == COUNTED.mask(drawn)


@pytest.mark.parametrize("seed", range(8))
def test_it_runs_on_any_space(seed: int) -> None:
    space = spacec.loads(random_space(seed))
    rng = random.Random(seed)
    for arch, chances in zip(space.sample(3, seed=seed), [(1.0, 1.0), (0.5, 0.5), (1.0, 0.0)], strict=True):
        net, inputs = space.supernet(seed=0), example_inputs(space)
        mask = warm_mask(space, arch, rng, *chances)
        assert mask.keys() == {slot.id for slot in space.slots}
        assert all(t.isfinite().all() for t in net(inputs, mask=mask).outputs.values())
