"""Counting by region is counting by the table's diagram, on every space and wherever conditions cross a call."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spacec
from spacec.space import algebra
from spacec.space.regions import count_by_regions
from spacec.testing.generate import random_ports, random_space

GRAMMARS = sorted(Path("grammars").glob("*.space"))
HEAD = "space few\ninput x: [4, 6, 6]\noutput y: [4, 6, 6]\n"


def agree(space: spacec.Space) -> bool:
    """Whether the regions gave a number; each that they give must be the diagram's."""
    found = count_by_regions(space.graph)
    if found is None:
        return False
    assert found.total == algebra.count(space.table, where=False)
    for owner, ways in found.owners.items():
        assert ways == algebra.count(space.table, owner, where=False), owner
    return True


@given(st.integers(0, 10_000), st.sampled_from((5, 8, 12)))
@settings(max_examples=120, deadline=None)
def test_random_spaces(seed: int, size: int) -> None:
    agree(spacec.loads(random_space(seed, size)))
    agree(spacec.loads(random_ports(seed, size)))


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda p: p.stem)
def test_shipped_spaces(grammar: Path) -> None:
    assert agree(spacec.load(grammar))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        # a definition called often is counted once; its calls multiply, choices add
        ("def a = relu | bn\ndef b = a >> a | a >> a >> a\nnet = b >> b", (4 + 8) ** 2),
        # a let used under two conditions of two definitions decides once
        ("let l = relu | bn | identity\ndef a = l | bn\ndef b = l >> a | relu\nnet = a >> b", 3 + 1 + 2 * 2 * 3),
        # a let inside a cell lives for one activation of it, even where its uses are conditional
        ("def c = dag(x) { let l = relu | bn\n  return x >> (l | bn) >> (l >> l | relu) }\nnet = c >> c", 7 * 7),
        # whether anything of a cell is there follows what its caller picked
        (
            "def a = dag(x) { return sum(pick any from [x, x >> bn]: relu | bn) }\n"
            "net = dag(x) { return concat(x, x >> a >> (relu | bn)) >> conv(1, 4) }",
            1 + 2 * 2 * 2 + 4 * 2,
        ),
        # a value that is decided outside guards what is inside
        ("let k = {1, 2, 3}\ndef a = (relu | bn) when k < 3 | identity when k == 3\nnet = a >> a", 2 * 4 + 1),
        # a network that is handed on is used inside the definition that takes it
        (
            "def twice(f) = (f >> f) | f\ndef c = dag(x) { let l = relu | bn\n"
            "  return x >> twice(l) >> twice(l) }\nnet = c >> c",
            64,
        ),
        # repeats that only a depth reaches
        ("def a = (relu | bn) * {1..3}\nnet = a * {1..2}", 14 + 14 * 14),
    ],
)
def test_what_crosses_a_call(text: str, count: int) -> None:
    space = spacec.loads(HEAD + text + "\n")
    assert agree(space)
    assert space.count() == count == sum(1 for _ in space.enumerate())


def test_a_missing_output_is_no_architecture() -> None:
    space = spacec.loads(HEAD + "net = dag(x) { return sum(pick any from [x, x >> bn]: relu | bn) }\n")
    assert agree(space)
    assert space.count() == 8


def test_a_large_space_is_counted_without_its_table() -> None:
    space = spacec.load("grammars/hierarchical.space")
    number = space.count()
    assert "table" not in vars(space)
    assert len(str(number)) == 447
    assert space.count("net") == number


def test_more_work_than_the_limit_gives_no_number() -> None:
    space = spacec.load("grammars/darts.space")
    assert count_by_regions(space.graph, limit=10) is None
