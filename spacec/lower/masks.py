"""Masks: what a caller says about each slot of a supernet, and how it is read.

=====================  =============================================================================
entry                  meaning for a slot of n candidates
=====================  =============================================================================
float tensor ``(n,)``  soft: every candidate runs, the result is their weighted sum
``OneHot(t)``          candidates with a non-zero entry run, each multiplied by its entry of ``t``, so
                       that gradients flow into a straight-through one-hot
``int``                index: only that candidate runs, unweighted; what the stand-alone network does
``None``               nothing runs: the result is absent
``Paths(ks, w)``       the candidates ``ks`` run, weighted by ``w`` (two-path sampling)
``PerInstance(m)``     one entry for each activation of a shared slot, by instance name
=====================  =============================================================================

The slot of edge weights of a pick multiplies its elements: by their entries of a vector, by one and zero for
an index, and not at all for ``None``, which is what the mask of an architecture says.

For an elastic decision, an index takes slices of the largest weights, anything else mixes the masks
of its sizes at the largest size.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spacec.lower import errors
from spacec.space.decisions import DecisionTable

if TYPE_CHECKING:
    from spacec.lower.gates import Trace
    from spacec.space.architecture import Architecture


@dataclass(frozen=True)
class OneHot:
    """A straight-through one-hot ``(n,)``: value one at the sampled candidate, zero elsewhere.

    ``zeros`` adds the weights that are zero to the result, as numbers: nothing but their gradients changes, which
    become the sum of dL/dy (what GDAS' released code does).
    """

    weights: Tensor
    zeros: bool = False


@dataclass(frozen=True)
class Paths:
    """Some candidates, each with its weight; ``weights`` is ``(len(indices),)``."""

    indices: tuple[int, ...]
    weights: Tensor


SlotMask = Tensor | OneHot | Paths | Sequence[float] | int | None


@dataclass(frozen=True)
class PerInstance:
    """Entries by instance name, for a slot that several cells share."""

    masks: Mapping[str, SlotMask]


Mask = Mapping[str, "SlotMask | PerInstance"]


@dataclass(frozen=True)
class Out:
    """What one forward pass of a supernet gives.

    ``prediction`` is the first output; ``outputs`` all of them by name; ``taps`` the asked-for
    intermediate tensors (those that ran); ``losses`` auxiliary scalars by name; ``gates`` the weights
    ``(n,)`` that each instance used (:func:`spacec.ir.flat.activation_names`), where the pass kept them.
    """

    prediction: Tensor
    outputs: Mapping[str, Tensor]
    taps: Mapping[str, Tensor | tuple[Tensor, ...]] = field(default_factory=dict)
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    gates: Mapping[str, Tensor] = field(default_factory=dict)
    trace: Trace | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Selection:
    """One entry, read: ``run`` lists candidates, ``weights[p]`` weighs ``run[p]`` (``None``: unweighted).

    ``added``: a zero to add to the result, for its gradient.
    """

    size: int
    run: tuple[int, ...]
    weights: Tensor | None = None
    added: Tensor | None = None

    def vector(self, like: Tensor) -> Tensor:
        """Weights ``(n,)`` over all candidates; one-hot (of ``like``'s dtype and device) for an index."""
        weights = self.weights if self.weights is not None else like.new_ones(len(self.run))
        if self.run == tuple(range(self.size)):
            return weights
        index = torch.tensor(self.run, dtype=torch.long, device=weights.device)
        return weights.new_zeros(self.size).index_put((index,), weights)


@dataclass(frozen=True)
class SlotInfo:
    """What a supernet knows of a slot: its candidates' labels and its instances (none for an elastic decision)."""

    id: str
    labels: tuple[str, ...]
    instances: frozenset[str]
    sized: bool = False
    """What it takes decides sizes that no mixture has."""

    @property
    def size(self) -> int:
        return len(self.labels)


def read_mask(slots: Mapping[str, SlotInfo], mask: Mask | None) -> dict[tuple[str, str], Selection]:
    """Selections by (slot, instance); an elastic slot has the instance ``""``. ``None`` is the uniform soft mask.

    Raises :class:`SpacecError` (E0904) for a slot without entry, an unknown slot, or an entry that
    does not fit its slot.
    """
    if mask is None:
        mask = {slot.id: torch.full((slot.size,), 1.0 / slot.size) for slot in slots.values()}
    for name in mask:
        if name not in slots:
            raise errors.unknown_name(errors.MASK, "slot", name, slots)
    found = {}
    for slot in slots.values():
        if slot.id not in mask:
            raise errors.lowering_error(errors.MASK, f"the mask has no entry for slot `{slot.id}`")
        entry = mask[slot.id]
        if not isinstance(entry, PerInstance):
            selection = read_entry(slot, entry)
            for instance in slot.instances or ("",):
                found[slot.id, instance] = selection
            continue
        if not slot.instances:
            raise errors.lowering_error(errors.MASK, f"`{slot.id}` is an elastic decision: it has no instances")
        for instance in entry.masks:
            if instance not in slot.instances:
                raise errors.unknown_name(errors.MASK, f"instance of slot `{slot.id}`", instance, slot.instances)
        for instance in slot.instances:
            if instance not in entry.masks:
                raise errors.lowering_error(errors.MASK, f"the mask of slot `{slot.id}` has no entry for `{instance}`")
            found[slot.id, instance] = read_entry(slot, entry.masks[instance])
    return found


def read_entry(slot: SlotInfo, entry: SlotMask) -> Selection:
    """One entry, checked against its slot."""
    if type(entry) is int and 0 <= entry < slot.size:
        return _alone(slot.size, entry)
    match entry:
        case None:
            return _alone(slot.size, None)
        case OneHot():
            _check_vector(slot, entry.weights, slot.size)
            run = tuple(entry.weights.detach().nonzero().flatten().tolist())
            index = torch.tensor(run, dtype=torch.long, device=entry.weights.device)
            added = entry.weights[entry.weights.detach() == 0].sum() if entry.zeros else None
            return Selection(slot.size, run, entry.weights.index_select(0, index), added)
        case Paths():
            indices = tuple(_check_index(slot, k) for k in entry.indices)
            if len(set(indices)) != len(indices):
                raise errors.lowering_error(errors.MASK, f"the paths of slot `{slot.id}` repeat a candidate")
            _check_vector(slot, entry.weights, len(indices))
            return Selection(slot.size, indices, entry.weights)
        case Tensor() if entry.is_floating_point():
            _check_vector(slot, entry, slot.size)
            return Selection(slot.size, tuple(range(slot.size)), entry)
        case list() | tuple():
            return read_entry(slot, torch.tensor(entry, dtype=torch.get_default_dtype()))
    return _alone(slot.size, _check_index(slot, entry))


@cache
def _alone(size: int, index: int | None) -> Selection:
    """The selection of one candidate, or of none; it is data, and every path is read into many of them."""
    return Selection(size, () if index is None else (index,))


def _check_index(slot: SlotInfo, index: object) -> int:
    try:
        k = operator.index(index)  # type: ignore[arg-type]  # anything: the error below names it
    except TypeError:
        raise errors.lowering_error(
            errors.MASK, f"the mask of slot `{slot.id}` is {type(index).__name__}: neither weights nor an index"
        ) from None
    if not 0 <= k < slot.size:
        raise errors.lowering_error(
            errors.MASK,
            f"slot `{slot.id}` has no candidate {k}",
            notes=(f"its {slot.size} are {', '.join(slot.labels)}",),
        )
    return k


def _check_vector(slot: SlotInfo, weights: Tensor, size: int) -> None:
    if weights.shape != (size,):
        raise errors.lowering_error(
            errors.MASK,
            f"the mask of slot `{slot.id}` has shape {tuple(weights.shape)}, not ({size},)",
            notes=(f"its candidates are {', '.join(slot.labels)}",),
        )


def architecture_mask(table: DecisionTable, architecture: Architecture) -> dict[str, int | None]:
    """The index mask that selects one architecture."""
    from spacec.space.derive import slots_of

    return dict(slots_of(table, architecture))
