"""Counts and costs of lattices against recurrences and enumeration."""

from __future__ import annotations

import time

import pytest

import spacec
from tests.lower.test_lattice import LATTICE, SKIPPING, TWO_INPUTS


def paths(layers: int, scales: int) -> int:
    """Walks of ``layers - 1`` steps from scale 0, each to a neighbouring scale or on."""
    at = [1] + [0] * (scales - 1)
    for _ in range(layers - 1):
        at = [sum(at[s] for s in (r - 1, r, r + 1) if 0 <= s < scales) for r in range(scales)]
    return sum(at)


@pytest.mark.parametrize("layers", [1, 2, 3, 6, 12, 30])
def test_paths(layers: int) -> None:
    assert spacec.loads(LATTICE, L=layers).count() == paths(layers, 3)


def test_skips_are_compositions() -> None:
    """Stage i goes on to i + 1 or i + 2 or stops: f(i) = 1 + f(i + 1) + f(i + 2); the operation is one decision."""
    f = [0] * 7
    for i in range(4, -1, -1):
        f[i] = 1 + (f[i + 1] if i < 4 else 0) + (f[i + 2] if i < 3 else 0)
    assert spacec.loads(SKIPPING).count() == 3 * f[0]


def test_ids_are_the_member_s_and_active_where_it_is_reached() -> None:
    space = spacec.loads(LATTICE, L=4)
    active = {d.id for d in space.decisions}
    assert {f"walk[{m}].choice[0]" for m in ("1,0", "2,0", "2,1", "3,0", "3,1", "3,2")} == active
    for arch in space.enumerate():
        at = 0
        for layer in (1, 2, 3):
            (name,) = (d for d in arch if d.startswith(f"walk[{layer},"))
            assert name == f"walk[{layer},{at}].choice[0]"
            label = space.table.by_id[name].labels[arch[name]]
            at += {"up": -1, "same": 0, "down": 1}[label]
        assert space.architecture(arch.text()) == arch


def test_weights_of_a_member_count_once() -> None:
    space = spacec.loads(LATTICE, L=3)
    nodes, heads, moves = 1 + 2 + 3, 3, 1 + 1 + 2  # of 20, 10 and 20 weights; a move for each up and down
    assert space.supernet_params() == nodes * 20 + heads * 10 + moves * 20
    for arch in space.enumerate():
        moved = sum(space.table.by_id[d].labels[k] != "same" for d, k in arch.values.items())
        assert space.params(arch) == 3 * 20 + 10 + moved * 20
        assert space.macs(arch) == 3 * 16 + 8 + moved * 16


@pytest.mark.parametrize("text", [LATTICE, SKIPPING])
@pytest.mark.parametrize("name", ["params", "macs"])
def test_expected_costs_are_means_over_walks(text: str, name: str) -> None:
    """Decisions drawn one by one from their masks: an architecture's chance is the product over what it decides."""
    space = spacec.loads(text)
    masks = {s.id: [(k + 1) / (s.size * (s.size + 1) / 2) for k in range(s.size)] for s in space.slots}
    mean = total = 0.0
    for arch in space.enumerate():
        chance = 1.0
        for decision, value in arch.values.items():
            assert isinstance(value, int)
            chance *= masks[decision][value]
        total += chance
        mean += chance * space.cost(arch, name)
    assert total == pytest.approx(1)
    assert space.expected_cost(masks, name) == pytest.approx(mean)


def test_expected_costs_of_deep_lattices_are_quick() -> None:
    space = spacec.loads(LATTICE, L=40)
    began = time.process_time()
    space.expected_cost({}, "macs")
    assert time.process_time() - began < 5


def test_constraints_on_costs_count_exactly() -> None:
    space = spacec.loads(LATTICE + "where params <= 130\n", L=5)
    free = spacec.loads(LATTICE, L=5)
    assert space.count() == sum(free.params(a) <= 130 for a in free.enumerate())


def test_forms_of_another_size_share_architectures() -> None:
    small, large = spacec.loads(TWO_INPUTS), spacec.loads(TWO_INPUTS, C=8)
    assert small.digest == large.digest
    arch = small.sample(seed=1)[0]
    assert large.params(large.architecture(arch.text())) > small.params(arch)
