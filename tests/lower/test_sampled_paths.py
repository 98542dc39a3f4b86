"""Sampled paths: plans are right, cost no memory, and are found without looking at what does not run."""

from __future__ import annotations

import gc
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spacec.ir.flat import FlatChoose, FlatInput, FlatOp, sources_of
from spacec.lower.blueprint import PLANS_KEPT
from spacec.lower.masks import architecture_mask
from spacec.lower.pieces import OpStep, pieces_of
from spacec.lower.plan import Plan, Planner
from tests.lower.helpers import inputs_of, random_architecture, supernet_of
from tests.lower.spaces import TOYS, Toy, cell_space

SWITCHED = 1000
"""Architectures in a row."""


def planned(toy: Toy, planner: Planner, seed: int) -> Plan:
    mask = architecture_mask(toy.table, random_architecture(toy, seed))

    def running(node: int) -> tuple[int, ...]:
        choice = toy.flat.nodes[node]
        assert isinstance(choice, FlatChoose)
        k = mask[choice.slot]
        return () if k is None else (k,)

    return planner.plan(running)


@pytest.mark.parametrize("name", [n for n, make in TOYS.items() if not supernet_of(make()).blueprint.switches.nodes])
@given(seed=st.integers(0, 10**6))
def test_a_plan_reads_what_it_made_and_keeps_nothing_else(name: str, seed: int) -> None:
    toy = TOYS[name]()
    plan = planned(toy, Planner(toy.flat), seed)
    alive = {i for i, node in enumerate(toy.flat.nodes) if isinstance(node, FlatInput)}
    read = set(toy.flat.outputs.values())
    for step, released in zip(plan.steps, plan.releases, strict=True):
        sources = set(step.inputs) if isinstance(step, OpStep) else {node for _, node in step.options}
        assert sources <= alive
        read |= sources
        alive.add(step.node)
        assert set(released) <= alive
        alive -= set(released)
    assert alive - {i for i, n in enumerate(toy.flat.nodes) if isinstance(n, FlatInput)} == set(
        toy.flat.outputs.values()
    )
    assert plan.nodes <= read, "a step whose value nothing reads"
    assert [s.node for s in plan.steps] == sorted(plan.nodes), "the graph's own order, so random draws keep theirs"


@pytest.mark.parametrize("name", TOYS)
def test_pieces_are_a_partition(name: str) -> None:
    flat = TOYS[name]().flat
    pieces = pieces_of(flat)
    members = [step.node for piece in pieces.values() for step in piece.steps]
    assert sorted(members) == [i for i, node in enumerate(flat.nodes) if isinstance(node, FlatOp)]
    for root, piece in pieces.items():
        assert piece.steps[-1].node == root
        inside = {step.node for step in piece.steps}
        assert {s for i in inside for s in sources_of(flat.nodes[i])} - inside == set(piece.sources)


def test_a_thousand_architectures_leave_nothing_behind() -> None:
    toy = cell_space()
    net = supernet_of(toy).train()
    (x,) = inputs_of(toy)
    source = random.Random(0)
    sizes = {slot.id: slot.size for slot in net.blueprint.slots.values()}
    counts = []
    with torch.no_grad():
        for k in range(SWITCHED):
            if k in (SWITCHED // 2, SWITCHED - 1):
                gc.collect()
                counts.append(len(gc.get_objects()))
            mask = {slot: source.randrange(1, size) for slot, size in sizes.items()}
            net(x, mask=mask)
    assert len(net.blueprint.plans) <= PLANS_KEPT
    assert abs(counts[1] - counts[0]) < 0.01 * counts[0]
