"""Skips and weights of the derived architecture, against counting them by hand."""

from __future__ import annotations

from typing import Any

import torch
from spacec_probes.derivation import Derivation, skips_by_owner, weights_by_owner

import spacec
from spacec.search.config import SearchConfig
from spacec.search.context import SearchContext
from spacec.search.course import MAIN
from spacec.search.gradient import GradientStrategy
from spacec.search.record import NullRecorder
from spacec.search.strategy import Strategy
from spacec.search.trainer import TrainConfig
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space owned(C = 4, classes = 3)
input  x: [2, 6, 6]
output logits: [classes]
def edge = skip | conv3: conv(3) >> bn | keep: conv(1) >> identity
let normal = dag(x) { s = [x];  for i in 1..2 { s += sum(from s: edge) -> [C, *x.hw] };  return s[2] }
let reduce = dag(x) { y = x >> edge -> [C, 3, 3];  return sum(y >> edge, x >> edge) -> [C, 3, 3] }
net = conv(3, C) >> normal >> reduce >> normal >> (a: identity | b: relu) >> global_pool >> linear(classes)
""")


class Gradient(GradientStrategy):
    name = "gradient"


class Untold(Strategy):
    name = "untold"


def test_skips_are_told_by_what_they_do() -> None:
    for arch in SPACE.sample(40, seed=1):
        taken = {slot.id: slot.labels[k] for slot in SPACE.slots if (k := SPACE.mask(arch)[slot.id]) is not None}
        first, (second, third) = taken["net.choice[0]"], [taken[f"normal.edge[{k}]"] for k in (1, 2)]
        expected = {
            "normal": [taken["normal.edge[0]"], second, third].count("skip"),
            "reduce": [taken[f"reduce.edge[{k}]"] for k in range(3)][1:2].count("skip"),  # the others have a stride
            "net": [first].count("a"),
        }
        assert skips_by_owner(SPACE, arch) == expected


def test_weights_of_the_owners_add_up() -> None:
    for arch in SPACE.sample(10, seed=2):
        found = weights_by_owner(SPACE, arch)
        assert set(found) == {"normal", "reduce", "net"}
        assert sum(found.values()) == SPACE.cost(arch, "params")
        assert found["net"] == 2 * 4 * 9 + (4 * 3 + 3)


def test_a_reading_is_of_the_architecture_derived_now() -> None:
    task = Synthetic().adapt(SPACE.inputs, SPACE.outputs)
    ctx = SearchContext(SPACE, task, SearchConfig(), TrainConfig(), torch.device("cpu"), NullRecorder())
    ctx.add_supernet(MAIN)
    strategy = Gradient()
    strategy.setup(ctx)
    probe = Derivation()
    assert not probe.unsupported(SPACE, strategy)
    probe.setup(ctx, strategy)
    reading: Any = probe.on_epoch_end(0)
    arch = strategy.derive()
    assert reading["params"] == SPACE.cost(arch, "params")
    assert reading["macs"] == SPACE.cost(arch, "macs")
    assert reading["skips"] == sum(skips_by_owner(SPACE, arch).values())
    assert reading["params_by_owner"] == {(o,): n for o, n in weights_by_owner(SPACE, arch).items()}
    assert set(reading["skips_by_owner"]) == {("normal",), ("reduce",), ("net",)}


def test_a_strategy_that_derives_nothing_before_its_end_is_refused() -> None:
    assert "derives nothing before it ends" in Derivation().unsupported(SPACE, Untold())
