"""Counts of networks against brute force over normal forms, published counts, and uniform draws of networks."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spacec
from spacec import Space, SpacecError
from spacec.space.distinct import Distinct, NotCounted
from spacec.testing.generate import random_space

HEAD = "space s\ninput x: [4, 8, 8]\noutput y: [4, 8, 8]\n"


def space(text: str) -> Space:
    return spacec.loads(HEAD + text)


def brute(found: Space) -> int:
    return len({found.canonical(a) for a in found.enumerate()})


CELLS = {
    "two rows of equal edges": "def op = conv(1) | conv(3)\n"
    "net = dag(x) { return sum(from i in 0..2: x >> op) >> bn >> relu >> op }",
    "edges beside identities": "def op = skip | conv(3) >> bn | conv(1) >> bn\n"
    "let cell = dag(x) { s = [x]; for i in 1..2 { s += sum(from s: op) }; return s[2] }\nnet = cell * 2",
    "zeros": "def op = zero | conv(3) | conv(1) >> bn\n"
    "let cell = dag(x) { s = [x]; for i in 1..2 { s += sum(from s: op) }; return s[2] }\n"
    "net = conv(1) >> cell * 2 >> bn",
    "subsets": "def op = conv(1) | conv(3) | max_pool(3)\n"
    "let cell = dag(x) {\n  e = pick 1..2 from v in 0..2: v\n"
    "  a = sum(pick any from [x, x >> conv(1)]: op)\n  return sum(x >> relu, from v in e: x >> op, a)\n}\nnet = cell",
    "what spells the same": "def op = relu >> conv(1) | relu >> conv(1) >> relu >> conv(1)\nnet = op >> op >> op",
    "what may spell the same": "def op = skip | relu >> conv(1) | relu >> conv(1) >> relu >> conv(1)\n"
    "net = dag(x) { y = x >> op; return (y >> op) + (x >> op) }",
    "two lets that are exchanged": "def op = conv(1) | conv(3)\nlet a = op\nlet b = op\n"
    "net = dag(x) { return (x >> a) + (x >> b) }",
    "two lets in a row": "def op = conv(1) | conv(3)\nlet a = op\nlet b = bn >> op\nnet = a >> b",
    "a let that may be nothing": "let a = skip | conv(3)\nlet b = skip | bn\nnet = a >> relu >> b",
    "a let that ends all": "let a = zero | conv(3)\nlet b = relu | tanh\nnet = b >> a >> bn >> conv(1)",
    "a let in a choice": "let a = conv(1) | conv(3)\nnet = (a >> relu | bn) >> a",
    "a let that may be a fixed call": "let a = relu >> conv(3) | avg_pool(3)\n"
    "net = a * 2 | tied(avg_pool(3)) * 2 | conv(1)",
    "pure candidates beside each other": "def op = relu | tanh | conv(1)\n"
    "net = dag(x) { return (x >> op) + (x >> op) }",
    "elastic widths": "net = conv(1, elastic {2, 3, 5}) >> bn >> relu >> conv(1, 4) >> (conv(1) | conv(3))",
    "depths": "net = (conv(1) | conv(3)) * {1..3}",
    "conditions": "let k = {1, 2}\nnet = (conv(1) when k == 1 | conv(3) when k == 2) >> (relu | tanh) * k",
    "constraints": "def op = conv(1) | conv(3)\nnet = dag(x) { return sum(from i in 0..2: x >> op) }\n"
    "where params <= 200",
}


BLOCK = "def block(k, e) = dag(x) { return x + (x >> conv(1, 4 * e) >> bn >> relu >> conv(k, 4) >> bn) }\n"
ERASED = {
    "blocks in a row": BLOCK + "def op = block(1, 1) | block(3, 1) | block(3, 2)\nnet = op >> relu >> op",
    "blocks that are equal": BLOCK + "def op = block(1, 1) | block(3, 1) | block(3, 1)\nnet = op >> relu >> op",
    "blocks and nothing": BLOCK + "def op = skip | block(1, 1) | block(3, 1) | zero\nnet = conv(1) >> op >> relu >> op",
    "blocks side by side": BLOCK + "def op = block(1, 1) | block(3, 1) | block(3, 2)\n"
    "net = dag(x) { return (x >> op) + (x >> op) + (x >> op) }",
    "a block beside a fixed one": BLOCK + "def op = block(1, 1) | block(3, 1) | block(3, 2)\n"
    "net = dag(x) { return (x >> op) + (x >> block(1, 1)) + (x >> conv(3)) }",
    "depths of blocks": BLOCK + "net = (block(1, 1) | block(3, 1) | block(3, 2)) * {1..3}",
    "elastic kernels and widths": "def op = conv(elastic {1, 3}, elastic {2, 3, 4}) >> bn >> relu\n"
    "net = op >> op >> conv(1, 4)",
    "an elastic width inside a candidate": BLOCK + "net = (block(1, elastic {1, 2, 3}) | block(3, 2) | block(3, 3))"
    " >> relu >> (block(1, 1) | block(elastic {1, 3}, 2))",
    "products of widths": "let a = elastic {1, 2, 4}\nlet b = elastic {1, 2}\n"
    "net = conv(1, a) >> bn >> conv(3, a * b) >> bn >> conv(1, b) >> relu >> conv(1, 4)",
    "one decision at two places": "let k = {1, 3}\nlet w = elastic {2, 4}\n"
    "net = dag(x) { return (x >> conv(k, w) >> bn >> conv(1, 4)) + (x >> conv(k, w) >> relu >> conv(3, 4)) }",
    "candidates without weights": BLOCK + "def act = relu | tanh | sigmoid\n"
    "net = dag(x) { return (x >> act >> conv(3)) + (x >> act >> block(1, 1)) + (x >> (block(1, 1) | block(3, 1))) }",
    "owners of blocks": BLOCK + "let a = block(1, 1) | block(3, 1) | block(3, 2)\nlet b = block(1, 1) | block(3, 1)\n"
    "net = dag(x) { return (x >> a) + (x >> b >> a) }",
    "some decisions under a limit": BLOCK + "def op = block(1, 1) | block(3, 1) | block(3, 2)\n"
    "let k = {1, 2, 3}\nnet = op >> conv(k) >> op\nwhere k >= 2",
}
CELLS |= ERASED


@pytest.mark.parametrize("text", CELLS.values(), ids=CELLS.keys())
def test_networks_are_counted_as_brute_force_does(text: str) -> None:
    found = space(text)
    assert found.count(distinct=True) == found.count(distinct="networks") == brute(found)


@pytest.mark.parametrize("text", ERASED.values(), ids=ERASED.keys())
def test_networks_of_blocks_are_counted_without_listing(text: str) -> None:
    found = space(text)
    assert Distinct(found.networks).total == brute(found)


def test_blocks_of_cream_all_differ() -> None:
    found = spacec.load("grammars/cream.space")
    assert Distinct(found.networks).total == found.count() == 6**20
    assert found.distinct_bounds().low == 6**20
    for arch in found.sample(3, seed=1, distinct=True):
        found.validate(arch)


@pytest.mark.parametrize("text", CELLS.values(), ids=CELLS.keys())
def test_networks_are_drawn_uniformly(text: str) -> None:
    found = space(text)
    total = found.count(distinct=True)
    drawn = found.sample(60 * total, seed=5, distinct=True)
    for arch in drawn[:20]:
        found.validate(arch)
    counts = Counter(map(found.canonical, drawn))
    assert len(counts) == total
    squares = sum((n - 60) ** 2 / 60 for n in counts.values())
    assert squares < total + 5 * (2 * total) ** 0.5 + 10


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**6))
def test_random_spaces_are_counted_as_brute_force_does(seed: int) -> None:
    found = spacec.loads(random_space(seed))
    if found.count() > 300:
        return
    expected = brute(found)
    assert found.count(distinct=True) == expected
    try:
        assert Distinct(found.networks).total == expected
    except NotCounted:
        return  # refused, and so listed


def test_nas_bench_201_by_every_notion() -> None:
    found = spacec.load("grammars/nas_bench_201.space", preset="tiny")
    assert found.count(distinct="derivations") == 15_625
    assert found.count(distinct=True) == 5_485
    assert Distinct(found.networks).total == 5_485  # not by listing
    assert found.distinct_bounds().low == found.distinct_bounds().high == 5_485


def test_draws_of_networks_are_repeatable() -> None:
    found = spacec.load("grammars/nas_bench_201.space", preset="tiny")
    assert found.sample(5, seed=3, distinct=True) == found.sample(5, seed=3, distinct=True)


def test_what_is_not_counted_says_so_and_is_bounded() -> None:
    found = spacec.load("grammars/hierarchical.space")
    with pytest.raises(SpacecError) as error:
        found.count(distinct="live")
    assert error.value.diagnostics[0].code == "E0514"
    with pytest.raises(SpacecError):
        found.count("net", distinct=True)
    with pytest.raises(SpacecError):
        found.count(distinct="shapes")  # type: ignore[arg-type]  # what a user may write


def test_labels_are_drawn_uniformly_up_to_symmetry() -> None:
    found = space("def op = conv(1) | conv(3) | conv(5)\nnet = dag(x) { return sum(from i in 0..3: x >> op) }")
    counts = Counter(found.canonical(a) for a in Distinct(found.networks).sample(3000, Random(1)))
    assert len(counts) == 15
    assert max(abs(n - 200) for n in counts.values()) < 70


def test_nas_bench_101_has_423_624_networks() -> None:
    """Ying et al., ICML 2019: by a general method, and so for cells of up to five and six vertices."""
    whole = spacec.load("grammars/nas_bench_101.space", preset="tiny")
    assert Distinct(whole.networks).total == 423_624
