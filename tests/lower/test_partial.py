"""Narrowed choices against PC-DARTS' mixed operation written by hand, and the supernet's contract on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.lower.masks import OneHot, Paths
from spacec.lower.supernet import Supernet
from spacec.testing.inputs import example_inputs
from tests.lower.helpers import CLOSE, disturb

GRAMMARS = Path(__file__).parents[2] / "grammars"
EDGE = "none: zero | max: max_pool(3) >> bn | skip: skip | conv: relu >> conv(3) >> bn"
SAME = spacec.loads(f"space s()\ninput  x: [8, 6, 6]\noutput y: [8, 6, 6]\ndef edge = {EDGE}\nnet = edge -> [8, 6, 6]")
HALF = spacec.loads(f"space s()\ninput  x: [8, 6, 6]\noutput y: [8, 3, 3]\ndef edge = {EDGE}\nnet = edge -> [8, 3, 3]")
PICK = spacec.loads("""
space s(edges = 0)
input  x: [8, 6, 6]
output y: [8, 6, 6]
default pick(edges = edges)
def edge = skip: identity | conv: relu >> conv(3) >> bn
net = dag(x) { s = [x, x >> relu];  s += sum(pick 1 from s: edge);  return s[2] }
""")


def built(space: Space, parts: int, seed: int = 1) -> Supernet:
    net = space.supernet(seed, partial=parts).double()
    disturb(net, seed)
    return net


def shuffled(x: Tensor, groups: int) -> Tensor:
    """``channel_shuffle`` of the released code, by its index arithmetic."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def by_hand(net: Supernet, x: Tensor, w: Tensor, parts: int, stride: int) -> Tensor:
    """MixedOp.forward of PC-DARTS (model_search.py), on the supernet's weights and batch statistics."""
    state = dict(net.named_parameters())
    share = x.shape[1] // parts
    first, others = x[:, :share], x[:, share:]

    def norm(name: str, value: Tensor) -> Tensor:
        return F.batch_norm(value, None, None, state[f"{name}.weight"], state[f"{name}.bias"], training=True)

    pooled = F.max_pool2d(first, 3, stride, 1)
    if stride == 1:
        skip = first
    else:
        r = F.relu(first)
        moved = F.pad(r[:, :, 1:, 1:], (0, 1, 0, 1))
        halves = [F.conv2d(h, state[f"skip_0.conv_{k}.weight"], None, 2) for k, h in enumerate((r, moved))]
        skip = norm("skip_0.bn_0", torch.cat(halves, 1))
    conv = norm("conv_0.bn_0", F.conv2d(F.relu(first), state["conv_0.conv_0.weight"], None, stride, 1))
    mixed = w[0] * torch.zeros_like(pooled) + w[1] * norm("max_0.bn_0", pooled) + w[2] * skip + w[3] * conv
    rest = others if stride == 1 else F.max_pool2d(others, 2, 2)
    return shuffled(torch.cat((mixed, rest), 1), parts)


@pytest.mark.parametrize(("space", "stride"), [(SAME, 1), (HALF, 2)])
@pytest.mark.parametrize("parts", [2, 4])
def test_it_is_the_papers_mixed_operation(space: Space, stride: int, parts: int) -> None:
    net = built(space, parts)
    x = torch.randn(3, 8, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    logits = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    (slot,) = (s.id for s in space.slots)
    probe = torch.randn(3, 8, 6 // stride, 6 // stride, dtype=torch.float64)
    wanted = [x, logits, *net.parameters()]
    found = net(x, mask={slot: logits.softmax(0)}).prediction
    expected = by_hand(net, x, logits.softmax(0), parts, stride)
    torch.testing.assert_close(found, expected, **CLOSE)
    ours = torch.autograd.grad((found * probe).sum(), wanted)
    theirs = torch.autograd.grad((expected * probe).sum(), wanted)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def test_one_part_is_the_plain_supernet_bit_for_bit() -> None:
    plain, one = SAME.supernet(3), SAME.supernet(3, partial=1)
    x = torch.randn(2, 8, 6, 6)
    assert plain.state_dict().keys() == one.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), one.state_dict().values(), strict=True))
    assert torch.equal(plain(x).prediction, one(x).prediction)


@pytest.mark.parametrize("name", ["nas_bench_201", "darts", "hierarchical", "cream", "ddnas", "nas_bench_graph"])
def test_shipped_spaces_train_under_the_same_names(name: str) -> None:
    space = spacec.load(GRAMMARS / f"{name}.space", preset="tiny")
    plain, net = space.supernet(0), space.supernet(0, partial=4)
    assert plain.state_dict().keys() == net.state_dict().keys()
    out = net(example_inputs(space, batch=2))
    out.prediction.square().mean().backward()
    reached = [p.grad is not None for p in net.parameters()]
    plain(example_inputs(space, batch=2)).prediction.square().mean().backward()
    assert reached == [p.grad is not None for p in plain.parameters()]


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_weights_by_formula(parts: int) -> None:
    """On c = 8/K channels: a norm has 2c; the skip's two halves c²/2 each, and a norm; the convolution 9c², and one."""
    c = 8 // parts
    assert sum(p.numel() for p in HALF.supernet(0, partial=parts).parameters()) == 2 * c + (c * c + 2 * c) + (
        9 * c * c + 2 * c
    )


@pytest.mark.parametrize("gates", [True, "all"])
def test_gate_gradients_are_those_of_the_mask(gates: bool | str) -> None:
    net = built(PICK, 4)
    x = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    mask = {s.id: torch.rand(s.size, dtype=torch.float64).add(0.1).requires_grad_() for s in PICK.slots}
    out = net(x, mask=mask, gates=gates)
    loss = out.prediction.pow(3).sum()
    found = net.gate_gradients(loss, out)
    for slot, w in mask.items():
        (expected,) = torch.autograd.grad(loss, w, retain_graph=True)
        torch.testing.assert_close(found[slot], expected, **CLOSE)


def test_gates_of_candidates_that_did_not_run_are_those_of_a_soft_mask() -> None:
    net = built(SAME, 4).eval()
    x = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    (slot,) = (s.id for s in SAME.slots)
    hard = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    out = net(x, mask={slot: Paths((2,), torch.ones(1, dtype=torch.float64))}, gates="all")
    found = net.gate_gradients(out.prediction.pow(3).sum(), out)[slot]
    (expected,) = torch.autograd.grad(net(x, mask={slot: hard}).prediction.pow(3).sum(), hard)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_edge_weights_scale_all_channels() -> None:
    edged = spacec.loads(PICK.text, edges=1)
    plain, net = built(PICK, 4), built(edged, 4)
    x = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    soft = {s.id: torch.rand(s.size, dtype=torch.float64) for s in PICK.slots}
    (edges,) = (s for s in edged.slots if s.edges)
    beta = torch.tensor([0.3, 0.7], dtype=torch.float64)
    elements = [s.id for s in PICK.slots]
    scaled = {slot: beta[e] * soft[slot] for e, slot in enumerate(elements)}
    ours = net(x, mask={**soft, edges.id: beta}).prediction
    torch.testing.assert_close(ours, plain(x, mask=scaled).prediction, **CLOSE)


def test_an_index_and_a_one_hot_run_one_candidate_beside_the_bypass() -> None:
    net = built(SAME, 2).eval()
    x = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    (slot,) = (s.id for s in SAME.slots)
    torch.testing.assert_close(net(x, mask={slot: 2}).prediction, shuffled(x, 2), **CLOSE)
    one = OneHot(torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(net(x, mask={slot: one}).prediction, shuffled(x, 2), **CLOSE)


def test_an_edge_that_only_absence_is_left_of_is_absent() -> None:
    net = built(PICK, 2).eval()
    x = torch.randn(2, 8, 6, 6, dtype=torch.float64)
    a, b = (s.id for s in PICK.slots)
    torch.testing.assert_close(net(x, mask={a: 1, b: 0}).prediction, shuffled(x, 2), **CLOSE)
    assert not net.complete({a: 0, b: 0})


def test_a_networks_weights_are_not_taken_from_a_narrowed_supernet() -> None:
    with pytest.raises(SpacecError) as caught:
        SAME.network(f"{SAME.digest}:net=conv", weights=SAME.supernet(0, partial=2))
    assert caught.value.diagnostics[0].code == "E0907"
