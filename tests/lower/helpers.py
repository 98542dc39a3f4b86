"""What the tests of the back end share."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spacec.facade import Space
from spacec.ir.flat import LOSS_PREFIX
from spacec.lower.masks import Out
from spacec.lower.network import Network
from spacec.lower.supernet import Supernet
from spacec.space.architecture import Architecture
from spacec.space.decisions import Decision
from tests.lower.spaces import Toy

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def random_architecture(toy: Toy, seed: int) -> Architecture:
    source = random.Random(seed)

    def choose(decision: Decision) -> int | tuple[int, ...]:
        if decision.kind == "subset":
            size = source.randint(decision.low, decision.high)
            return tuple(sorted(source.sample(range(decision.size), size)))
        return source.randrange(len(decision.labels))

    return toy.architecture(choose)


def supernet_of(toy: Toy, seed: int = 0) -> Supernet:
    net = Supernet(toy.flat, toy.table, seed=seed).double()
    disturb(net, seed)
    return net


def network_of(toy: Toy, architecture: Architecture, seed: int | None = 0) -> Network:
    return Network(toy.flat, toy.table, architecture, seed=seed).double()


def disturb(model: nn.Module, seed: int) -> None:
    """Norms that do more than the identity: scales, shifts and statistics as after some training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dim() == 1 and tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.copy_(noise + 0.5 if name.endswith(("running_var", "weight")) else noise - 0.5)


def inputs_of(toy: Toy, seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(s, generator=generator, dtype=torch.float64) for s in toy.shapes)


def loss_of(outputs: Mapping[str, Tensor]) -> Tensor:
    """A scalar that tells every element of every output apart."""
    terms = [
        (t * torch.arange(1.0, t.numel() + 1, dtype=t.dtype).reshape(t.shape)).sin().sum() for t in outputs.values()
    ]
    return torch.stack(terms).sum()


def as_out(network: nn.Module, result: Tensor | Mapping[str, Tensor]) -> Out:
    """What a network returned, in the form in which supernets return it."""
    if isinstance(result, Tensor):
        name = network.design.outputs[0] if isinstance(network, Network) else "output"
        return Out(result, {name: result})
    outputs = {name: value for name, value in result.items() if not name.startswith(LOSS_PREFIX)}
    losses = {name.removeprefix(LOSS_PREFIX): v for name, v in result.items() if name.startswith(LOSS_PREFIX)}
    return Out(next(iter(outputs.values())), outputs, losses=losses)


def count_parameters(model: nn.Module) -> int:
    """Number of weights."""
    return sum(p.numel() for p in model.parameters())


def exported(space: Space, architecture: Architecture) -> nn.Module:
    """The module that the stand-alone source of an architecture builds, as who imports the file gets it."""
    scope: dict[str, Any] = {"__name__": "exported"}
    exec(compile(space.source(architecture), "network.py", "exec"), scope)
    model = scope["build"]()
    assert isinstance(model, nn.Module)
    return model
