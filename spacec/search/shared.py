"""A network's pass in shares: every process runs its samples of the batch, and all have the outputs of all samples.

Weights and masks *enter* the pass (:mod:`spacec.search.shares`): a gradient by them is summed over the processes in one
flat message, for the first and for any further derivative, whoever asks for it. What no path read has no gradient, as
in one process, and its optimiser leaves it alone. Outputs leave it whole; losses that layers emit are means over
samples, and leave it as means over all of them.

Within the pass, norms take their statistics over the whole batch, and what is drawn is drawn for the whole batch on
every process, which takes its samples' part (:mod:`spacec.search.within`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from spacec.search.ranks import Ranks
from spacec.search.shares import Part, enter, refused, share, summed, total, whole
from spacec.search.task import OutLike
from spacec.search.within import Within


def run_supernet(
    ranks: Ranks,
    net: Any,
    inputs: Sequence[Any],
    mask: Mapping[str, Any] | None,
    weights: Mapping[str, Tensor] | None,
    **options: Any,
) -> OutLike:
    """``net(*inputs, mask=…, weights=…, **options)`` in shares; see the module. Outputs are common.

    Raises E0855 where processes are about to run different paths, E0856 for what cannot be shared.
    """
    part = _part(ranks, inputs)
    ranks.agree("they are about to run different passes", {**_pass_facts(net, part, options), **_mask_facts(mask)})
    entered, given = _entered(ranks, net, weights), mask
    if torch.is_grad_enabled():
        given = _of_tensors(mask, lambda found: enter(ranks, found))
    with Within(part):
        out = net(*(_own(part, x) for x in inputs), mask=given, weights=entered, **options)
    return _common(part, out)


def run_network(ranks: Ranks, net: nn.Module, inputs: Sequence[Any]) -> dict[str, Tensor] | Tensor:
    """``net(*inputs)`` of a stand-alone network in shares: outputs are common; so are losses, under ``loss:NAME``."""
    part = _part(ranks, inputs)
    ranks.agree("they are about to run different passes", _pass_facts(net, part, {}))
    entered = _entered(ranks, net, None)
    own = tuple(_own(part, x) for x in inputs)
    with Within(part):
        out = net(*own) if entered is None else torch.func.functional_call(net, entered, own)
    if isinstance(out, Tensor):
        return whole(part, out)
    losses = {name: t for name, t in out.items() if t.dim() == 0}
    means = dict(zip(losses, _means(part, list(losses.values())), strict=True))
    return {name: means[name] if name in means else whole(part, t) for name, t in out.items()}


def _part(ranks: Ranks, inputs: Sequence[Any]) -> Part:
    if any(not isinstance(x, Tensor) for x in inputs):
        raise refused("a batch of graphs cannot be shared out between processes")
    return Part.of(ranks, inputs[0].shape[0])


def _own(part: Part, x: Tensor) -> Tensor:
    return share(part, x) if x.requires_grad else part.rows(x)


def _entered(ranks: Ranks, net: nn.Module, weights: Mapping[str, Tensor] | None) -> dict[str, Tensor] | None:
    """The weights of a pass by name, as own tensors: those of the network that are trained, and those given."""
    if not torch.is_grad_enabled():
        return None if weights is None else dict(weights)
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    found = {**trained, **(weights or {})}
    flowing = [name for name, t in found.items() if t.requires_grad]
    return {**found, **dict(zip(flowing, enter(ranks, [found[name] for name in flowing]), strict=True))}


def _common(part: Part, out: Any) -> OutLike:
    """What a pass gave of own samples, for all of them. Gate gradients are summed when they are asked for."""
    ranks = part.ranks
    seen: dict[int, Tensor] = {}

    def of(tensor: Tensor) -> Tensor:
        if id(tensor) not in seen:
            seen[id(tensor)] = whole(part, tensor)
        return seen[id(tensor)]

    taps = {name: tuple(map(of, t)) if isinstance(t, tuple) else of(t) for name, t in out.taps.items()}
    outputs = {name: of(t) for name, t in out.outputs.items()}
    means = _means(part, list(out.losses.values()))
    gates = total(ranks, [t if ranks.leads else torch.zeros_like(t) for t in out.gates.values()])
    if out.trace is not None:
        out.trace.total = lambda found: summed(ranks, found)
    found: OutLike = replace(
        out,
        prediction=of(out.prediction),
        outputs=outputs,
        taps=taps,
        losses=dict(zip(out.losses, means, strict=True)),
        gates=dict(zip(out.gates, gates, strict=True)),
    )
    return found


def _means(part: Part, losses: Sequence[Tensor]) -> list[Tensor]:
    """Means over own samples, as means over all."""
    return total(part.ranks, [loss * (part.count / part.samples) for loss in losses])


def _pass_facts(net: nn.Module, part: Part, options: Mapping[str, Any]) -> dict[str, str]:
    return {
        "samples": str(part.samples),
        "mode": "train" if net.training else "eval",
        "gradients": str(torch.is_grad_enabled()),
        "gates": str(options.get("gates", False)),
    }


def _mask_facts(mask: Mapping[str, Any] | None) -> dict[str, str]:
    """By slot, what of it runs: candidates that were drawn, whatever they are weighed with."""
    return {} if mask is None else {slot: _entry_text(entry) for slot, entry in mask.items()}


def _entry_text(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return ", ".join(f"{name}: {_entry_text(value)}" for name, value in entry.items())
    if is_dataclass(entry):
        return ", ".join(_field_text(getattr(entry, f.name)) for f in fields(entry))
    return f"soft {entry.shape[0]}" if isinstance(entry, Tensor) and entry.dim() else str(entry)


def _field_text(value: Any) -> str:
    if isinstance(value, Tensor):
        return "candidates " + " ".join(map(str, value.detach().nonzero().flatten().tolist()))
    return _entry_text(value)


def _of_tensors(value: Any, work: Callable[[list[Tensor]], list[Tensor]]) -> Any:
    """``value`` with each of its tensors that has a gradient put through ``work``, all at once."""
    found: dict[int, Tensor] = {}
    _walk(value, lambda t: found.setdefault(id(t), t) if t.requires_grad else t)
    new = dict(zip(found, work(list(found.values())), strict=True))
    return _walk(value, lambda t: new.get(id(t), t))


def _walk(value: Any, f: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return f(value)
    if isinstance(value, Mapping):
        return {name: _walk(entry, f) for name, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f_.name: _walk(getattr(value, f_.name), f) for f_ in fields(value)})
    return value
