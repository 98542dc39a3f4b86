"""Every installed strategy on every kind of space, each kind once: the part of the matrix that is always run.

``make matrix`` runs all pairs with more steps (benchmarks/matrix.py).
"""

from __future__ import annotations

from functools import cache

import pytest

import spacec
from benchmarks.matrix import strategies
from spacec.hooks.manager import installed
from spacec.ir.flat import FlatMeet
from spacec.lower.blueprint import make_blueprint
from spacec.testing import conformance
from tests.grammars.record import GRAMMARS, NAMES

LATTICE = """
space lattice(L = 4)
input  x: [4]
output y: [2]
tied walk[l, r] = linear(4) >> tanh >> (
    up:   linear(4) >> walk[l+1, r-1] when l < L and r > 0
  | same: walk[l+1, r]                when l < L
  | down: linear(4) >> tanh >> walk[l+1, r+1] when l < L and r < 2
  | head: linear(2)                   when l == L )
net = walk[1, 0]
"""

EDGES = """
space edges(C = 4)
input  x: [C]
output y: [3]
default pick(edges = 1)
def edge = lin: linear(C) >> tanh | skip
let cell = dag(a) {
  s = [a, a >> linear(C)]
  for i in 1..3 { s += sum(pick 1..2 from s: edge) }
  return s[4]
}
def block = lin: linear(C) >> tanh | skip
net = cell >> block * {1..2} >> linear(3)
"""

SIZED = """
space sized
input  x: [4]
output y: [3]
def op = lin: linear(4) >> tanh | skip
let cell = dag(a) {
  taken = pick any from u in 0..2: u
  w = 2 + 2*(0 in taken)
  return sum(a >> linear(w) >> tanh >> linear(4), from u in taken: a >> op) >> linear(3)
}
net = cell
"""

PLAIN = """
space plain
input  x: [4]
output y: [3]
net = linear(4) >> tanh >> linear(3)
"""
"""Nothing to choose."""

TEXTS = {"lattice": LATTICE, "edges": EDGES, "sized": SIZED, "plain": PLAIN}
SHIPPED = ("ddnas", "d2gnas", "nats_bench_size", "tabular")
"""The cheapest of their kinds."""
CONFIG = {"epochs": 2, "steps": 1}
MORE = {"sized": {"steps": 3}}
"""Where a drawn path may be all *absent*, so that one step may have nothing to learn from."""


@cache
def space_of(name: str) -> spacec.Space:
    return spacec.loads(TEXTS[name]) if name in TEXTS else spacec.load(GRAMMARS / f"{name}.space", preset="tiny")


def kinds(space: spacec.Space) -> set[str]:
    """What a strategy may stumble over."""
    found = {f"{t.kind} input of rank {len(t.dims)}" for t in space.inputs.values() if t.kind != "dense"}
    found |= {"lattice" for node in space.flat.nodes if isinstance(node, FlatMeet)}
    found |= {f"{d.kind} decision" for d in space.decisions} | {"elastic" for d in space.decisions if d.elastic}
    for slot in space.slots:
        found |= {kind for kind in ("absent", "sized", "edges") if getattr(slot, kind)}
    blueprint = make_blueprint(space.flat, space.table)
    return found | ({"switch"} if blueprint.switches.nodes else set())


@pytest.mark.parametrize("strategy", strategies())
@pytest.mark.parametrize("name", [*TEXTS, *SHIPPED])
def test_pair(strategy: str, name: str) -> None:
    config = {**CONFIG, **MORE.get(name, {})}
    conformance.require(space_of(name), installed().find("spacec_strategies", strategy).load(), config=config)


def test_every_kind_of_shipped_space_is_covered() -> None:
    covered = set().union(*(kinds(space_of(name)) for name in (*TEXTS, *SHIPPED)))
    for name in NAMES:
        assert kinds(space_of(name)) <= covered, name
    assert {"edges", "lattice", "sized"} <= covered
