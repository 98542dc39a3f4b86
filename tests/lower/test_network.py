"""Networks: pruning, transfer between forms, generated code, copies and pickles, calibration."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from spacec.diagnostics.model import SpacecError
from spacec.ir.conditions import Is
from spacec.lower.network import Network, transfer
from spacec.lower.norms import recalibrate_norm
from spacec.space.architecture import architecture_of
from spacec.space.decisions import Decision, DecisionTable, Slot
from tests.lower.helpers import count_parameters, inputs_of, network_of, random_architecture, supernet_of
from tests.lower.spaces import Builder, Toy, cell_space, mlp_space, pick_space, ports_space


def dead_code_space() -> Toy:
    """Selecting ``drop`` leaves a convolution whose result nothing reads, and a zero term in the sum."""
    b = Builder()
    x = b.input("x", 2, 4)
    name = "net.edge"
    always = b.op("conv", x, key="always_0", kernel=1)
    b.guard = Is(name, frozenset((0,)))
    kept = b.op("identity", always)
    b.guard = Is(name, frozenset((1,)))
    zero = b.op("zero", always)
    b.guard = Is(name, frozenset((0, 1)))
    edge = b.choose(name, [kept, zero], "edge_0")
    y = b.op("sum", edge, b.op("conv", x, key="other_0", kernel=1))
    table = DecisionTable(
        "dead", "0123abcd", (Decision(name, "net", "op", ("keep", "drop")),), (Slot(name, ("keep", "drop"), name),)
    )
    return Toy(b.graph("dead", y=y), table, ((2, 2, 4),))


def test_pruning() -> None:
    toy = dead_code_space()
    (x,) = inputs_of(toy)
    drop = architecture_of(toy.table, {"net.edge": 1})
    whole, pruned = (Network(toy.flat, toy.table, drop, seed=0, prune=p).double() for p in (False, True))
    assert {k.split(".")[0] for k in whole.state_dict()} == {"always_0", "other_0"}
    assert {k.split(".")[0] for k in pruned.state_dict()} == {"other_0"}
    assert torch.equal(whole(x), pruned(x))
    keep = architecture_of(toy.table, {"net.edge": 0})
    assert len(Network(toy.flat, toy.table, keep, prune=True).state_dict()) == len(whole.state_dict())


def test_unread_layers_that_exist_are_counted() -> None:
    """A convolution is guarded true, but only an unselected path reads it."""
    b = Builder()
    x = b.input("x", 2)
    unread = b.op("linear", x, key="unread_0")
    other = b.op("linear", x, key="read_0")
    y = b.choose("net.edge", [unread, other], "edge_0")
    labels = ("a", "b")
    table = DecisionTable(
        "t", "0123abcd", (Decision("net.edge", "net", "op", labels),), (Slot("net.edge", labels, "net.edge"),)
    )
    architecture = architecture_of(table, {"net.edge": 1})
    flat = b.graph("t", y=y)
    assert count_parameters(Network(flat, table, architecture)) == 12
    assert count_parameters(Network(flat, table, architecture, prune=True)) == 6


def test_generated_code_reads_like_a_forward() -> None:
    toy = pick_space()
    network = Network(toy.flat, toy.table, random_architecture(toy, 0), seed=0)
    text = network.design.program.text()
    lines = text.splitlines()
    assert lines[0] == "def forward(self, image):"
    assert lines[2] == '    check_input("image", image, (2, 8, 8), sizes)'
    assert "    # stem_0\n    x0 = self.stem_0.conv_0(image)\n" in text
    assert lines[-1].startswith("    return x")


def test_names_are_used_again_when_values_are_dead() -> None:
    toy = cell_space(cells=12)
    network = Network(toy.flat, toy.table, toy.architecture(lambda d: 2))
    names = {line.split(" = ")[0].strip() for line in network.design.program.lines if " = " in line}
    assert len(names) <= 6


def test_several_outputs_and_awkward_input_names() -> None:
    toy = ports_space()
    a, b = inputs_of(toy)
    network = network_of(toy, random_architecture(toy, 1))
    outputs = network(a, b)
    assert isinstance(outputs, dict)
    assert {n: tuple(t.shape) for n, t in outputs.items()} == {"main": (2, 2), "side": (2, 3)}
    with pytest.raises(ValueError, match="input 'x0' must be"):
        network(a, a[:, :2])


def test_copies_and_pickles() -> None:
    toy = pick_space()
    (x,) = inputs_of(toy)
    network = network_of(toy, random_architecture(toy, 3)).eval()
    expected = network(x)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(x), expected)
        with torch.no_grad():
            other.get_parameter("head_0.linear_0.weight").zero_()
        assert not torch.equal(other(x), expected)
    assert torch.equal(network(x), expected)


def test_transfer_refuses_another_form() -> None:
    small, large = cell_space(4), cell_space(8)
    architecture = small.architecture(lambda d: 2)
    net, network = supernet_of(small), network_of(large, architecture)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(SpacecError, match=r"`stem_0.conv_0.weight` is \[4, 3, 3, 3\] in the supernet"):
        transfer(net, network)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in before.items())
    deeper = network_of(cell_space(4, cells=3), architecture)
    with pytest.raises(SpacecError, match=r"the supernet has no `cell_2"):
        transfer(net, deeper)


def test_transfer_slices_elastic_layers() -> None:
    toy = mlp_space()
    net, network = supernet_of(toy), network_of(toy, toy.architecture(lambda d: 2 if "0" in d.id else 0))
    transfer(net, network)
    assert torch.equal(network.get_parameter("linear_1.weight"), net.get_parameter("linear_1.weight")[:2, :4])
    assert count_parameters(network) == 5 * 4 + 4 + 4 * 2 + 2 + 2 + 1


def test_recalibrated_statistics_are_the_average_over_batches() -> None:
    toy = cell_space()
    network = network_of(toy, toy.architecture(lambda d: 2)).train()
    network.get_submodule("stem_0").eval()
    batches = [inputs_of(toy, seed)[0] for seed in range(3)]
    assert recalibrate_norm(network, batches) == 3
    maps = [network.get_submodule("stem_0.conv_0")(b) for b in batches]
    bn = network.get_submodule("stem_0.bn_0")
    mean = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    variance = torch.stack([m.transpose(0, 1).flatten(1).var(1) for m in maps]).mean(0)
    torch.testing.assert_close(bn.running_mean, mean)
    torch.testing.assert_close(bn.running_var, variance)
    assert bn.momentum == 0.1
    assert network.training
    assert not bn.training


def test_recalibration_of_a_supernet_under_a_mask() -> None:
    toy = cell_space()
    architecture = toy.architecture(lambda d: 2)
    net = supernet_of(toy)
    network = network_of(toy, architecture)
    transfer(net, network)
    batches = [inputs_of(toy, seed)[0] for seed in range(2)]
    recalibrate_norm(net, batches, lambda batch: net(batch, mask=architecture))
    recalibrate_norm(network, [(b,) for b in batches])
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, net.get_buffer(name))
    before = copy.deepcopy(net.state_dict())
    assert recalibrate_norm(net, []) == 0
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())


def test_heads_of_a_network() -> None:
    toy = cell_space()
    network = Network(toy.flat, toy.table, toy.architecture(lambda d: 2))
    assert set(network.parameters_of("head")) == {"head_0.linear_0.weight", "head_0.linear_0.bias"}
