"""From a smaller share of the channels to a larger one: each layer computes what it did, on repeated channels."""

from __future__ import annotations

import pytest
import torch

import spacec
from spacec.facade import Space
from spacec.lower.supernet import Supernet
from spacec.passes.widening import replicas
from tests.lower.helpers import CLOSE, disturb
from tests.lower.test_partial import SAME

EDGE = (
    "max: max_pool(3) >> bn | skip: skip | conv: relu >> conv(3) >> bn | sep: sep_conv(3) | dil: dil_conv(3)"
    " | wide: conv(1, 24) >> relu >> bn >> conv(1, 12) | gate: squeeze_excite(4)"
    " | sums: dag(x) { a = x >> conv(1);  return a + x }"
)
OPS = ("max", "skip", "conv", "sep", "dil", "wide", "gate", "sums")
HEAD = "space s()\ninput  x: [12, 6, 6]\noutput y: [12, 6, 6]\n"
SPACE = spacec.loads(HEAD + f"def edge = {EDGE}\nnet = edge -> [12, 6, 6]")
HALVED = spacec.loads(
    "space s()\ninput  x: [12, 6, 6]\noutput y: [12, 3, 3]\n"
    "def edge = skip: skip | conv: conv(3)\nnet = edge -> [12, 3, 3]"
)


def widened_pair(space: Space, parts: tuple[int, int] = (6, 3), **options: str) -> tuple[Supernet, Supernet]:
    old = space.supernet(1, partial=parts[0]).double()
    disturb(old, 1)
    new = space.supernet(2, partial=parts[1]).double()
    found = space.widened(new, old.state_dict(), parts, seed=3, **options)
    assert found.keys() == new.state_dict().keys()
    new.load_state_dict(found)
    return old, new


def origins_of(space: Space, parts: tuple[int, int] = (6, 3)) -> dict[str, tuple[int, ...]]:
    before, after = (space.partial_channels(k) for k in parts)
    return {key: r.output for key, r in replicas(space.flat, before, after, 3).items()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("op", OPS)
def test_a_candidate_computes_what_it_did_on_repeated_channels(op: str, training: bool) -> None:
    old, new = (net.train(training) for net in widened_pair(SPACE))
    repeats = list(origins_of(SPACE)["max_0.bn_0"])
    assert repeats[:2] == [0, 1]
    assert len(repeats) == 4
    (slot,) = SPACE.slots
    x = torch.randn(3, 12, 6, 6, dtype=torch.float64)
    wide = torch.cat((x[:, :2][:, repeats], torch.randn(3, 8, 6, 6, dtype=torch.float64)), 1)
    before = old(x, mask={slot.id: OPS.index(op)}).prediction[:, ::6]
    after = new(wide, mask={slot.id: OPS.index(op)}).prediction[:, ::3]
    torch.testing.assert_close(after, before[:, repeats], **CLOSE)


def test_a_mixture_computes_what_it_did_on_repeated_channels() -> None:
    old, new = widened_pair(SPACE)
    repeats = list(origins_of(SPACE)["max_0.bn_0"])
    (slot,) = SPACE.slots
    weights = torch.rand(len(OPS), dtype=torch.float64)
    x = torch.randn(3, 12, 6, 6, dtype=torch.float64)
    wide = torch.cat((x[:, :2][:, repeats], torch.randn(3, 8, 6, 6, dtype=torch.float64)), 1)
    before = old(x, mask={slot.id: weights}).prediction[:, ::6]
    torch.testing.assert_close(new(wide, mask={slot.id: weights}).prediction[:, ::3], before[:, repeats], **CLOSE)


def test_halves_that_are_joined_repeat_each_by_itself() -> None:
    old, new = widened_pair(HALVED)
    own = list(origins_of(HALVED)["skip_0.bn_0"])
    assert own == [0, 0, 1, 1]
    before_, after_ = (HALVED.partial_channels(k) for k in (6, 3))
    repeats = list(replicas(HALVED.flat, before_, after_, 3)["skip_0.conv_0"].inputs)
    assert repeats[:2] == [0, 1]
    (slot,) = HALVED.slots
    x = torch.randn(3, 12, 6, 6, dtype=torch.float64)
    wide = torch.cat((x[:, :2][:, repeats], torch.randn(3, 8, 6, 6, dtype=torch.float64)), 1)
    before = old(x, mask={slot.id: 0}).prediction[:, ::6]
    torch.testing.assert_close(new(wide, mask={slot.id: 0}).prediction[:, ::3], before[:, own], **CLOSE)


def test_copies_are_those_of_the_released_code() -> None:
    """``InChannelWider`` and ``OutChannelWider``: rows and columns repeated, nothing divided."""
    old, new = widened_pair(SPACE, repeats="copy")
    index = torch.tensor(origins_of(SPACE)["conv_0.conv_0"])
    weight = old.get_parameter("conv_0.conv_0.weight")
    assert torch.equal(new.get_parameter("conv_0.conv_0.weight"), weight[index][:, index])
    divided = widened_pair(SPACE)[1].get_parameter("conv_0.conv_0.weight")
    torch.testing.assert_close(divided[:, :2].sum(1) + divided[:, 2:].sum(1), weight[index].sum(1))


def test_what_ran_in_full_keeps_its_first_channels() -> None:
    full, new = SAME.supernet(1), SAME.supernet(2, partial=4)
    found = SAME.widened(new, full.state_dict(), (1, 4))
    assert torch.equal(found["conv_0.conv_0.weight"], full.get_parameter("conv_0.conv_0.weight")[:2, :2])


def test_layers_that_do_not_say_how_they_follow_are_left_out() -> None:
    space = spacec.loads(HEAD + "net = a: conv(3, groups = 2) | b: conv(1)")
    old, new = space.supernet(1, partial=6), space.supernet(2, partial=3)
    found = space.widened(new, old.state_dict(), (6, 3))
    assert len(found) == 1
    assert len(new.state_dict()) == 2


def test_other_tensors_of_the_weights_follow_by_name() -> None:
    old, new = widened_pair(SPACE)
    momenta = {name: torch.randn_like(p) for name, p in old.named_parameters()}
    found = SPACE.widened(new, momenta, (6, 3), seed=3)
    assert {n: t.shape for n, t in found.items()} == {n: p.shape for n, p in new.named_parameters()}
