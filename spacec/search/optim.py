"""Optimisers and learning-rate schedules of network weights, as options.

The rate is a function of the position in the run, never of a scheduler's history, so a resumed run has the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.options import Options, option


@dataclass(frozen=True)
class OptimOptions(Options):
    """How weights are trained. Defaults are DARTS' (Liu et al., ICLR 2019), which most methods start from."""

    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = option("sgd", "optimiser of the weights")
    lr: float = option(0.025, "learning rate of the weights", low=0)
    lr_min: float = option(0.001, "rate at the end of a cosine or linear schedule", low=0)
    schedule: Literal["cosine", "linear", "step", "constant"] = option("cosine", "how the rate falls")
    schedule_by: Literal["epoch", "step"] = option("epoch", "whether the rate moves once an epoch or every step")
    decay_every: float = option(1.0, "epochs between decays of a step schedule", low=1e-6)
    decay: float = option(0.97, "factor of a step schedule", low=0, high=1)
    warmup: float = option(0.0, "epochs of linear warm-up", low=0)
    warmup_lr: float = option(0.0, "rate at the start of the warm-up", low=0)
    momentum: float = option(0.9, "momentum of sgd and rmsprop", low=0, high=1)
    nesterov: bool = option(False, "Nesterov momentum (sgd)")
    betas: tuple[float, float] = option((0.9, 0.999), "moment decays of adam and adamw", low=0, below=1)
    alpha: float = option(0.99, "moment decay of rmsprop", low=0, high=1)
    eps: float = option(1e-8, "denominator term of adam, adamw and rmsprop", low=0)
    weight_decay: float = option(3e-4, "L2 decay of the weights (decoupled in adamw)", low=0)
    norm_decay: bool = option(True, "whether norms and biases decay too")
    clip: float = option(5.0, "largest gradient norm; 0 for no clipping", low=0)
    clip_value: float = option(0.0, "largest size of each entry of a gradient; 0 for no such clipping", low=0)

    def __post_init__(self) -> None:
        if self.nesterov and self.optimizer == "sgd" and not self.momentum > 0:
            raise SpacecError(Diagnostic("E0703", "nesterov momentum needs a momentum above 0"))


def make_optimizer(model: nn.Module, options: OptimOptions) -> torch.optim.Optimizer:
    """The optimiser of all parameters of ``model``; vectors decay apart where ``norm_decay`` is off."""
    params = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": params, "weight_decay": options.weight_decay}]
    if not options.norm_decay:
        groups = [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": options.weight_decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
        ]
    match options.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, options.lr, momentum=options.momentum, nesterov=options.nesterov)
        case "adam":
            return torch.optim.Adam(groups, options.lr, betas=options.betas, eps=options.eps)
        case "adamw":
            return torch.optim.AdamW(groups, options.lr, betas=options.betas, eps=options.eps)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, options.lr, alpha=options.alpha, eps=options.eps, momentum=options.momentum
            )


def learning_rate(options: OptimOptions, epoch: int, step: int, steps: int, epochs: int) -> float:
    """The rate of step ``step`` of ``steps`` in epoch ``epoch`` of ``epochs``.

    The cosine is that of Loshchilov & Hutter (2017) without restarts, over the epochs after the warm-up.
    """
    at = epoch + (step / steps if options.schedule_by == "step" else 0.0)
    if epoch + step / steps < options.warmup:
        return options.warmup_lr + (options.lr - options.warmup_lr) * (epoch + step / steps) / options.warmup
    if options.schedule == "constant":
        return options.lr
    if options.schedule == "step":
        return options.lr * options.decay ** int(at / options.decay_every)
    share = min(1.0, max(0.0, at - options.warmup) / max(epochs - options.warmup, 1e-12))
    fall = (1 + cos(pi * share)) / 2 if options.schedule == "cosine" else 1 - share
    return options.lr_min + (options.lr - options.lr_min) * fall


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of the groups that :func:`make_optimizer` made; a group with ``own_rate`` keeps its own."""
    for group in optimizer.param_groups:
        if not group.get("own_rate"):
            group["lr"] = rate


def clip_gradients(model: nn.Module, options: OptimOptions) -> None:
    """By the norm of the whole gradient, then entry by entry, as far as the options ask for it."""
    weights = list(model.parameters())
    if options.clip > 0:
        nn.utils.clip_grad_norm_(weights, options.clip)
    if options.clip_value > 0:
        nn.utils.clip_grad_value_(weights, options.clip_value)


@dataclass(frozen=True)
class WeightHyper:
    """Hyper-parameters and state of the weight step of one parameter, for methods that look ahead."""

    lr: float
    momentum: float
    weight_decay: float
    buffer: Tensor | None


def weight_hypers(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, WeightHyper]:
    """Parameter name to the state of its next SGD step; ``buffer`` is ``None`` before the first one."""
    names = {id(p): name for name, p in model.named_parameters()}
    out: dict[str, WeightHyper] = {}
    for group in optimizer.param_groups:
        for p in group["params"]:
            if id(p) in names:
                state: Mapping[str, Any] = optimizer.state.get(p, {})
                out[names[id(p)]] = WeightHyper(
                    group["lr"], group.get("momentum", 0.0), group["weight_decay"], state.get("momentum_buffer")
                )
    return out
