"""The supernet contract: masks, gates, taps, functional weights, several inputs and outputs."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import spacec
from spacec.diagnostics.model import SpacecError
from spacec.lower.masks import Mask, OneHot, Paths, PerInstance
from spacec.lower.supernet import Supernet
from tests.lower.helpers import CLOSE, inputs_of, loss_of, random_architecture, supernet_of
from tests.lower.spaces import (
    cell_space,
    elastic_conv_space,
    mlp_space,
    pick_space,
    ports_space,
    pyramid_space,
)

CELL, PICK, PORTS, PYRAMID = cell_space(), pick_space(), ports_space(), pyramid_space()


def soft_mask(net: Supernet, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    slots = net.blueprint.table.slots
    logits = {s.id: torch.randn(s.size, generator=generator, dtype=torch.float64) for s in slots}
    return {name: torch.softmax(v, 0).requires_grad_() for name, v in logits.items()}


def test_no_mask_is_the_uniform_soft_mask() -> None:
    net, (x,) = supernet_of(CELL), inputs_of(CELL)
    uniform = {s.id: [1 / s.size] * s.size for s in CELL.table.slots}
    torch.testing.assert_close(net(x).prediction, net(x, mask=uniform).prediction)


def test_soft_mask_weighs_candidates() -> None:
    net, (x,) = supernet_of(CELL).eval(), inputs_of(CELL)
    base = dict.fromkeys(net.blueprint.slots, 1)
    name = "cell.edge[0]"
    masks = [{**base, name: PerInstance({"cell_0.edge_0": k, "cell_1.edge_0": 0})} for k in range(4)]
    each = [net(x, mask=m, taps=["cell_0.edge_0"]).taps["cell_0.edge_0"] for m in masks]
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    soft = {**base, name: PerInstance({"cell_0.edge_0": weights, "cell_1.edge_0": 0})}
    mixed = net(x, mask=soft, taps=["cell_0.edge_0"]).taps["cell_0.edge_0"]
    torch.testing.assert_close(mixed, sum(w * t for w, t in zip(weights, each, strict=True)), **CLOSE)


def test_index_runs_only_the_chosen_path() -> None:
    net, (x,) = supernet_of(CELL), inputs_of(CELL)
    ran: list[str] = []
    for name, module in net.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: ran.append(name))
    net(x, mask={"cell.edge[0]": 2, "cell.edge[1]": 1, "cell.edge[2]": 0})
    convs = [n for n in ran if n.endswith("conv_0")]
    assert convs == ["stem_0.conv_0", "cell_0.edge_0.conv_0", "cell_1.edge_0.conv_0"]


def test_straight_through_one_hot_runs_one_path_and_feeds_its_entry() -> None:
    net, (x,) = supernet_of(CELL).eval(), inputs_of(CELL)
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    probabilities = torch.softmax(logits, 0)
    hard = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    mask: dict[str, object] = dict.fromkeys(net.blueprint.slots, 1)
    index = net(x, mask={**mask, "cell.edge[0]": 2}).prediction
    out = net(x, mask={**mask, "cell.edge[0]": OneHot(hard - probabilities.detach() + probabilities)})
    torch.testing.assert_close(out.prediction, index, **CLOSE)
    out.prediction.sum().backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) > 0
    assert net.get_parameter("cell_0.edge_0.conv_0.weight").grad is not None


def test_two_paths() -> None:
    net, (x,) = supernet_of(CELL).eval(), inputs_of(CELL)
    mask: dict[str, object] = dict.fromkeys(net.blueprint.slots, 1)
    weights = torch.tensor([0.75, 0.25], dtype=torch.float64)
    two = net(x, mask={**mask, "cell.edge[2]": Paths((2, 0), weights)}).prediction
    full = torch.tensor([0.25, 0.0, 0.75, 0.0], dtype=torch.float64)
    torch.testing.assert_close(two, net(x, mask={**mask, "cell.edge[2]": full}).prediction, **CLOSE)


def test_slot_with_several_choices_uses_one_mask() -> None:
    net, (x,) = supernet_of(PYRAMID).eval(), inputs_of(PYRAMID)
    mask = soft_mask(net)
    out = net(x, mask=mask, gates=True)
    assert set(out.gates) == {"column_0", "column_1"}
    loss = loss_of(out.outputs)
    gradients = net.gate_gradients(loss, out)
    for name, entry in mask.items():
        torch.testing.assert_close(gradients[name], torch.autograd.grad(loss, entry, retain_graph=True)[0], **CLOSE)


@pytest.mark.parametrize("toy", [CELL, PICK], ids=["cell", "pick"])
def test_gate_gradients_of_a_soft_mask_are_those_of_autograd(toy: object) -> None:
    net, inputs = supernet_of(toy).eval(), inputs_of(toy)
    mask = soft_mask(net)
    out = net(*inputs, mask=mask, gates=True)
    loss = loss_of(out.outputs)
    found = net.gate_gradients(loss, out)
    by_instance = net.gate_gradients(loss, out, per="instance")
    for name, entry in mask.items():
        expected = torch.autograd.grad(loss, entry, retain_graph=True)[0]
        torch.testing.assert_close(found[name], expected, **CLOSE)
        instances = net.blueprint.slots[name].instances
        torch.testing.assert_close(sum(by_instance[i] for i in instances), expected, **CLOSE)


@pytest.mark.parametrize("toy", [CELL, PICK, PYRAMID], ids=["cell", "pick", "pyramid"])
def test_candidates_that_did_not_run_have_gate_gradients_on_request(toy: object) -> None:
    net, inputs = supernet_of(toy).eval(), inputs_of(toy)
    index: dict[str, int] = dict.fromkeys(net.blueprint.slots, 1)
    soft = {n: torch.eye(s.size, dtype=torch.float64)[1].requires_grad_() for n, s in net.blueprint.slots.items()}
    loss = loss_of(net(*inputs, mask=soft).outputs)
    expected = dict(zip(soft, torch.autograd.grad(loss, list(soft.values())), strict=True))
    out = net(*inputs, mask=index, gates="all")
    found = net.gate_gradients(loss_of(out.outputs), out)
    for name in index:
        torch.testing.assert_close(found[name], expected[name], **CLOSE)
    only_run = net(*inputs, mask=index, gates=True)
    partial = net.gate_gradients(loss_of(only_run.outputs), only_run)
    for name in index:
        torch.testing.assert_close(partial[name], expected[name] * soft[name].detach(), **CLOSE)


def test_candidates_computed_for_gates_leave_no_trace() -> None:
    net, (x,) = supernet_of(PICK).train(), inputs_of(PICK)
    net.set_drop_path(0.5)
    twin = copy.deepcopy(net)
    index = dict.fromkeys(net.blueprint.slots, 1)
    torch.manual_seed(3)
    a = net(x, mask=index, gates="all").prediction
    after = torch.rand(3)
    torch.manual_seed(3)
    b = twin(x, mask=index).prediction
    assert torch.equal(a, b)
    assert torch.equal(after, torch.rand(3))
    assert all(torch.equal(v, twin.state_dict()[k]) for k, v in net.state_dict().items())


def test_gate_gradients_without_trainable_weights() -> None:
    net, (x,) = supernet_of(CELL).eval(), inputs_of(CELL)
    net.freeze("all")
    out = net(x, gates="all")
    gradients = net.gate_gradients(out.prediction.sum(), out)
    assert all(float(g.abs().sum()) > 0 for g in gradients.values())


def test_gate_gradients_need_gates() -> None:
    net, (x,) = supernet_of(CELL), inputs_of(CELL)
    out = net(x)
    with pytest.raises(SpacecError, match="no gates"):
        net.gate_gradients(out.prediction.sum(), out)


def test_elastic_gates() -> None:
    toy = mlp_space()
    net, (x,) = supernet_of(toy), inputs_of(toy)
    mask = soft_mask(net)
    out = net(x, mask=mask, gates=True)
    gradients = net.gate_gradients(out.prediction.sum(), out)
    expected = torch.autograd.grad(out.prediction.sum(), list(mask.values()))
    for found, wanted in zip(gradients.values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, **CLOSE)
        assert float(wanted.abs().sum()) > 0


@pytest.mark.parametrize("norm", ["bn", "layer_norm", "instance_norm"])
def test_elastic_index_and_soft_entries_mix(norm: str) -> None:
    toy = elastic_conv_space(norm)
    net, (x,) = supernet_of(toy).eval(), inputs_of(toy)
    index = {"net.kernel": 0, "net.wide": 0, "net.side": 1}
    expected = net(x, mask=index).prediction
    for name in index:
        soft = torch.eye(net.blueprint.slots[name].size, dtype=torch.float64)[index[name]]
        torch.testing.assert_close(net(x, mask={**index, name: soft}).prediction, expected, **CLOSE)
    blurred = net(x).prediction
    assert not torch.allclose(blurred, expected)


def test_elastic_decisions_need_no_slot_of_their_own() -> None:
    toy = mlp_space(slots=False)
    net, (x,) = supernet_of(toy), inputs_of(toy)
    assert net(x, mask={"net.linear[0]": 0, "net.linear[1]": 2}).prediction.shape == (7, 1)


def test_functional_weights() -> None:
    net, (x,) = supernet_of(CELL).eval(), inputs_of(CELL)
    name = "head_0.linear_0.weight"
    given = (2 * net.get_parameter(name)).detach().requires_grad_()
    out = net(x, weights={name: given})
    bias = net.get_parameter("head_0.linear_0.bias")
    torch.testing.assert_close(out.prediction - bias, 2 * (net(x).prediction - bias), **CLOSE)
    out.prediction.sum().backward()
    assert given.grad is not None
    assert net.get_parameter(name).grad is None


def test_functional_weights_of_elastic_layers() -> None:
    toy = mlp_space()
    net, (x,) = supernet_of(toy), inputs_of(toy)
    for mask in ({"net.linear[0]": 0, "net.linear[1]": 2}, None):
        given = {n: (p * 0.5).detach().requires_grad_() for n, p in net.named_parameters()}
        out = net(x, mask=mask, weights=given)
        halved = net.clone()
        halved.load_state_dict({n: p.detach() for n, p in given.items()})
        torch.testing.assert_close(out.prediction, halved(x, mask=mask).prediction, **CLOSE)
        assert all(g is not None for g in torch.autograd.grad(out.prediction.sum(), list(given.values())))


def test_second_order_gradients_through_functional_weights() -> None:
    net, (x,) = supernet_of(CELL).eval(), inputs_of(CELL)
    mask = soft_mask(net)
    parameters = dict(net.named_parameters())
    first = torch.autograd.grad(
        loss_of(net(x, mask=mask).outputs), list(parameters.values()), create_graph=True, allow_unused=True
    )
    stepped = {n: p - 0.1 * g for (n, p), g in zip(parameters.items(), first, strict=True) if g is not None}
    loss = loss_of(net(x, mask=mask, weights=stepped).outputs)
    gradients = torch.autograd.grad(loss, list(mask.values()))
    assert all(bool(g.isfinite().all()) for g in gradients)


def test_taps() -> None:
    net, (x,) = supernet_of(CELL), inputs_of(CELL)
    taps = ["stem_0.bn_0", "cell_0.edge_0.conv_0", "cell_1.edge_2", "image", "logits"]
    mask = {"cell.edge[0]": 1, "cell.edge[1]": 1, "cell.edge[2]": 2}
    out = net(x, mask=mask, taps=taps)
    assert list(out.taps) == ["stem_0.bn_0", "cell_1.edge_2", "image", "logits"]
    assert out.taps["image"] is x
    assert torch.equal(out.taps["logits"], out.prediction)


def test_inputs_by_position_name_and_mapping() -> None:
    net, (a, b) = supernet_of(PORTS), inputs_of(PORTS)
    expected = net(a, b).outputs
    assert list(expected) == ["main", "side"]
    given = {"lambda": a, "x0": b}
    for outputs in (net(given).outputs, net(**given).outputs, net(a, x0=b).outputs):
        assert all(torch.equal(outputs[n], expected[n]) for n in expected)
    out = net(a, b, taps=["tied_0.linear_0"])
    assert isinstance(out.taps["tied_0.linear_0"], tuple)
    assert out.prediction is out.outputs["main"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net, a, b: net(a), "input 'x0' is missing"),
        (lambda net, a, b: net(a, b, b), "2 inputs .* found 3"),
        (lambda net, a, b: net(a, b, x0=b), "given twice"),
        (lambda net, a, b: net(a, x1=b), "no input 'x1'"),
        (lambda net, a, b: net(a, [1.0]), "must be a tensor"),
    ],
)
def test_inputs_that_do_not_fit(call: Callable[..., object], message: str) -> None:
    net, inputs = supernet_of(PORTS), inputs_of(PORTS)
    with pytest.raises(TypeError, match=message):
        call(net, *inputs)


def test_sizes_are_checked_at_the_entry() -> None:
    net = supernet_of(PYRAMID)
    with pytest.raises(ValueError, match=r"input 'noisy' must be \[N, 1, 2\*H, 2\*W\], found \[1, 1, 5, 8\]"):
        net(torch.zeros(1, 1, 5, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match="must be"):
        net(torch.zeros(1, 8, 8, dtype=torch.float64))
    fixed = supernet_of(CELL)
    with pytest.raises(ValueError, match=r"\[N, 3, 8, 8\], found \[1, 3, 8, 9\]"):
        fixed(torch.zeros(1, 3, 8, 9, dtype=torch.float64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell.edge[0]": 4}, "no candidate 4"),
        ({"cell.edge[0]": torch.ones(3)}, r"shape \(3,\), not \(4,\)"),
        ({"cell.edge[0]": "conv"}, "neither weights nor an index"),
        ({"cell.edgy[0]": 0}, r"no slot `cell.edgy\[0\]`"),
        ({"cell.edge[0]": PerInstance({"cell_0.edge_0": 1})}, "no entry for `cell_1.edge_0`"),
        ({"cell.edge[0]": PerInstance({"cell_7": 1})}, "no instance of slot"),
        ({"cell.edge[0]": Paths((1, 1), torch.ones(2))}, "repeat"),
        ({"cell.edge[0]": Paths((1, 2), torch.ones(3))}, r"shape \(3,\), not \(2,\)"),
    ],
)
def test_masks_that_do_not_fit(change: Mask, message: str) -> None:
    net, (x,) = supernet_of(CELL), inputs_of(CELL)
    with pytest.raises(SpacecError) as caught:
        net(x, mask={**dict.fromkeys(net.blueprint.slots, 0), **change})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0904"
    assert re.search(message, diagnostic.headline)


def test_every_slot_needs_an_entry() -> None:
    net, (x,) = supernet_of(CELL), inputs_of(CELL)
    with pytest.raises(SpacecError, match="no entry for slot"):
        net(x, mask={"cell.edge[0]": 1})


def test_absent_output_is_an_error() -> None:
    net, (x,) = supernet_of(PICK), inputs_of(PICK)
    with pytest.raises(SpacecError, match="output `logits` is absent"):
        net(x, mask=dict.fromkeys(net.blueprint.slots, 0))


def test_relaxed_paths_that_are_no_architecture() -> None:
    net, (x,) = supernet_of(PICK), inputs_of(PICK)
    everything = dict.fromkeys(net.blueprint.slots, 2)
    assert net(x, mask=everything).prediction.shape == (3, 3)


def test_plans_are_cached_within_a_bound() -> None:
    toy = cell_space(cells=1)
    net, (x,) = supernet_of(toy), inputs_of(toy)
    for k in range(80):
        net(x, mask={"cell.edge[0]": k % 4, "cell.edge[1]": k // 4 % 4, "cell.edge[2]": k // 16 % 4})
    assert len(net.blueprint.plans) == 64


def test_unknown_taps_and_weights() -> None:
    net, (x,) = supernet_of(CELL), inputs_of(CELL)
    with pytest.raises(SpacecError, match=r"did you mean `stem_0.bn_0`"):
        net(x, taps=["stem_0.bn_1"])
    with pytest.raises(SpacecError, match=r"no parameter or buffer `stem_0\.conv_0\.bias`"):
        net(x, weights={"stem_0.conv_0.bias": x})


def test_parameter_kinds() -> None:
    net = supernet_of(CELL)
    kinds = {k: set(net.parameters_of(k)) for k in ("weight", "norm", "bias", "head", "all")}
    assert kinds["head"] == {"head_0.linear_0.weight", "head_0.linear_0.bias"}
    assert kinds["bias"] == {"head_0.linear_0.bias"}
    assert "stem_0.bn_0.bias" in kinds["norm"]
    assert kinds["weight"] | kinds["norm"] | kinds["bias"] == kinds["all"] == set(dict(net.named_parameters()))
    net.freeze("norm")
    assert not net.get_parameter("stem_0.bn_0.weight").requires_grad
    net.freeze("norm", frozen=False)
    assert net.get_parameter("stem_0.bn_0.weight").requires_grad
    with pytest.raises(SpacecError, match="no parameter kind `norms`"):
        net.parameters_of("norms")


def test_snapshot_restore_and_clone() -> None:
    net, (x,) = supernet_of(CELL).train(), inputs_of(CELL)
    token, before = net.snapshot(), copy.deepcopy(net.state_dict())
    clone = net.clone()
    parameter = net.get_parameter("stem_0.conv_0.weight")
    with torch.no_grad():
        parameter.add_(1.0)
    net(x)
    assert all(torch.equal(v, clone.state_dict()[k]) for k, v in before.items())
    net.restore(token)
    assert net.get_parameter("stem_0.conv_0.weight") is parameter
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())
    mask = random_architecture(CELL, 1)
    clone.eval(), net.eval()
    assert torch.equal(clone(x, mask=mask).prediction, net(x, mask=mask).prediction)
    with torch.no_grad():
        clone.get_parameter("head_0.linear_0.weight").zero_()
    assert not torch.equal(clone(x, mask=mask).prediction, net(x, mask=mask).prediction)


def test_seeds() -> None:
    a, b = Supernet(CELL.flat, CELL.table, seed=1), Supernet(CELL.flat, CELL.table, seed=1)
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
    other = Supernet(CELL.flat, CELL.table, seed=2)
    assert not torch.equal(a.get_parameter("stem_0.conv_0.weight"), other.get_parameter("stem_0.conv_0.weight"))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    Supernet(CELL.flat, CELL.table, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(0)
    first = Supernet(CELL.flat, CELL.table)
    torch.manual_seed(0)
    second = Supernet(CELL.flat, CELL.table)
    assert all(torch.equal(v, second.state_dict()[k]) for k, v in first.state_dict().items())


NODES = """
space nodes(width = 4)
input  x: [width]
output y: [2]
default pick(absent = 1)
let cell = dag(a) {
  b = sum(pick 1 from [a, a >> tanh]: lin: linear(width) | skip: identity)
  return concat(a, b) >> linear(width)
}
net = cell >> linear(2)
"""


def test_a_mask_that_takes_a_counted_term_from_a_concat_is_incomplete() -> None:
    space = spacec.loads(NODES)
    net = space.supernet(seed=0)
    first, second = (s.id for s in space.slots)
    x = torch.randn(3, 4)
    with pytest.raises(SpacecError, match=r"E0905.*a term of `concat` absent"):
        net(x, {first: 0, second: 0})
    assert [net.complete({first: k, second: 0}) for k in range(3)] == [False, True, True]
    assert net(x, {first: 1, second: 0}).prediction.shape == (3, 2)


def test_zero_weights_that_are_added_get_the_gradient_of_the_sum() -> None:
    """y = O_k(x) + sum_(j != k) Z_j with Z_j = 0: the same value, and dL/dZ_j = sum dL/dy."""
    space = spacec.loads(NODES)
    net = space.supernet(seed=0).double()
    first, second = (s.id for s in space.slots)
    x = torch.randn(3, 4, dtype=torch.float64)
    leaf = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    plain, added = (net(x, {first: OneHot(leaf, zeros), second: 0}, gates=True) for zeros in (False, True))
    assert torch.equal(plain.prediction, added.prediction)
    loss = added.prediction.square().sum()
    (found,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    (record,) = [r for r in added.trace.records if r.slot == first]
    (by_output,) = torch.autograd.grad(loss, record.output)
    torch.testing.assert_close(found[[0, 2]], by_output.sum().expand(2))
    (alone,) = torch.autograd.grad(plain.prediction.square().sum(), leaf)
    assert alone[[0, 2]].tolist() == [0.0, 0.0]
    torch.testing.assert_close(found[1], alone[1])


def test_activations_that_may_have_masks_of_their_own() -> None:
    net = spacec.loads("""
space own(classes = 2)
input  x: [4]
output y: [classes]
let cell = dag(a) { return a >> (lin: linear(4) | skip: identity) }
net = cell * 2 >> linear(elastic {2, 4}) >> linear(classes)
""").supernet(seed=0)
    counts = {slot.partition(".")[0]: len(names) for slot, names in net.instances.items()}
    assert counts == {"cell": 2, "net": 0}


def test_activations_of_several_slots_that_share_a_name_are_told_apart() -> None:
    text = "space s\ninput x: [4]\noutput y: [4]\ndef act = relu | tanh\nnet = linear(4) >> act >> linear(4) >> act\n"
    space = spacec.loads(text)
    net = space.supernet(seed=0)
    out = net(torch.randn(3, 4), gates=True)
    by_instance = net.gate_gradients(out.prediction.sum(), out, per="instance")
    by_slot = net.gate_gradients(out.prediction.sum(), out)
    assert len(by_instance) == len(by_slot) == 2
    assert set(by_instance) == set(out.gates)
    for slot, gradient in by_slot.items():
        (name,) = (n for n in by_instance if n.startswith(f"{slot}/"))
        assert torch.equal(by_instance[name], gradient)
