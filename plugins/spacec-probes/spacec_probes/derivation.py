"""What the search would give if it ended now: skips, weights and multiplies of the architecture that it derives.

A *skip* is an operation that gives its input, told by the ops' laws and the types (:mod:`spacec.ir.roles`), not by its
label: a strided skip, which computes, is none. Many skips are the mark of a differentiable search that has gone
wrong (Zela et al., *Understanding and robustifying differentiable architecture search*, ICLR 2020).

By owner (a ``let`` such as ``normal``, or ``net``): skips are counted once for each slot, weights in all activations.
"""

from __future__ import annotations

from typing import Any, ClassVar

from spacec.ir.flat import FlatChoose
from spacec.ir.roles import roles_by_slot
from spacec.ir.types import TensorType
from spacec.search.figure import Figure
from spacec.search.owners import NET, owners
from spacec.search.probe import Probe, Reading
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Strategy
from spacec.search.wiring import input_types
from spacec.space.architecture import Architecture
from spacec.space.decisions import Slot


class Derivation(Probe):
    """See the module."""

    name = "derivation"
    help = "skips, weights and multiply-adds of the architecture derived now, in all and by owner"
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("Skips of the derived architecture", "skips", ("skips",)),
        Figure("Skips of the derived architecture, by owner", "skips", table="skips_by_owner"),
        Figure("Weights of the derived architecture", "weights", ("params",)),
        Figure("Weights of the derived architecture, by owner", "weights", table="params_by_owner"),
        Figure("Multiply-adds of the derived architecture", "multiply-adds", ("macs",)),
    )

    def unsupported(self, space: SpaceLike, strategy: Strategy) -> str:
        if type(strategy).probabilities is Strategy.probabilities:
            return "the strategy has no probabilities, so it derives nothing before it ends"
        return ""

    def on_epoch_end(self, epoch: int) -> Reading:
        ctx = self.ctx
        arch = self.strategy.derive()
        skips, weights = skips_by_owner(ctx.space, arch), weights_by_owner(ctx.space, arch)
        reading: dict[str, Any] = {"skips": sum(skips.values()), "params": ctx.cost(arch)}
        if _free_sizes(ctx.space) <= set(ctx.sizes):
            reading["macs"] = ctx.cost(arch, "macs")
        for name, found in (("skips_by_owner", skips), ("params_by_owner", weights)):
            if len(found) > 1:
                reading[name] = {(owner,): n for owner, n in found.items()}
        return reading


def skips_by_owner(space: SpaceLike, arch: Architecture) -> dict[str, int]:
    """How many slots take a skip in ``arch``, by the owner of their decision; owners without any have a zero."""
    told, chosen = roles_by_slot(space.flat), space.mask(arch)
    found = dict.fromkeys((d.owner for d in space.decisions), 0)
    for slot in space.slots:
        index = chosen[slot.id]
        if slot.id in told and index is not None and told[slot.id][index] == "identity":
            owner = _owner(space, slot)
            found[owner] = found.get(owner, 0) + 1
    return found


def weights_by_owner(space: SpaceLike, arch: Architecture) -> dict[str, int]:
    """How many weights ``arch`` has inside the activations of each owner, and under :data:`NET` outside all of them."""
    slots = {slot.id: slot for slot in space.slots}
    choices = (n for n in space.flat.nodes if isinstance(n, FlatChoose) and n.slot in slots)
    cells = {choice.instance.rpartition(".")[0]: _owner(space, slots[choice.slot]) for choice in choices}
    found = dict.fromkeys((*(d.owner for d in space.decisions), NET), 0)
    weights = dict(space.network(arch, seed=0).named_parameters())
    for name, place in owners(space.flat, space.slots, weights).items():
        found[cells.get(place.cell, NET)] += weights[name].numel()
    return found


def _owner(space: SpaceLike, slot: Slot) -> str:
    """Whose decision a slot relaxes; what is forced is the network's."""
    decision = slot.decision or slot.pick
    return NET if decision is None else space.table.by_id[decision].owner


def _free_sizes(space: SpaceLike) -> set[str]:
    return {s.name for t in input_types(space.flat).values() if isinstance(t, TensorType) for s in t.symbols}
