"""FairNAS: each candidate once a step, whatever the space; and a step is that of the sub-networks built one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from spacec_oneshot.deck import Decks, cards, most_cards
from spacec_oneshot.fairnas import FairNas
from torch import Tensor

import spacec
from spacec.search.config import SearchConfig
from spacec.search.runner import search
from spacec.search.strategy import Path, StepReport
from spacec.search.task import Output
from spacec.space.architecture import Architecture
from spacec.testing import conformance
from spacec.testing.generate import random_space
from spacec.testing.synthetic import Synthetic

SPACE = spacec.loads("""
space layers(c = 4, classes = 3)
input  x: [c, 6, 6]
output logits: [classes]
def layer = a: conv(3) >> bn >> relu | b: conv(1) >> bn >> tanh | e: sep_conv(3) >> bn
net = layer * 3 >> global_pool >> linear(classes)
""")
MIXED = spacec.loads("""
space mixed(c = 4)
input  x: [c]
output y: [c]
def two = s: identity | t: tanh
def five = a: linear | b: linear >> tanh | c: linear >> relu | d: relu | e: tanh
net = two >> five >> (inner: two >> two | outer: five) >> two
""")
PICKED = spacec.loads("""
space picked(c = 4)
input  x: [c]
output y: [c]
def op = a: linear | b: tanh | c: relu
net = dag(x) {
  s = [x, x >> relu, x >> tanh]
  s += sum(pick 2 from s: op)
  s += sum(pick 1..2 from s: op)
  return sum(pick 2 from s: op)
}
""")
CONFIG = SearchConfig(epochs=1, steps=4, batch_size=8, eval_every=0)
FEW = {"search_options": "population=2,samples=2"}


class Watched(FairNas):
    """Keeps the architectures of every step, and the weights before the last one with the gradients in it."""

    def setup(self, ctx: Any) -> None:
        super().setup(ctx)
        self.steps: list[list[Architecture]] = []
        self.weights: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor | None] = {}

    def path(self, arch: Architecture, *how: Any, **more: Any) -> Path:
        self.steps[-1].append(arch)
        return super().path(arch, *how, **more)

    def masks(self, step: int) -> Sequence[Path]:
        self.steps.append([])
        self.weights = {n: t.detach().clone() for n, t in self.ctx.supernet.state_dict().items()}
        return super().masks(step)

    def after_backward(self, report: StepReport) -> Mapping[str, float] | None:
        named = self.ctx.supernet.named_parameters()
        self.gradients = {n: None if p.grad is None else p.grad.clone() for n, p in named}
        return None


def test_a_step_sums_the_gradients_of_sub_networks_built_one_by_one() -> None:
    watched = Watched(FEW)
    context = search(SPACE, watched, Synthetic(), CONFIG).context
    assert context.last is not None
    assert len(watched.steps[-1]) == 3
    total: dict[str, Tensor] = {}
    counts: Counter[str] = Counter()
    for arch, loss in zip(watched.steps[-1], context.last.losses, strict=True):
        network = SPACE.network(arch)
        network.load_state_dict({n: watched.weights[n] for n in network.state_dict()})
        out = network(*context.wiring.batch_arguments(context.last.batch))
        found = context.task.loss(Output(out, {"logits": out}), context.last.batch)
        assert float(found.detach()) == loss
        torch.autograd.backward(found)
        for name, p in network.named_parameters():
            assert p.grad is not None
            total[name] = p.grad if name not in total else total[name] + p.grad
            counts[name] += 1
    assert set(total) == set(watched.gradients), "every weight of the supernet was trained in this step"
    for name, gradient in total.items():
        assert torch.equal(gradient, watched.gradients[name]), name  # type: ignore[arg-type]  # its set was compared
    assert Counter(counts.values()) == {1: len(total) - 2, 3: 2}, "each candidate by one path, the classifier by all"


def test_each_candidate_runs_once_a_step() -> None:
    watched = Watched(FEW)
    search(SPACE, watched, Synthetic(), CONFIG)
    assert len(watched.steps) == 4
    for archs in watched.steps:
        for decision in SPACE.decisions:
            assert sorted(arch[decision.id] for arch in archs) == [0, 1, 2]
    orders = {tuple(arch.text() for arch in archs) for archs in watched.steps}
    assert len(orders) > 1


def spread(space: Any, seed: int, paths: int) -> int:
    """The most by which a candidate was ahead of another of its decision, after any of so many paths."""
    decks, rng = Decks(space.table), Random(seed)
    counts = {d.id: [0] * cards(d) for d in space.decisions}
    most = 0
    for _ in range(paths):
        arch = decks.deal(rng)
        assert arch is not None
        space.validate(arch)
        for name, value in arch.choices:
            for card in value if isinstance(value, tuple) else (value,):
                counts[name][card] += 1
            most = max(most, max(counts[name]) - min(counts[name]))
    return most


def test_with_fewer_candidates_none_is_ever_two_ahead() -> None:
    """Conditional decisions and picks too: at any path, over those in which the decision was active."""
    assert spread(MIXED, 3, 400) == 1
    assert spread(PICKED, 3, 400) == 1


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_so_it_is_on_any_space(seed: int) -> None:
    """Constraints apart, under which a deck may have to wait: spaces with some are passed over."""
    space = spacec.loads(random_space(seed))
    assume(not space.table.constraints and not space.table.needs)
    assert spread(space, seed, 60) <= 1


def test_paths_of_a_step_are_as_many_as_the_most_candidates() -> None:
    assert most_cards(SPACE.table) == 3
    assert most_cards(MIXED.table) == 5
    assert most_cards(PICKED.table) == 3


@pytest.mark.parametrize(("where", "left"), [("params <= 250", 7), ("macs >= 9000", 17)])
def test_constraints_are_kept(where: str, left: int) -> None:
    """Also where they leave no way to be fair; whatever can be dealt is."""
    space = SPACE.where(where)
    assert space.count() == left
    watched = Watched(FEW)
    search(space, watched, Synthetic(), SearchConfig(epochs=1, steps=1, batch_size=2, eval_every=0))
    for step in range(30):
        watched.masks(step)
    dealt = [arch for archs in watched.steps for arch in archs]
    assert len(dealt) == 93
    for arch in dealt:
        space.validate(arch)
    assert len({arch.text() for arch in dealt}) > left / 2


def test_decks_go_on_from_their_state() -> None:
    one, rng = Decks(MIXED.table), Random(0)
    for _ in range(7):
        one.deal(rng)
    other = Decks(MIXED.table)
    other.load(one.state())
    rest = rng.getstate()
    expected = [one.deal(rng) for _ in range(9)]
    rng.setstate(rest)
    assert [other.deal(rng) for _ in range(9)] == expected


def test_cards_of_a_drawn_architecture_are_out_of_the_decks() -> None:
    decks, rng = Decks(SPACE.table), Random(1)
    first = decks.deal(rng)
    assert first is not None
    drawn = next(
        a
        for a in SPACE.enumerate()
        if all(x != y for x, y in zip(a.values.values(), first.values.values(), strict=True))
    )
    decks.take_out(drawn)
    assert all(len(left) == 1 for left in decks.left.values())
    last = decks.deal(rng)
    assert last is not None
    assert all(len({first[d.id], drawn[d.id], last[d.id]}) == 3 for d in SPACE.decisions)


def test_dead_ends_leave_the_decks_as_they_were() -> None:
    space = spacec.loads("""
space differ(c = 4)
input  x: [c]
output y: [c]
def op = a: linear | b: tanh
net = op >> op
where params == 20
""")
    decks, rng = Decks(space.table), Random(0)
    first = decks.deal(rng)
    assert first is not None
    for cards_left in decks.left.values():
        cards_left[:] = [0]
    assert decks.deal(rng) is None
    assert all(left == [0] for left in decks.left.values())


def test_it_resumes_where_elastic_weights_have_several_readers() -> None:
    """Gradients of tied elastic layers, over several paths of a step, add up in an order of their own."""
    space = spacec.load(File(__file__).parents[3] / "grammars/transformer_eca.space", preset="tiny")
    conformance.require(space, FairNas)
