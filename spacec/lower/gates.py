"""Gate gradients: how the loss would change with the weight of each candidate.

A choice computes y = Σ g_k y_k, so dL/dg_k = <dL/dy, y_k>. This needs dL/dy only, so candidates that
did not run cost one forward pass without a graph. Where calls of a merged member meet, x = Σ w_c x_c with weights
that are shares of reach, and reach is a function of the gates: it adds Σ <dL/dx, x_c> dw_c/dg_k.
A picked element that is weighed, z = w_e x_e, gives dL/dw_e = <dL/dz, x_e>; channels that pass a choice by,
z = (Σ g_k) b, give each of its gates <dL/dz, b>.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from spacec.ir.entries import reaches
from spacec.ir.flat import FlatEntry
from spacec.lower import errors
from spacec.lower.elastic import ElasticMask
from spacec.lower.masks import Out, Selection


@dataclass
class GateRecord:
    """One choice that ran: its output and its candidates' values (without those that are absent)."""

    slot: str
    instance: str
    size: int
    node: int
    output: Tensor
    candidates: dict[int, Tensor]


@dataclass
class MeetRecord:
    """One input of a merged member that ran: its value, and what the calls gave it."""

    entry: int
    node: int
    output: Tensor
    candidates: dict[int, Tensor]


@dataclass
class WeightRecord:
    """The mask weights of one activation, as tensors that the pass read: what optimised forms record of a choice."""

    slot: str
    instance: str
    selection: Selection


@dataclass
class Trace:
    """What gate gradients need of a forward pass.

    Its choices and its meetings; by slot, the soft elastic masks, and the soft masks of slots that switches depend
    on. ``gates``: the weights ``(n,)`` by slot and instance, where meetings depend on them.
    """

    records: list[GateRecord] = field(default_factory=list)
    edges: list[GateRecord] = field(default_factory=list)
    """Picked elements that were weighed: the candidate is the element as it came, the output what became of it."""
    bypasses: list[GateRecord] = field(default_factory=list)
    """Channels that pass narrowed choices by: every candidate of the choice weighs the same tensor."""
    meetings: list[MeetRecord] = field(default_factory=list)
    weights: list[WeightRecord] = field(default_factory=list)
    """Watched mask weights; where there are any, nothing else is recorded."""
    entries: Sequence[FlatEntry] = ()
    gates: Mapping[tuple[str, str], Tensor] = field(default_factory=dict)
    elastic: dict[str, Tensor] = field(default_factory=dict)
    switching: dict[str, Tensor] = field(default_factory=dict)
    activations: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What each (slot, instance) is called by itself (:func:`spacec.ir.flat.activation_names`)."""
    total: Callable[[list[Tensor]], list[Tensor]] | None = None
    """Sums of tensors over the processes that ran the pass, where each of several ran a part of the batch."""


def watch(y: Tensor, weighted: bool) -> Tensor:
    """``y`` as a tensor of its own whose gradient can be asked for."""
    if not y.requires_grad:
        return y.detach().requires_grad_() if torch.is_grad_enabled() else y
    return y if weighted else y.view_as(y)


def watch_masks(
    trace: Trace, elastic: ElasticMask | None, decided: Mapping[str, Selection], slots: Mapping[str, str]
) -> dict[str, Selection]:
    """Make the gradient of soft elastic masks, and of what switches depend on, something to ask for.

    ``decided`` are the selections of decisions that switches depend on, ``slots`` their slots; they
    come back on the watched tensors.
    """
    if elastic is not None:
        for name, weights in elastic.soft.items():
            elastic.soft[name] = trace.elastic[elastic.blueprint.slot_of(name)] = _own(weights)
    found: dict[str, Selection] = {}
    for decision, selection in decided.items():
        if selection.weights is None:
            found[decision] = selection
            continue
        if elastic is not None and decision in elastic.soft:
            whole = elastic.soft[decision]
        else:
            whole = trace.switching[slots[decision]] = _own(selection.vector(selection.weights))
        run = torch.tensor(selection.run, dtype=torch.long, device=whole.device)
        found[decision] = Selection(selection.size, selection.run, whole.index_select(0, run))
    return found


def watch_weights(
    trace: Trace, selections: Mapping[tuple[str, str], Selection], names: Collection[tuple[str, str]], like: Tensor
) -> dict[tuple[str, str], Selection]:
    """``selections`` with the weights of the activations ``names`` as tensors whose gradient can be asked for.

    An index becomes a weight of one, of ``like``'s dtype and device.
    """
    found = dict(selections)
    for name in names:
        selection = found[name]
        if selection.run:
            weights = selection.weights if selection.weights is not None else like.new_ones(len(selection.run))
            found[name] = Selection(selection.size, selection.run, _own(weights), selection.added)
            trace.weights.append(WeightRecord(*name, found[name]))
    return found


def _own(weights: Tensor) -> Tensor:
    return weights.clone() if weights.requires_grad else weights.detach().requires_grad_()


def gate_gradients(loss: Tensor, out: Out, per: Literal["slot", "instance"] = "slot") -> dict[str, Tensor]:
    """dL/dgate ``(n,)`` by slot (summed over its instances), or by instance (:func:`spacec.ir.flat.activation_names`).

    The forward pass must have been asked for ``gates``. Candidates that did not run have a zero
    unless it was asked for ``gates="all"``; absent ones are zero by nature. A soft mask that is elastic,
    or that switches depend on, has an entry under its slot's name either way. The graph of ``loss`` is kept.
    """
    if out.trace is None:
        raise errors.lowering_error(
            errors.MASK, "this output has no gates", help="ask the forward pass for them: net(x, mask, gates=True)"
        )
    found = _of_this_process(loss, out.trace, per)
    return found if out.trace.total is None else dict(zip(found, out.trace.total(list(found.values())), strict=True))


def _of_this_process(loss: Tensor, trace: Trace, per: Literal["slot", "instance"]) -> dict[str, Tensor]:
    records = [*trace.records, *trace.edges, *trace.bypasses]
    meetings = trace.meetings
    direct = [*trace.elastic.items(), *trace.switching.items()]
    if trace.weights:
        return _of_weights(loss, trace, per)
    watched = [*(r.output for r in records), *(weights for _, weights in direct), *(m.output for m in meetings)]
    found = torch.autograd.grad(loss, watched, retain_graph=True, allow_unused=True) if watched else ()
    gradients: dict[str, Tensor] = {}
    for record, gradient in zip(records, found, strict=False):
        name = record.slot if per == "slot" else trace.activations[record.slot, record.instance]
        _add(gradients, name, _products(record, gradient))
    for (name, weights), gradient in zip(direct, found[len(records) :], strict=False):
        _add(gradients, name, torch.zeros_like(weights) if gradient is None else gradient)
    for (slot, instance), gradient in _by_reach(trace, found[len(records) + len(direct) :]).items():
        _add(gradients, slot if per == "slot" else trace.activations[slot, instance], gradient)
    return gradients


def _of_weights(loss: Tensor, trace: Trace, per: Literal["slot", "instance"]) -> dict[str, Tensor]:
    weights = [r.selection.weights for r in trace.weights]
    assert all(w is not None for w in weights), "watched weights are tensors"
    found = torch.autograd.grad(loss, [w for w in weights if w is not None], retain_graph=True, allow_unused=True)
    gradients: dict[str, Tensor] = {}
    for record, weight, gradient in zip(trace.weights, weights, found, strict=True):
        assert weight is not None, "see above"
        given = Selection(
            record.selection.size, record.selection.run, torch.zeros_like(weight) if gradient is None else gradient
        )
        name = record.slot if per == "slot" else trace.activations[record.slot, record.instance]
        _add(gradients, name, given.vector(weight))
    return gradients


def shares(amounts: Sequence[Any]) -> list[Any]:
    """Each amount over their sum; equal parts where the sum is zero."""
    total = sum(amounts)
    if not isinstance(total, Tensor):
        return [a / total for a in amounts] if total else [1.0 / len(amounts)] * len(amounts)
    none = total == 0
    whole = torch.where(none, torch.ones_like(total), total)
    return [torch.where(none, 1.0 / len(amounts), a / whole) for a in amounts]


def _by_reach(trace: Trace, gradients: Sequence[Tensor | None]) -> dict[tuple[str, str], Tensor]:
    """What gates do to the loss by way of the weights with which calls meet."""
    joined = [
        (m, g) for m, g in zip(trace.meetings, gradients, strict=False) if g is not None and len(m.candidates) > 1
    ]
    if not joined:
        return {}
    gates = {name: gate.detach().requires_grad_() for name, gate in trace.gates.items()}

    def weigh(slot: str, instance: str, candidates: Collection[int]) -> Any:
        return sum(gates[slot, instance][k] for k in sorted(candidates))

    with torch.enable_grad():
        found = reaches(trace.entries, weigh)
        total = torch.zeros(())
        for meeting, gradient in joined:
            weights = shares([found[meeting.entry][call] for call in meeting.candidates])
            for weight, value in zip(weights, meeting.candidates.values(), strict=True):
                total = total + weight * torch.sum(gradient * value.detach())
        parts = torch.autograd.grad(total, list(gates.values()), allow_unused=True)
    return {name: part for name, part in zip(gates, parts, strict=True) if part is not None}


def _products(record: GateRecord, gradient: Tensor | None) -> Tensor:
    products = record.output.detach().new_zeros(record.size)
    if gradient is not None:
        for k, value in record.candidates.items():
            products[k] = torch.sum(gradient * value.detach())
    return products


def _add(into: dict[str, Tensor], name: str, value: Tensor) -> None:
    into[name] = into[name] + value if name in into else value
