"""Law 4: a supernet with one architecture selected is the stand-alone network, in values, gradients and statistics."""

from __future__ import annotations

import random
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacec.lower.network import transfer
from spacec.lower.supernet import Supernet
from spacec.space.derive import slots_of
from spacec.testing.equality import carry_gradients
from tests.lower.helpers import (
    CLOSE,
    as_out,
    inputs_of,
    loss_of,
    network_of,
    random_architecture,
    supernet_of,
)
from tests.lower.spaces import TOYS, Toy

toy_of = cache(lambda name: TOYS[name]())


@pytest.mark.parametrize("name", TOYS)
@settings(deadline=None, max_examples=8, derandomize=True)
@given(seed=st.integers(0, 10_000), train=st.booleans())
def test_selected_supernet_is_the_network(name: str, seed: int, train: bool) -> None:
    toy: Toy = toy_of(name)
    architecture = random_architecture(toy, seed)
    net, inputs = supernet_of(toy, seed), inputs_of(toy, seed)
    network = network_of(toy, architecture)
    transfer(net, network)
    for model in (net, network):
        model.train(train)
        model.set_drop_path(0.3)

    torch.manual_seed(seed)
    ours = net(*inputs, mask=architecture)
    torch.manual_seed(seed)
    alone = as_out(network, network(*inputs))
    assert ours.outputs.keys() == alone.outputs.keys()
    for output, value in ours.outputs.items():
        torch.testing.assert_close(value, alone.outputs[output], **CLOSE)
        if "elastic" not in name and name != "mlp":
            assert torch.equal(value, alone.outputs[output])

    loss_of(ours.outputs).backward()
    loss_of(alone.outputs).backward()
    _assert_same_gradients(toy, net, network, architecture)
    statistics = network_of(toy, architecture)
    transfer(net, statistics)
    for key, buffer in network.named_buffers():
        torch.testing.assert_close(statistics.get_buffer(key), buffer, **CLOSE)


def _assert_same_gradients(toy: Toy, net: Supernet, network: torch.nn.Module, architecture: object) -> None:
    """Transfer the gradients as if they were weights; what is left out must have none."""
    for received, own in carry_gradients(net, network, network_of(toy, architecture)).values():
        torch.testing.assert_close(received, own, **CLOSE)
    gradients = {n: p.grad for n, p in net.named_parameters()}
    absent = set(gradients) - {n for n, _ in network.named_parameters()}
    assert all(gradients[n] is None for n in absent)


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("train", [False, True])
def test_one_hot_soft_mask_is_the_index(name: str, train: bool) -> None:
    toy: Toy = toy_of(name)
    inputs = inputs_of(toy)
    for seed in range(4):
        net = supernet_of(toy).train(train)
        net.set_drop_path(0.0)
        for module in net.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        index = slots_of(toy.table, random_architecture(toy, seed))
        sizes = {s.id: s.size for s in toy.table.slots}
        source = random.Random(seed)
        chosen = {s: source.randrange(sizes[s]) if k is None else k for s, k in index.items()}
        soft = {s: torch.eye(sizes[s], dtype=torch.float64)[k] for s, k in chosen.items()}
        expected = net(*inputs, mask=chosen).outputs
        found = supernet_of(toy).train(train)
        found.load_state_dict(supernet_of(toy).state_dict())
        for module in found.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for output, value in found(*inputs, mask=soft).outputs.items():
            torch.testing.assert_close(value, expected[output], **CLOSE)


@pytest.mark.parametrize("name", TOYS)
def test_supernet_and_network_of_one_seed_start_alike(name: str) -> None:
    toy: Toy = toy_of(name)
    net = Supernet(toy.flat, toy.table, seed=5).double()
    widest = toy.architecture(lambda d: tuple(range(d.low)) if d.kind == "subset" else d.labels.index(max(d.labels)))
    network = network_of(toy, widest, seed=5)
    own, alone = net.state_dict(), network.state_dict()
    resized = {k.rpartition(".")[0] for k, v in alone.items() if own[k].shape != v.shape}
    shared = [k for k in alone if k.rpartition(".")[0] not in resized]
    assert shared
    assert all(torch.equal(own[k], alone[k]) for k in shared)
