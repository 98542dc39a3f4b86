"""Law 4 between the forms of one supernet: an optimised form computes what the plain one does.

Outputs, auxiliary losses and taps, gradients of weights and of masks, gate gradients, running statistics; in training
and in evaluation, under every kind of mask.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spacec.lower.masks import Mask, OneHot, Out, Paths, PerInstance
from spacec.lower.supernet import Supernet

TOLERANCE = 1e-10
"""Greatest difference of anything, in float64, relative to its greatest element where that is over one."""
TRIES = 200


@dataclass(frozen=True)
class MaskForm:
    """A mask and the tensors in it whose gradients are compared."""

    name: str
    mask: Mask
    leaves: tuple[Tensor, ...]


def mask_form(name: str, supernet: Supernet, seed: int, dtype: torch.dtype = torch.float64) -> MaskForm:
    """A random mask of a kind of :data:`MASK_FORMS`.

    Raises ``AssertionError`` where none of many draws leaves all outputs present.
    """
    draw = random.Random(seed)
    for _ in range(TRIES):
        leaves: list[Tensor] = []

        def leaf(size: int, leaves: list[Tensor] = leaves) -> Tensor:
            made = torch.tensor([draw.uniform(0.1, 1.0) for _ in range(size)], dtype=dtype, requires_grad=True)
            leaves.append(made)
            return made

        mask = {slot: MASK_FORMS[name](draw, leaf, supernet, slot) for slot in supernet.blueprint.slots}
        if supernet.complete(mask):
            return MaskForm(name, mask, tuple(leaves))
    raise AssertionError(f"no mask of kind {name} leaves every output present")


Leaf = Callable[[int], Tensor]


def _soft(draw: random.Random, leaf: Leaf, supernet: Supernet, slot: str) -> Any:
    return leaf(supernet.blueprint.slots[slot].size)


def _one_hot(draw: random.Random, leaf: Leaf, supernet: Supernet, slot: str) -> Any:
    size = supernet.blueprint.slots[slot].size
    weights = leaf(size)
    hard = torch.zeros_like(weights)
    hard[draw.randrange(size)] = 1.0
    return OneHot(hard - weights.detach() + weights)


def _index(draw: random.Random, leaf: Leaf, supernet: Supernet, slot: str) -> Any:
    return draw.randrange(supernet.blueprint.slots[slot].size)


def _two_paths(draw: random.Random, leaf: Leaf, supernet: Supernet, slot: str) -> Any:
    size = supernet.blueprint.slots[slot].size
    indices = tuple(sorted(draw.sample(range(size), min(2, size))))
    return Paths(indices, leaf(len(indices)))


def _most(draw: random.Random, leaf: Leaf, supernet: Supernet, slot: str) -> Any:
    size = supernet.blueprint.slots[slot].size
    indices = tuple(sorted(draw.sample(range(size), max(1, size - 1))))
    return Paths(indices, leaf(len(indices)))


def _per_instance(draw: random.Random, leaf: Leaf, supernet: Supernet, slot: str) -> Any:
    instances = supernet.instances[slot]
    size = supernet.blueprint.slots[slot].size
    return PerInstance({name: leaf(size) for name in instances}) if instances else leaf(size)


MASK_FORMS: Mapping[str, Callable[[random.Random, Leaf, Supernet, str], Any]] = {
    "soft": _soft,
    "per instance": _per_instance,
    "most": _most,
    "two paths": _two_paths,
    "one-hot": _one_hot,
    "index": _index,
}
"""Kinds of masks by name; ``most``: all candidates of a slot but one."""


def check_forms(
    plain: Supernet,
    other: Supernet,
    inputs: Mapping[str, Any],
    form: MaskForm,
    *,
    training: bool,
    taps: tuple[str, ...] = (),
    gates: bool = False,
    tolerance: float = TOLERANCE,
) -> None:
    """Raise ``AssertionError`` where ``other`` differs from ``plain``, of which it takes weights and state.

    Both must be of float64 for the default tolerance. Weights and statistics of both are as before afterwards.
    """
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    other.load_state_dict(before)
    found = []
    for net in (plain, other):
        net.train(training)
        found.append(_measured(net, inputs, form, taps, gates))
        found[-1].update((f"state {name}", tensor.clone()) for name, tensor in net.state_dict().items())
        net.load_state_dict(before)
    mine, theirs = found
    if mine.keys() != theirs.keys():
        raise AssertionError(f"only one form gives {sorted(mine.keys() ^ theirs.keys())[:5]}")
    for name, value in mine.items():
        _close(name, value, theirs[name], tolerance)


def _measured(
    net: Supernet, inputs: Mapping[str, Any], form: MaskForm, taps: tuple[str, ...], gates: bool
) -> dict[str, Tensor]:
    torch.manual_seed(0)  # ops that draw draw alike
    net.zero_grad(set_to_none=True)
    for leaf in form.leaves:
        leaf.grad = None
    out: Out = net(**inputs, mask=form.mask, taps=taps, gates=gates)
    loss = _loss(out)
    found = {f"output {name}": value.detach() for name, value in out.outputs.items()}
    found.update((f"loss {name}", value.detach()) for name, value in out.losses.items())
    for name, tap in out.taps.items():
        values = tap if isinstance(tap, tuple) else (tap,)
        found.update((f"tap {name} {k}", value.detach()) for k, value in enumerate(values))
    if gates and loss.requires_grad:
        found.update((f"gate {name}", value) for name, value in net.gate_gradients(loss, out).items())
        found.update((f"weights of {name}", value.detach()) for name, value in out.gates.items())
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
    for name, parameter in net.named_parameters():
        found[f"gradient of {name}"] = _gradient(parameter)
        found[f"whether {name} has a gradient"] = torch.tensor(float(parameter.grad is not None))
    for k, leaf in enumerate(form.leaves):
        found[f"gradient of mask {k}"] = _gradient(leaf)
    return found


def _gradient(tensor: Tensor) -> Tensor:
    """What is compared of a gradient, where a missing one is zero; whether it is there is compared apart."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.clone()


def _loss(out: Out) -> Tensor:
    """A scalar in which every element of every output counts with a weight of its own."""
    values = [*out.outputs.values(), *out.losses.values()]
    total = torch.zeros((), dtype=values[0].dtype)
    for value in values:
        ramp = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
        total = total + (ramp * value.square()).sum()
    return total


def _close(name: str, mine: Tensor, theirs: Tensor, tolerance: float) -> None:
    scale = max(1.0, float(mine.abs().max())) if mine.numel() else 1.0
    torch.testing.assert_close(
        theirs, mine, rtol=0, atol=tolerance * scale, check_stride=False, msg=lambda m: f"{name}: {m}"
    )
