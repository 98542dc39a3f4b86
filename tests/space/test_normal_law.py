"""The law of the normal form: one certificate, one function, once weights are carried over along the bijection."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import spacec
from spacec import Space
from spacec.space.architecture import Architecture
from spacec.testing.generate import random_space
from spacec.testing.inputs import example_inputs
from tests.space.bijection import Channels, bijection, transfer


def randomise(network: nn.Module, seed: int) -> None:
    """Weights and buffers that hide nothing: no norm at its start, no drop."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.dtype == torch.float64:
                value.copy_(torch.rand(value.shape, generator=generator, dtype=torch.float64) + 0.1)
                if not name.endswith("running_var"):
                    value.sub_(0.6)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def assert_same_function(space: Space, a: Architecture, b: Architecture) -> None:
    found = bijection(space, a, b)
    if any("=*" in pair.label for pair in found.pairs):
        return  # sizes that are not compared may differ
    channels = Channels(found, {name: int(type_.channels) for name, type_ in space.inputs.items()})
    channels.run()
    first, second = space.network(a, seed=1).double(), space.network(b, seed=2).double()
    randomise(first, 3)
    randomise(second, 4)
    transfer(found, channels, first, second)
    drawn = example_inputs(space, 4, 5).values()
    data = [x.double() if x.is_floating_point() else x for x in drawn]
    for mode in (True, False):
        first.train(mode)
        second.train(mode)
        one, other = first(*data), second(*data)
        tensors = [(one, other)] if isinstance(one, torch.Tensor) else [(one[k], other[k]) for k in space.outputs]
        for x, y in tensors:  # losses apart: code that feeds only zeros has its own
            torch.testing.assert_close(x, y, rtol=1e-8, atol=1e-10)


def pairs(space: Space, archs: list[Architecture], seed: int) -> Iterator[tuple[Architecture, Architecture]]:
    """A pair of architectures of each network that has two."""
    groups: dict[str, list[Architecture]] = {}
    for arch in archs:
        groups.setdefault(space.canonical(arch), []).append(arch)
    rng = random.Random(seed)
    for group in groups.values():
        distinct = list(dict.fromkeys(group))
        if len(distinct) > 1:
            a, b = rng.sample(distinct, 2)
            yield a, b


def drawn(space: Space, n: int) -> list[Architecture]:
    few = list(itertools.islice(space.enumerate(), n + 1))
    return few if len(few) <= n else space.sample(n, seed=1)


@pytest.mark.parametrize("seed", range(24))
def test_random_spaces(seed: int) -> None:
    space = spacec.loads(random_space(seed))
    if "noise" in space.text:
        return  # what is drawn anew at each call is equal in distribution alone
    for a, b in itertools.islice(pairs(space, drawn(space, 100), seed), 3):
        assert_same_function(space, a, b)


def test_nas_bench_201() -> None:
    space = spacec.load("grammars/nas_bench_201.space", preset="tiny")
    found = list(pairs(space, space.sample(800, seed=2), 2))
    for a, b in found[:10]:
        assert_same_function(space, a, b)


SHIPPED = ("darts", "nas_bench_101", "enas_macro", "transnas_micro", "hierarchical", "amber", "two_modality", "ddnas")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped(name: str) -> None:
    space = spacec.load(f"grammars/{name}.space", preset="tiny")
    archs = space.sample(20, seed=3)
    close = [b for a in archs for b in itertools.islice(space.neighbours(a), 20)]
    for a, b in itertools.islice(pairs(space, archs + close, 4), 4):
        assert_same_function(space, a, b)


CELLS = {
    "concat": "s += sum(pick 1..2 from s[..1]: conv(3) | relu)",
    "picked": "s += sum(pick any from s[..1]: conv(3), s[0] >> (bn | relu))",
}


@pytest.mark.parametrize("name", CELLS)
def test_concat_in_any_order(name: str) -> None:
    """Cells that concatenate: what reads them permutes its weights with the blocks."""
    space = spacec.loads(
        f"""space cells
input x: [2, 6, 6]
output y: [3]
let cell = dag(a, b) {{
  s = [a >> relu >> conv(1, 2), b >> relu >> conv(1, 2) >> bn]
  for i in 2..3 {{ {CELLS[name]} }}
  return concat(s[2..]) + (a >> conv(1, 4))
}}
net = dag(x) {{
  a = x >> conv(1, 4)
  b = (a, a) >> cell
  c = (b, a) >> cell
  d = concat(c >> bn, b) >> bn
  return d >> linear(3) >> relu >> global_pool >> linear(3)
}}
"""
    )
    assert len(space.networks.normaliser.unordered) == 2
    moved = 0
    for a, b in itertools.islice(pairs(space, space.sample(150, seed=1), 1), 6):
        assert_same_function(space, a, b)
        channels = Channels(bijection(space, a, b), {"x": 2})
        channels.run()
        moved += any(map(channels.moves, channels.concats.values()))
    assert moved > 1
