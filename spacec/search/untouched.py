"""Looking without touching: whatever a measurement moves is put back, bit for bit.

Kept are the global generators of Python and torch, whether gradients are recorded and the default number format; of the
context its generators, counters, reason to stop and which supernets there are; of supernets and strategy: modes,
parameters, buffers, gradients, what requires a gradient, and optimiser states. A strategy's other state is kept as far
as its ``state_dict`` holds it.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.context import SearchContext
from spacec.search.strategy import Strategy

PutBack = Callable[[], None]


@contextmanager
def untouched(ctx: SearchContext, strategy: Strategy) -> Iterator[None]:
    """Run the body and put everything back, also where it raises."""
    held = [*ctx.supernets.values(), *ctx.optimizers.values(), {k: v for k, v in vars(strategy).items() if k != "ctx"}]
    back = [_course(ctx), *_things(held), _strategy(strategy), _randomness(ctx)]
    recorded = torch.is_grad_enabled()
    try:
        yield
    finally:
        with torch.no_grad():
            for put in back:
                put()
        torch.set_grad_enabled(recorded)


def _course(ctx: SearchContext) -> PutBack:
    counters = (ctx.epoch, ctx.step, ctx.stopped, ctx.last)
    parts: tuple[dict[str, Any], ...] = (ctx.supernets, ctx.optimizers, ctx.forms)
    held = [(d, dict(d)) for d in parts]
    kind = torch.get_default_dtype()

    def put() -> None:
        ctx.epoch, ctx.step, ctx.stopped, ctx.last = counters
        for now, before in held:
            now.clear()
            now.update(before)
        torch.set_default_dtype(kind)

    return put


def _randomness(ctx: SearchContext) -> PutBack:
    python, own, generator = random.getstate(), ctx.rng.getstate(), ctx.generator.get_state()
    cpu = torch.get_rng_state()
    device = torch.cuda.get_rng_state(ctx.device) if ctx.device.type == "cuda" else None

    def put() -> None:
        random.setstate(python)
        ctx.rng.setstate(own)
        ctx.generator.set_state(generator)
        torch.set_rng_state(cpu)
        if device is not None:
            torch.cuda.set_rng_state(device, ctx.device)

    return put


def _strategy(strategy: Strategy) -> PutBack:
    before = copy.deepcopy(strategy.state_dict())

    def put() -> None:
        if not _same(before, strategy.state_dict()):
            strategy.load_state_dict(before)

    return put


def _things(held: list[Any]) -> list[PutBack]:
    """What puts back the modules, optimisers and tensors that are reached from ``held`` through containers."""
    found: dict[int, Any] = {}
    _collect(held, found)
    kept: list[PutBack] = []
    for thing in found.values():
        if isinstance(thing, Tensor):
            kept.append(_tensor(thing))
        elif isinstance(thing, torch.optim.Optimizer):
            kept.append(_optimizer(thing))
        else:
            kept.append(_mode(thing))
    return kept


def _collect(value: Any, found: dict[int, Any]) -> None:
    if id(value) in found:
        return
    if isinstance(value, Tensor):
        found[id(value)] = value
    elif isinstance(value, nn.Module):
        found[id(value)] = value
        for tensor in (*value.parameters(), *value.buffers()):
            found[id(tensor)] = tensor
    elif isinstance(value, torch.optim.Optimizer):
        found[id(value)] = value
        _collect([group["params"] for group in value.param_groups], found)
    elif isinstance(value, Mapping):
        _collect(list(value.values()), found)
    elif isinstance(value, list | tuple):
        for part in value:
            _collect(part, found)


def _mode(module: nn.Module) -> PutBack:
    before = [(m, m.training) for m in module.modules()]

    def put() -> None:
        for part, training in before:
            part.training = training

    return put


def _tensor(tensor: Tensor) -> PutBack:
    put_value, needed = _contents(tensor), tensor.requires_grad
    gradient = tensor.grad if tensor.is_leaf else None
    put_gradient = None if gradient is None else _contents(gradient)

    def put() -> None:
        put_value()
        if not tensor.is_leaf:
            return
        tensor.requires_grad_(needed)
        if put_gradient is not None:
            put_gradient()
        tensor.grad = gradient

    return put


def _contents(tensor: Tensor) -> PutBack:
    value = tensor.detach().clone()

    def put() -> None:
        if not _same(value, tensor):
            tensor.copy_(value)

    return put


def _optimizer(optimizer: torch.optim.Optimizer) -> PutBack:
    before = copy.deepcopy(optimizer.state_dict())

    def put() -> None:
        if not _same(before, optimizer.state_dict()):
            optimizer.load_state_dict(before)

    return put


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal, tensors in every bit (a NaN is told from all, which costs one more copy)."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b) and _same_signs(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and bool(a == b)


def _same_signs(a: Tensor, b: Tensor) -> bool:
    return not a.is_floating_point() or torch.equal(torch.signbit(a), torch.signbit(b))
