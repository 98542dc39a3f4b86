"""Sizes that follow what is picked, in supernets: slots of a concat, packed channels, and what masks may do."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import spacec
from spacec.lower.masks import OneHot, Paths, PerInstance
from spacec.testing.equality import check_selected
from tests.lower.helpers import count_parameters, disturb

pytestmark = pytest.mark.usefixtures("double")

HEAD = "space s(C = 4)\ninput  x: [4, 6, 6]\noutput y: [4, 6, 6]\n"
SLOTS = HEAD + ("net = dag(x) { s = [x >> relu, x];  return concat(x, pick any from s: identity) >> conv(1, 4) }\n")
NORMED = HEAD + (
    "net = dag(x) {\n  s = [x, x >> relu]\n"
    "  return concat(x, pick any from s: identity) >> bn >> relu >> conv(1, 4)\n}\n"
)
PACKED = HEAD + (
    "net = dag(x) {\n  e = pick 1..3 from v in 0..2: v\n"
    "  return concat(from v in e: x >> conv(3, (3 + len(e[v..])) // len(e)) >> bn) >> conv(1, 4)\n}\n"
)
SHARED = HEAD + (
    "let cell = dag(x) {\n  e = pick any from v in 0..1: v\n"
    "  return x + (x >> conv(1, 2 + 2*len(e)) >> bn >> relu >> conv(1, 4))\n}\nnet = cell * 2\n"
)

CHOSEN = HEAD + "net = dag(x) { return concat(x, x >> (relu | dag(z) { return sum([]) } | conv(1))) >> conv(1, 4) }\n"
CALLED = HEAD + (
    "def part = dag(x) { return sum(pick any from [x]: conv(1) | relu) }\n"
    "net = dag(x) { return concat(x, x >> part, x >> part >> bn) >> conv(3, 4) }\n"
)
GROWING = HEAD + "let cell = dag(x) { return concat(x, pick any from [x]: relu) >> bn }\nnet = cell * 2 >> conv(1, 4)\n"
NESTED = HEAD + (
    "net = dag(x) {\n  s = [x >> conv(1, 2), x >> conv(1, 3)]\n  inner = concat(x, pick any from s: relu)\n"
    "  return concat(inner, pick any from [inner, x]: identity) >> bn >> conv(1, 4)\n}\n"
)
DEPTHWISE = HEAD + (
    "net = dag(x) { return concat(x, pick any from [x]: relu) >> depthwise(3) >> bn >> layer_norm >> conv(1, 4) }\n"
)
MIXED = HEAD + (
    "let w = elastic {2, 4}\nnet = dag(x) {\n  e = pick any from v in 0..1: v\n"
    "  y = concat(x >> conv(1, w), from v in e: x >> conv(1, w))\n"
    "  return y >> bn >> conv(1, w * (1 + len(e))) >> conv(1, 4)\n}\n"
)
DROPPED = HEAD + (
    "default pick(absent = 0)\nnet = dag(x) { return concat(x, pick any from [x, x]: conv(1) | relu) >> conv(1, 4) }\n"
)
MODELS = {
    "slots": SLOTS,
    "normed": NORMED,
    "packed": PACKED,
    "shared": SHARED,
    "chosen": CHOSEN,
    "called": CALLED,
    "growing": GROWING,
    "nested": NESTED,
    "depthwise": DEPTHWISE,
    "mixed": MIXED,
    "dropped": DROPPED,
}


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_law_4_on_every_architecture(name: str, training: bool) -> None:
    space = spacec.loads(MODELS[name])
    supernet = space.supernet(seed=1)
    assert count_parameters(supernet) == space.supernet_params()
    for arch in space.enumerate():
        check_selected(space, supernet, arch, {"x": image()}, training=training)
        assert count_parameters(space.network(arch)) == space.params(arch)


def test_weights_belong_to_the_slots() -> None:
    """The convolution after a concat reads the columns of the terms that are there, whichever others are."""
    space = spacec.loads(SLOTS)
    supernet = space.supernet(seed=1)
    weight = supernet.state_dict()["conv_0.weight"]
    assert weight.shape == (4, 12, 1, 1)
    second = next(a for a in space.enumerate() if a.values["net.pick[0]"] == (1,))
    network = space.network(second, weights=supernet)
    assert torch.equal(network.state_dict()["conv_0.weight"], weight[:, [0, 1, 2, 3, 8, 9, 10, 11]])


def test_soft_masks_of_slots_weigh_each_term_once() -> None:
    space = spacec.loads(SLOTS)
    assert not any(slot.sized for slot in space.slots)
    supernet, x = space.supernet(seed=1), image()
    p, q = torch.tensor([0.3, 0.7], requires_grad=True), torch.tensor([0.6, 0.4])
    mask = {"net.pick[0].gate[0]": p, "net.pick[0].gate[1]": q}
    y = supernet(x, mask).prediction
    weight = supernet.state_dict()["conv_0.weight"]
    joined = torch.cat([x, p[1] * x.relu(), q[1] * x], 1)
    torch.testing.assert_close(y, F.conv2d(joined, weight))
    (gradient,) = torch.autograd.grad(y.sum(), p)
    assert gradient[1] != 0


@pytest.mark.parametrize("name", MODELS)
def test_a_soft_mask_at_its_corner_is_the_index(name: str) -> None:
    """Also behind a norm, which would make the zeros of an absent term into something: they are masked where mixed."""
    space = spacec.loads(MODELS[name])
    supernet = space.supernet(seed=1).eval()
    disturb(supernet, 1)
    slots = {slot.id: slot for slot in space.slots}
    for arch in space.enumerate():
        index = space.mask(arch)
        soft = {
            name: k if k is None or slots[name].sized else torch.eye(slots[name].size)[k] for name, k in index.items()
        }
        torch.testing.assert_close(supernet(image(), soft).prediction, supernet(image(), index).prediction)


def test_packed_channels_refuse_mixtures() -> None:
    space = spacec.loads(PACKED)
    assert all(slot.sized for slot in space.slots)
    supernet, arch = space.supernet(seed=1), space.sample(seed=0)[0]
    index = space.mask(arch)
    with pytest.raises(spacec.SpacecError, match=r"`net.pick\[0\].gate\[0\]` is mixed") as error:
        supernet(image())
    assert error.value.diagnostics[0].code == "E0910"
    with pytest.raises(spacec.SpacecError, match="is mixed"):
        supernet(image(), {**index, "net.pick[0].gate[1]": torch.tensor([0.5, 0.5])})
    with pytest.raises(spacec.SpacecError, match="is mixed"):
        supernet(image(), {**index, "net.pick[0].gate[1]": Paths((0, 1), torch.ones(2))})


def test_packed_channels_take_one_hots() -> None:
    """Straight-through: the value of the index, and a gradient for its weight."""
    space = spacec.loads(PACKED)
    supernet = space.supernet(seed=1).eval()
    for arch in space.enumerate():
        index = space.mask(arch)
        weights = {name: torch.eye(2)[k].requires_grad_() for name, k in index.items()}
        y = supernet(image(), {name: OneHot(w) for name, w in weights.items()}).prediction
        torch.testing.assert_close(y, supernet(image(), index).prediction)
        gradients = torch.autograd.grad(y.square().sum(), list(weights.values()), allow_unused=True)
        assert any(g is not None and g.abs().sum() > 0 for g in gradients)


def test_instances_must_agree_on_sizes() -> None:
    space = spacec.loads(SHARED)
    supernet = space.supernet(seed=1)
    assert {slot.sized for slot in space.slots} == {True}
    mask = {slot.id: 1 for slot in space.slots}
    assert supernet(image(), mask).prediction.shape == (3, 4, 6, 6)
    assert all(not supernet.blueprint.slots[name].instances for name in mask), "gates of numbers that let in no tensor"


def test_instances_that_disagree_are_named() -> None:
    space = spacec.loads(
        HEAD + "let cell = dag(x) { return concat(x, pick any from [x]: relu) >> conv(1, 4) }\nnet = cell * 2\n"
    )
    supernet = space.supernet(seed=1)
    (slot,) = space.slots
    first, second = sorted(supernet.blueprint.slots[slot.id].instances)
    assert supernet(image(), {slot.id: PerInstance({first: 1, second: 1})}).prediction.shape == (3, 4, 6, 6)
    with pytest.raises(spacec.SpacecError, match="disagree"):
        supernet(image(), {slot.id: PerInstance({first: 1, second: 0})})


def test_gate_gradients_of_terms() -> None:
    space = spacec.loads(SLOTS)
    supernet = space.supernet(seed=1)
    out = supernet(image(), {slot.id: torch.tensor([0.5, 0.5]) for slot in space.slots}, gates=True)
    found = supernet.gate_gradients(out.prediction.square().sum(), out)
    assert set(found) == {slot.id for slot in space.slots}


def test_shells_are_kept_by_size_not_by_architecture() -> None:
    space = spacec.load("grammars/nas_bench_101.space", preset="tiny")
    supernet = space.supernet(seed=1)
    x = torch.randn(1, 3, 32, 32)
    for arch in space.sample(30, seed=2):
        supernet.eval()(x, arch)
    kept = len(supernet._machine.elastic.fitted)
    for arch in space.sample(30, seed=2):
        supernet(x, arch)
    assert len(supernet._machine.elastic.fitted) == kept
