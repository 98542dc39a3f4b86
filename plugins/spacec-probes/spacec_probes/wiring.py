r"""Wiring evolution: the cost of every candidate and edge, epoch by epoch (Xie, Hu et al., *Understanding the wiring
evolution in differentiable neural architecture search*, AISTATS 2021).

An edge gives sum_k Z_k O_k(x). The cost of its candidate k (the paper's unified view, section 3) is

    c_k = <dL/dy_k, y_k> = Z_k dL/dZ_k ,   y_k = Z_k O_k(x),

summed over batch, positions and channels, L a mean over the samples; the cost of the edge is C = sum_k c_k. A positive
cost is a loss that would be smaller without the edge, and descent moves the probability of *absent* (or *none*) up.

Measured under the mask in force, in train mode, on batches of the split that trains the weights and of the one that
trains the architecture, where the costs differ in sign: by candidate and edge, summed over the cells that share a slot
and cell by cell, as mean and variance over the batches; and, for classifiers, the loss minus the entropy of the
prediction for samples classified correctly, wrongly and in all (:mod:`spacec_probes.samples`). In the paper an
operation is sampled; ``sample=true`` does so, drawing from the probabilities in force for every batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from spacec.ir.roles import NOTHING, roles_by_slot
from spacec.search.figure import Figure
from spacec.search.options import option
from spacec.search.probe import Probe, ProbeOptions, Reading
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Strategy
from spacec.search.task import Batch
from spacec_probes.running import Running
from spacec_probes.samples import Samples, classified

SPLITS = ("weights", "arch")
COST = "cost (gate · gradient, in units of the loss)"


@dataclass(frozen=True)
class WiringOptions(ProbeOptions):
    """What is measured."""

    batches: int = option(4, "batches of each split", low=1)
    sample: bool = option(False, "one drawn candidate per slot and batch, as in the paper; else all, by their weights")


@dataclass
class _Found:
    """What one split gave: costs ``(n,)`` by (slot, instance), and summed over instances by (slot, "")."""

    costs: dict[tuple[str, str], Running] = field(default_factory=dict)
    edges: dict[tuple[str, str], Running] = field(default_factory=dict)
    losses: Running = field(default_factory=Running)
    samples: Samples = field(default_factory=Samples)
    classifies: bool = False

    def add(self, place: tuple[str, str], cost: Tensor) -> None:
        self.costs.setdefault(place, Running()).add(cost)
        self.edges.setdefault(place, Running()).add(cost.sum())


class Wiring(Probe):
    """See the module."""

    name = "wiring"
    help = "cost of every candidate and edge: gate times gradient, on both splits, by correctness"
    Options = WiringOptions
    options: WiringOptions
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("Loss minus entropy, by whether samples are classified correctly", "loss - entropy (nats)",
               ("correct", "wrong", "total"), "samples", ("loss - entropy",), 1),
        Figure("Cost of the edges, on the split of the weights and of the architecture", COST, SPLITS, "edge", (), 1),
        Figure("Cost of the candidates, on the split of the weights", COST, (), "cost", ("weights",), 1),
        Figure("Cost of the candidates, on the split of the architecture", COST, (), "cost", ("arch",), 1),
        Figure("Probability of absent or none", "probability", (), "absent"),
        Figure("Edges whose most probable candidate is there", "edges", ("kept",)),
    )  # fmt: skip

    def unsupported(self, space: SpaceLike, strategy: Strategy) -> str:
        sized = next((slot for slot in space.slots if slot.sized), None)
        if sized is not None:
            return f"what slot '{sized.id}' takes decides sizes, so its candidates are not added up, and have no cost"
        return ""

    def on_epoch_end(self, epoch: int) -> Reading:
        mask = self.mask()
        found = {split: self._measured(split, mask, epoch) for split in SPLITS}
        reading: dict[str, Any] = self._presence(mask)
        for split, one in found.items():
            reading[f"loss_{split}"] = float(one.losses.mean)
            reading[f"cost_{split}"] = sum(float(e.mean) for (_, instance), e in one.edges.items() if not instance)
        reading |= _candidates(found, self._labels) | _edges(found)
        told = {name: one.samples.rows() for name, one in found.items() if one.classifies}
        reading["samples"] = {(q, split, g): v for split, rows in told.items() for (q, g), v in rows.items()}
        return reading

    @cached_property
    def _labels(self) -> dict[str, tuple[str, ...]]:
        return {slot.id: slot.labels for slot in self.ctx.slots}

    def _measured(self, split: str, mask: dict[str, Any], epoch: int) -> _Found:
        found = _Found()
        for batch in self.batches(split, self.options.batches, epoch):
            self._add(found, batch, self.ctx.draw(mask) if self.options.sample else mask)
        return found

    def _add(self, found: _Found, batch: Batch, mask: Any) -> None:
        """Costs of one batch, by instance, and their sums by slot."""
        ctx = self.ctx
        out: Any = ctx.forward(batch, mask, gates=True)
        loss = ctx.loss(out, batch)
        gradients = ctx.supernet.gate_gradients(loss, out, per="instance")
        sums: dict[str, Tensor] = {}
        for name, gradient in gradients.items():
            slot = self._slot_of.get(name, name)
            cost = (out.gates[name] * gradient).detach()
            found.add((slot, name), cost)
            sums[slot] = sums[slot] + cost if slot in sums else cost
        for slot, cost in sums.items():
            found.add((slot, ""), cost)
        found.losses.add(loss)
        if (pair := classified(out, batch)) is not None:
            found.classifies = True
            found.samples.add(*pair)

    @cached_property
    def _slot_of(self) -> dict[str, str]:
        """The slot of every instance."""
        return {instance: slot for slot, instance in instances(self.ctx.space)}

    def _presence(self, mask: dict[str, Any]) -> dict[str, Any]:
        """Probability of absent or none by slot, where there is such a candidate, and how many edges are kept."""
        told = roles_by_slot(self.ctx.space.flat)
        chances: dict[tuple[str, ...], float] = {}
        kept = 0
        for slot, known in told.items():
            nothing = [k for k, role in enumerate(known) if role in NOTHING]
            kept += int(mask[slot].argmax()) not in nothing
            if nothing:
                chances[(slot,)] = float(mask[slot][nothing].sum())
        return {"kept": kept, "edges": len(told), "absent": chances}
