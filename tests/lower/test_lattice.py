"""Calls of a tied member that exclude each other: run once, on the reach-weighted mean of their inputs."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import Tensor

import spacec
from spacec.ir.flat import FlatMeet, FlatOp
from spacec.space.derive import slots_of
from tests.lower.helpers import count_parameters, exported

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

SKIPPING = """
space skipping(C = 4)
input  x: [2, 6, 6]
output y: [3]
let op = conv(1) >> bn | conv(3) >> bn >> relu | max_pool(3)
tied stage[i] = op >> (
    next: conv(1) >> stage[i+1]          when i < 4
  | skip: conv(3) >> bn >> stage[i+2]    when i < 3
  | stop: global_pool >> linear(3) )
net = conv(3, C) >> stage[0]
"""

TWO_INPUTS = """
space pairs(L = 3, C = 4)
input  x: [2, 8*H, 8*W]
output y: [3]
def edge = conv(3) >> bn | skip
def at(r) = dag(a, b) { return a >> fit -> [C*2^r, 8*H/2^r, 8*W/2^r], b >> fit -> [C*2^r, 8*H/2^r, 8*W/2^r] }
let cell = dag(a, b) { return sum(pick 1 from [a, b]: edge) }
tied walk[l, r] = dag(a, b) {
  y = (a, b) >> cell
  return (b, y) >> ( same: at(r) >> walk[l+1, r] when l < L
                   | down: at(r+1) >> walk[l+1, r+1] when l < L and r < 2
                   | head: select(1) >> global_pool >> linear(3) when l == L )
}
net = dag(x) { y = x >> conv(3, C);  return (y, y) >> walk[1, 0] }
"""

SPACES = {"lattice": LATTICE, "skipping": SKIPPING, "two inputs": TWO_INPUTS}


def inputs_of(space: spacec.Space) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    (type_,) = space.inputs.values()
    shape = [d if isinstance(d, int) else 16 for d in type_.dims]
    return torch.randn(3, *shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("text", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("train", [False, True])
def test_law_4(text: str, train: bool) -> None:
    space = spacec.loads(text)
    assert any(isinstance(n, FlatMeet) for n in space.flat.nodes)
    net, x = space.supernet(seed=1).double(), inputs_of(space)
    assert count_parameters(net) == space.supernet_params()
    for seed in range(8):
        arch = space.sample(seed=seed)[0]
        network = space.network(arch, weights=net).double().train(train)
        assert count_parameters(network) == space.params(arch)
        ours = copy.deepcopy(net).train(train)
        mine, alone = ours(x, mask=arch).prediction, network(x)
        assert torch.equal(mine, alone)
        mine.sin().sum().backward()
        alone.sin().sum().backward()
        own = dict(ours.named_parameters())
        for name, parameter in network.named_parameters():
            found = own.pop(name).grad
            expected = parameter.grad
            if expected is None:  # a weight that nothing reads has a gradient in neither
                assert found is None
            else:
                assert found is not None
                torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
        assert all(p.grad is None for p in own.values())
        buffers = dict(ours.named_buffers())
        for name, buffer in network.named_buffers():
            assert torch.equal(buffers[name], buffer)


def test_emitted_source_computes_the_same() -> None:
    space = spacec.loads(TWO_INPUTS)
    net, x = space.supernet(seed=1).double(), inputs_of(space)
    for seed in range(4):
        arch = space.sample(seed=seed)[0]
        network = space.network(arch, weights=net).double().eval()
        alone = exported(space, arch).double().eval()
        alone.load_state_dict(network.state_dict())
        assert torch.equal(alone(x), network(x))


def test_a_member_runs_once() -> None:
    space = spacec.loads(LATTICE, L=8)
    heads = [n for n in space.flat.nodes if isinstance(n, FlatOp) and n.key.startswith("walk_8_")]
    assert len({n.key for n in heads}) == len(heads), "every layer of a member stands in the graph once"
    assert len(space.flat.nodes) < 40 * 8


def reference(net: torch.nn.Module, masks: dict[str, Tensor], x: Tensor, layers: int) -> Tensor:
    """The lattice by hand: per node one input, the mean of what reaches it weighted by reach."""

    def linear(key: str, value: Tensor) -> Tensor:
        return torch.nn.functional.linear(value, net.get_parameter(f"{key}.weight"), net.get_parameter(f"{key}.bias"))

    at = {0: (torch.ones((), dtype=x.dtype), x)}
    for layer in range(1, layers):
        arriving: dict[int, list[tuple[Tensor, Tensor]]] = {}
        for r, (reach, value) in at.items():
            key = f"walk_{layer}_{r}"
            y = linear(f"{key}.linear_0", value).tanh()
            moves = ["up"] * (r > 0) + ["same"] + ["down"] * (r < 2)
            gates = dict(zip(moves, masks[f"walk[{layer},{r}].choice[0]"], strict=True))
            if r > 0:
                arriving.setdefault(r - 1, []).append((reach * gates["up"], linear(f"{key}.up_0.linear_0", y)))
            arriving.setdefault(r, []).append((reach * gates["same"], y))
            if r < 2:
                moved = linear(f"{key}.down_0.linear_0", y).tanh()
                arriving.setdefault(r + 1, []).append((reach * gates["down"], moved))
        at = {}
        for r, given in arriving.items():
            total = sum(w for w, _ in given)
            at[r] = (total, sum(w * v for w, v in given) / total)
    heads = []
    for r, (reach, value) in at.items():
        y = linear(f"walk_{layers}_{r}.linear_0", value).tanh()
        heads.append(reach * linear(f"walk_{layers}_{r}.head_0.linear_0", y))
    return torch.stack(heads).sum(0)


def soft_masks(space: spacec.Space, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        s.id: torch.rand(s.size, generator=generator, dtype=torch.float64).softmax(0).requires_grad_()
        for s in space.slots
    }


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_soft_masks_feed_the_mean_by_reach(layers: int) -> None:
    space = spacec.loads(LATTICE, L=layers)
    net, x, masks = space.supernet(seed=2).double(), inputs_of(space), soft_masks(space, layers)
    found = net(x, mask=masks).prediction
    expected = reference(net, masks, x, layers)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    ours = torch.autograd.grad(found.sin().sum(), list(masks.values()))
    by_hand = torch.autograd.grad(expected.sin().sum(), list(masks.values()))
    for a, b in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("text", SPACES.values(), ids=SPACES)
def test_gate_gradients_are_those_of_the_masks(text: str) -> None:
    space = spacec.loads(text)
    net, x, masks = space.supernet(seed=2).double().eval(), inputs_of(space), soft_masks(space, 5)
    out = net(x, mask=masks, gates=True)
    loss = out.prediction.sin().sum()
    expected = torch.autograd.grad(loss, list(masks.values()), retain_graph=True)
    found = net.gate_gradients(loss, out)
    for name, gradient in zip(masks, expected, strict=True):
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("text", SPACES.values(), ids=SPACES)
def test_all_gates_of_an_index_are_those_of_its_soft_one_hot(text: str) -> None:
    space = spacec.loads(text)
    net, x = space.supernet(seed=2).double().eval(), inputs_of(space)
    for seed in range(3):
        source = random.Random(seed)
        index = slots_of(space.table, space.sample(seed=seed)[0])
        chosen = {s.id: source.randrange(s.size) if index[s.id] is None else index[s.id] for s in space.slots}
        soft = {s.id: torch.eye(s.size, dtype=torch.float64)[chosen[s.id]].requires_grad_() for s in space.slots}
        smooth = net(x, mask=soft)
        out = net(x, mask=chosen, gates="all")
        torch.testing.assert_close(out.prediction, smooth.prediction, rtol=1e-10, atol=1e-10)
        expected = torch.autograd.grad(smooth.prediction.sin().sum(), list(soft.values()), allow_unused=True)
        found = net.gate_gradients(out.prediction.sin().sum(), out)
        for name, gradient in zip(soft, expected, strict=True):
            if gradient is not None and name in found:
                torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-9)


def test_a_mask_that_reaches_nothing_gives_numbers() -> None:
    space = spacec.loads(LATTICE)
    net, x = space.supernet(seed=2).double(), inputs_of(space)
    masks = {s.id: torch.eye(s.size, dtype=torch.float64)[0].requires_grad_() for s in space.slots}
    out = net(x, mask=masks).prediction
    assert torch.isfinite(out).all()
    gradients = torch.autograd.grad(out.sum(), list(masks.values()), allow_unused=True)
    assert all(g is None or torch.isfinite(g).all() for g in gradients)
