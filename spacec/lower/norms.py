"""Running statistics of batch norms, estimated anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def recalibrate_norm(model: nn.Module, batches: Iterable[Any], forward: Callable[[Any], object] | None = None) -> int:
    """Replace the running statistics of all batch norms by the plain average over ``batches``; how many batches.

    ``forward(batch)`` runs the model (for a supernet: under some mask); by default the model is called
    with a tensor, the parts of a tuple, or a mapping by name. Norms run in train mode, everything else in
    eval mode; modes and momenta are put back. Without batches nothing changes.
    """
    norms = [m for m in model.modules() if _estimates(m)]
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    count = 0
    try:
        model.eval()
        for norm in norms:
            norm.train()
            norm.momentum = None
        with torch.no_grad():
            for batch in batches:
                if not count:
                    for norm in norms:
                        norm.reset_running_stats()
                if forward is None:
                    _call(model, batch)
                else:
                    forward(batch)
                count += 1
    finally:
        for module, training in modes.items():
            module.training = training
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return count


def _estimates(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether it is a norm with running statistics that the space does not freeze."""
    return isinstance(module, _BatchNorm) and module.track_running_stats and not vars(module).get("frozen")


def _call(model: nn.Module, batch: Any) -> object:
    if isinstance(batch, Tensor):
        return model(batch)
    return model(**batch) if isinstance(batch, Mapping) else model(*batch)
