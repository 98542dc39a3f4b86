"""Costs under masks where sizes follow what is picked: the expectation is the mean over what every slot takes."""

from __future__ import annotations

import itertools
import random

import pytest

import spacec

HEAD = "space s(C = 4)\ninput  x: [4, 6, 6]\noutput y: [4, 6, 6]\n"
TEXTS = {
    "slots": "net = dag(x) {\n  s = [x, x >> relu, x]\n"
    "  return concat(x, pick any from s: identity | conv(1)) >> bn >> conv(3, 4)\n}\n",
    "counted": "net = dag(x) {\n  e = pick any from v in 0..2: v\n  f = pick any from v in 0..1: v\n"
    "  y = x + sum(from v in f: x >> conv(1))\n"
    "  return y >> conv(1, 2*max(1, len(e))) >> bn >> conv(1, 1 + len(e) * len(f)) >> conv(1, 4)\n}\n",
    "packed": "net = dag(x) {\n  e = pick 1..3 from v in 0..2: v\n"
    "  return concat(from v in e: x >> conv(3, (3 + len(e[v..])) // max(1, len(e)))) >> conv(1, 4)\n}\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("cost", ["params", "macs"])
def test_expectation_is_the_mean(name: str, cost: str) -> None:
    space = spacec.loads(HEAD + TEXTS[name])
    rng = random.Random(name)
    weights: dict[str, list[float]] = {}
    for slot in space.slots:
        drawn = [rng.random() for _ in range(slot.size)]
        weights[slot.id] = [d / sum(drawn) for d in drawn]
    total = 0.0
    for taken in itertools.product(*(range(slot.size) for slot in space.slots)):
        chance = 1.0
        for slot, k in zip(space.slots, taken, strict=True):
            chance *= weights[slot.id][k]
        mask = {slot.id: k for slot, k in zip(space.slots, taken, strict=True)}
        total += chance * space.expected_cost(mask, cost)
    assert space.expected_cost(weights, cost) == pytest.approx(total)


@pytest.mark.parametrize("name", TEXTS)
def test_an_index_costs_what_its_architecture_costs(name: str) -> None:
    space = spacec.loads(HEAD + TEXTS[name])
    for arch in space.enumerate():
        assert space.expected_cost(space.mask(arch), "params") == space.params(arch)
