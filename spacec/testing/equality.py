"""Law 4 as a check that any space and any op can be put to.

A supernet with one architecture selected computes what the stand-alone network computes with the same weights:
outputs and auxiliary losses, gradients of the weights, and running statistics, in training and in evaluation.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from spacec.facade import Space
from spacec.ir.flat import LOSS_PREFIX
from spacec.lower.network import Network, transfer
from spacec.lower.supernet import Supernet
from spacec.space.architecture import Architecture

OUTPUT_TOLERANCE = 1e-10
"""Greatest difference of an output or a running statistic, in float64."""
GRADIENT_TOLERANCE = 1e-8
"""Greatest difference of a gradient, in float64."""


def check_selected(
    space: Space, supernet: Supernet, arch: Architecture, inputs: Mapping[str, Tensor], *, training: bool
) -> None:
    """Raise ``AssertionError`` where ``supernet`` under the mask of ``arch`` is not the network of ``arch``.

    Both must be of float64. Weights and statistics of ``supernet`` are as before afterwards; gradients are left.
    """
    network = space.network(arch, weights=supernet).double()
    before = copy.deepcopy(supernet.state_dict())
    for model in (supernet, network):
        model.train(training)
        model.zero_grad(set_to_none=True)
    theirs = _run(supernet, inputs, space.mask(arch))
    mine = _run(network, inputs, None)
    if mine.keys() != theirs.keys():
        raise AssertionError(f"the network gives {sorted(mine)}, the supernet {sorted(theirs)}")
    for name, value in theirs.items():
        _close(mine[name], value, OUTPUT_TOLERANCE, name)
    for loss in (_loss(mine), _loss(theirs)):
        if loss.requires_grad:  # not where nothing weighs
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
    carried = carry_gradients(supernet, network, space.network(arch).double())
    for name, (received, own) in carried.items():
        _close(received, own, GRADIENT_TOLERANCE, f"gradient of {name}")
    after = space.network(arch, weights=supernet).double()
    for name, buffer in network.named_buffers():
        _close(after.get_buffer(name), buffer, OUTPUT_TOLERANCE, name)
    supernet.load_state_dict(before)


def _run(model: nn.Module, inputs: Mapping[str, Tensor], mask: object) -> dict[str, Tensor]:
    torch.manual_seed(0)  # ops that draw draw alike
    out = model(**inputs) if mask is None else model(**inputs, mask=mask)
    if isinstance(out, Tensor):
        return {"prediction": out}
    if isinstance(out, dict):
        outputs, losses = {k: v for k, v in out.items() if not k.startswith(LOSS_PREFIX)}, out
    else:
        outputs, losses = dict(out.outputs), {f"{LOSS_PREFIX}{k}": v for k, v in out.losses.items()}
    if len(outputs) == 1:
        outputs = {"prediction": next(iter(outputs.values()))}
    return {**outputs, **{k: v for k, v in losses.items() if k.startswith(LOSS_PREFIX)}}


def _loss(outputs: Mapping[str, Tensor]) -> Tensor:
    """A scalar in which every element of every output counts with a weight of its own."""
    total = torch.zeros((), dtype=torch.float64)
    for value in outputs.values():
        ramp = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
        total = total + (ramp * value.square()).sum()
    return total


def carry_gradients(supernet: Supernet, network: nn.Module, carrier: Network) -> dict[str, tuple[Tensor, Tensor]]:
    """Per weight of ``network``: the gradient that the supernet has for it, and its own.

    The supernet's are carried over as if they were weights, into ``carrier``, another network of the same
    architecture. Raises ``AssertionError`` where the supernet has gradients that are carried nowhere.
    """
    source = copy.deepcopy(supernet)
    found = {name: p.grad for name, p in supernet.named_parameters()}
    with torch.no_grad():
        for name, parameter in source.named_parameters():
            gradient = found[name]
            parameter.copy_(torch.zeros_like(parameter) if gradient is None else gradient)
    transfer(source, carrier)
    total = sum(float(g.abs().sum()) for g in found.values() if g is not None)
    alone = sum(float(p.grad.abs().sum()) for p in network.parameters() if p.grad is not None)
    if abs(total - alone) > GRADIENT_TOLERANCE * max(1.0, alone):
        raise AssertionError("the supernet has gradients outside the selected architecture")
    received = dict(carrier.named_parameters())
    own = {name: p.grad if p.grad is not None else torch.zeros_like(p) for name, p in network.named_parameters()}
    return {name: (received[name].detach(), gradient) for name, gradient in own.items()}


def _close(mine: Tensor, theirs: Tensor, tolerance: float, name: str) -> None:
    scale = max(1.0, float(theirs.detach().abs().max())) if theirs.numel() else 1.0
    torch.testing.assert_close(
        mine.detach(), theirs.detach(), rtol=0, atol=tolerance * scale, msg=lambda m: f"{name}: {m}"
    )
