"""Helpers over any model: counting, stochastic depth, kinds of parameters, inputs by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from spacec.lower import errors
from spacec.lower.modules import ChannelNorm, DropPath
from spacec.passes.skip_dropout import PREFIX

ParameterKind = Literal["all", "weight", "norm", "bias", "head", "frozen"]
"""``all``; ``norm``: scales and shifts of norms; ``bias``: other biases; ``weight``: the rest;
``head``: every parameter of layers between which and an output no other layer has weights; ``frozen``: those that
the space does not train, which only ``all`` has besides."""

Input = Tensor | tuple[Tensor | None, ...]
"""What a network is given for one of its inputs: a tensor, or the parts of a graph."""

NORMS = (_NormBase, ChannelNorm, nn.LayerNorm, nn.GroupNorm)


def parameters_of(
    model: nn.Module, kinds: Iterable[ParameterKind], heads: Collection[str] = ()
) -> dict[str, nn.Parameter]:
    """Parameters of some kinds, by name and in the model's order; ``heads`` are keys of head layers.

    Raises :class:`SpacecError` (E0908) for an unknown kind.
    """
    asked = set(kinds)
    for kind in asked:
        if kind not in get_args(ParameterKind):
            raise errors.unknown_name(errors.NAME, "parameter kind", kind, get_args(ParameterKind))
    frozen = [name for name, module in model.named_modules() if vars(module).get("frozen")]
    found = {}
    for prefix, module in model.named_modules(remove_duplicate=True):
        for name, parameter in module.named_parameters(recurse=False):
            own = "norm" if isinstance(module, NORMS) else "bias" if name == "bias" else "weight"
            told = {"all", own, *(("head",) if _within(prefix, heads) else ())}
            if asked & ({"all", "frozen"} if _within(prefix, frozen) else told):
                found[f"{prefix}.{name}" if prefix else name] = parameter
    return found


def _within(prefix: str, keys: Collection[str]) -> bool:
    return any(prefix == key or prefix.startswith(f"{key}.") for key in keys)


def set_drop_path(model: nn.Module, rate: float) -> None:
    """Set the rate of every stochastic-depth stage. Raises :class:`ValueError` outside [0, 1)."""
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"a drop-path rate must be in [0, 1), not {rate}")
    for module in model.modules():
        if isinstance(module, DropPath):
            module.rate = rate


def set_skip_dropout(model: nn.Module, rate: float) -> None:
    """Set the rate of the dropouts behind skips (:mod:`spacec.passes.skip_dropout`); none there is no mistake.

    Raises :class:`ValueError` outside [0, 1).
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"a dropout rate must be in [0, 1), not {rate}")
    found = model._modules.get(PREFIX)
    for module in () if found is None else found.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate


@contextmanager
def without_noise(model: nn.Module) -> Iterator[None]:
    """Dropouts and stochastic depth off for the body of a ``with``."""
    found = [m for m in model.modules() if isinstance(m, nn.Dropout | DropPath) and m.training]
    for module in found:
        module.training = False
    try:
        yield
    finally:
        for module in found:
            module.training = True


def ordered_inputs(
    names: tuple[str, ...], given: tuple[Input | Mapping[str, Input], ...], named: Mapping[str, Input]
) -> tuple[Input, ...]:
    """Inputs in order, from positions, names, or one mapping. Raises :class:`TypeError` where they do not fit."""
    if len(given) == 1 and isinstance(given[0], Mapping):
        return ordered_inputs(names, (), {**given[0], **named})
    found: dict[str, Input] = {}
    for name, value in zip(names, given, strict=False):
        if not isinstance(value, Tensor | tuple):
            raise TypeError(f"input '{name}' must be a tensor, not {type(value).__name__}")
        found[name] = value
    if len(given) > len(names):
        raise TypeError(f"the network has {len(names)} inputs ({', '.join(names)}), found {len(given)}")
    for name, tensor in named.items():
        if name not in names:
            raise TypeError(f"the network has no input '{name}'; it has {', '.join(names)}")
        if name in found:
            raise TypeError(f"input '{name}' is given twice")
        found[name] = tensor
    missing = [name for name in names if name not in found]
    if missing:
        raise TypeError(f"input '{missing[0]}' is missing")
    return tuple(found[name] for name in names)
