"""Elastic layers on views that last: whatever happens to the weights between two passes, a path is its network."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn

import spacec
from spacec.lower.supernet import Supernet
from spacec.space.architecture import Architecture
from tests.lower.helpers import CLOSE, disturb, inputs_of, loss_of, supernet_of
from tests.lower.spaces import elastic_conv_space

SPACE = spacec.loads("""space s
input image: [2, 6, 6]
output y: [3]
net = conv(elastic {1, 3, 5}, elastic {2, 4}) >> bn
  >> mbconv(elastic {3, 5}, elastic {2, 3}, squeezed(0.5)) -> [4, 6, 6] >> global_pool >> linear(3)
""")
ARCHITECTURES = tuple(SPACE.sample(3, seed=1))


def made() -> Supernet:
    net = SPACE.supernet(seed=0).train()
    disturb(net, 0)
    return net


def image(like: nn.Module) -> torch.Tensor:
    parameter = next(like.parameters())
    return torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(0)).to(parameter.dtype)


def step(net: nn.Module, **options: object) -> None:
    """Forward, backward, and a step that changes every weight with a gradient."""
    net.zero_grad()
    found = net(image(net), **options)
    (found if isinstance(found, torch.Tensor) else found.prediction).square().sum().backward()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad


def compare(net: Supernet, architecture: Architecture) -> None:
    """A pass of ``net`` is one of the network with its weights: output, weights after a step, running statistics."""
    alone = SPACE.network(architecture, weights=net).to(next(net.parameters()).dtype).train()
    for name, parameter in alone.named_parameters():
        parameter.requires_grad_(net.get_parameter(name).requires_grad)
    step(net, mask=architecture)
    step(alone)
    after = SPACE.network(architecture, weights=net).state_dict()
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(tensor, after[name].to(tensor.dtype), rtol=1e-5, atol=1e-5)


def frozen(net: Supernet) -> None:
    for parameter in list(net.parameters())[::2]:
        parameter.requires_grad_(False)


def assigned(net: Supernet) -> None:
    state = {name: tensor.clone() + 0.1 for name, tensor in net.state_dict().items() if tensor.is_floating_point()}
    net.load_state_dict(state, strict=False, assign=True)


def rewritten(net: Supernet) -> None:
    for parameter in net.parameters():
        parameter.data = parameter.data + 0.1


CHANGES: dict[str, Callable[[Supernet], object]] = {
    "nothing": lambda net: None,
    "dtype": lambda net: net.double(),
    "frozen": frozen,
    "assigned": assigned,
    "data": rewritten,
    "layout": lambda net: net.use("fast"),
    "evaluated": lambda net: torch.inference_mode()(net)(image(net), mask=ARCHITECTURES[0]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_path_is_its_network_whatever_became_of_the_weights(change: str) -> None:
    net = made()
    for architecture in ARCHITECTURES:
        compare(net, architecture)
    CHANGES[change](net)
    for architecture in ARCHITECTURES:
        compare(net, architecture)


def test_copies_have_views_of_their_own() -> None:
    net = made()
    compare(net, ARCHITECTURES[0])
    other = net.clone()
    before = net.snapshot().tensors
    compare(other, ARCHITECTURES[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_gradients_of_gradients_and_sums_of_passes() -> None:
    toy = elastic_conv_space()
    net, (x,) = supernet_of(toy).eval(), inputs_of(toy)
    parameters = list(net.parameters())
    masks = [dict.fromkeys(("net.kernel", "net.wide"), k) | {"net.side": 1 - k} for k in (0, 1)]

    def found(weights: dict[str, torch.Tensor] | None) -> list[torch.Tensor | None]:
        """Of the norm of the gradient of two paths together; with ``weights``, by slices cut for this pass alone."""
        total = sum(loss_of(net(x, mask=masks[k], weights=weights).outputs) for k in (0, 1, 0))
        given = parameters if weights is None else list(weights.values())
        first = torch.autograd.grad(total, given, create_graph=True, allow_unused=True)
        norm = torch.stack([g.square().sum() for g in first if g is not None]).sum()
        return list(torch.autograd.grad(norm, given, allow_unused=True))

    expected = found({n: p.detach().requires_grad_() for n, p in net.named_parameters()})
    for _ in range(2):
        for mine, theirs in zip(found(None), expected, strict=True):
            torch.testing.assert_close(mine, theirs, **CLOSE)


def test_a_parameter_hears_of_its_gradient_once_a_pass() -> None:
    net = made()
    weight = net.get_parameter("conv_0.weight")
    heard: list[torch.Size] = []
    weight.register_hook(lambda gradient: heard.append(gradient.shape))
    for _ in range(2):
        step(net, mask=ARCHITECTURES[0])
    assert heard == [weight.shape] * 2


def test_nothing_is_kept_of_weights_that_were_replaced() -> None:
    net = made()
    step(net, mask=ARCHITECTURES[0])
    weight = net.get_parameter("conv_0.weight")
    given = {"conv_0.weight": weight * 2}
    kept = [weakref.ref(weight.untyped_storage()), weakref.ref(given["conv_0.weight"])]
    net(image(net), mask=ARCHITECTURES[0], weights=given)
    del weight, given
    net.double()
    step(net, mask=ARCHITECTURES[0])
    gc.collect()
    assert [reference() for reference in kept] == [None, None]
