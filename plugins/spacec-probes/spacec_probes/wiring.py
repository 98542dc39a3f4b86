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

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from spacec.ir.flat import activation_names
from spacec.ir.roles import NOTHING, roles_by_slot
from spacec.search.figure import Figure
from spacec.search.options import option
from spacec.search.probe import Probe, ProbeOptions, Reading, Table
from spacec.search.space_like import SpaceLike
from spacec.search.strategy import Strategy
from spacec.search.task import Batch
from spacec_probes.running import Running
from spacec_probes.samples import Samples, classified

SPLITS = ("weights", "arch")
ALL = ""
"""Stands for all instances of a slot together."""
TABLES = ("cost", "cost_variance", "edge", "edge_variance",
          "cell_cost", "cell_cost_variance", "cell_edge", "cell_edge_variance", "samples")  # fmt: skip
COST = "cost (gate · gradient, in units of the loss)"


@dataclass(frozen=True)
class WiringOptions(ProbeOptions):
    """What is measured."""

    batches: int = option(4, "batches of each split", low=1)
    sample: bool = option(False, "one drawn candidate per slot and batch, as in the paper; else all, by their weights")


@dataclass
class Found:
    """What one split gave: costs ``(n,)`` by (slot, instance), and summed over instances under the instance ""."""

    costs: dict[tuple[str, str], Running] = field(default_factory=dict)
    edges: dict[tuple[str, str], Running] = field(default_factory=dict)
    losses: Running = field(default_factory=Running)
    samples: Samples | None = None

    def add(self, place: tuple[str, str], cost: Tensor, ran: Tensor) -> None:
        self.costs.setdefault(place, Running()).add(cost, ran)
        self.edges.setdefault(place, Running()).add(cost.sum())


class Wiring(Probe):
    """See the module."""

    name = "wiring"
    help = "cost of every candidate and edge: gate times gradient, on both splits, by correctness"
    Options = WiringOptions
    options: WiringOptions
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("Loss minus entropy, by whether samples are classified correctly", "loss - entropy (nats)",
               ("correct", "wrong", "total"), "samples", ("loss - entropy",), 1, SPLITS),
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
        told = roles_by_slot(self.ctx.space.flat)
        for split, one in found.items():
            reading[f"loss_{split}"] = one.losses.mean
            reading[f"cost_{split}"] = sum(float(one.edges[slot, ALL].mean) for slot in told)
        return reading | self._tables(found)

    def _measured(self, split: str, mask: Mapping[str, Any], epoch: int) -> Found:
        found = Found()
        for batch in self.batches(split, self.options.batches, epoch):
            drawn = self.ctx.path(self.ctx.draw(mask), mask) if self.options.sample else mask
            self._add(found, batch, drawn)
        return found

    def _add(self, found: Found, batch: Batch, mask: Mapping[str, Any]) -> None:
        """The costs of one batch, by instance and summed by slot, and its samples."""
        ctx = self.ctx
        out: Any = ctx.forward(batch, mask, gates=True)
        loss = ctx.loss(out, batch)
        gradients = ctx.supernet.gate_gradients(loss, out, per="instance")
        sums: dict[str, tuple[Tensor, Tensor]] = {}
        for name in dict.fromkeys((*self._slots, *gradients)):
            slot = self._slots.get(name, name)  # what sizes depend on is under the slot's own name
            weights = self._weights(slot, mask[slot])
            cost = out.gates.get(name, weights).detach() * gradients[name] if name in gradients else 0 * weights
            ran = weights != 0 if isinstance(mask[slot], int) else torch.ones_like(weights)
            found.add((slot, name), cost, ran)
            before, _ = sums.get(slot, (0.0, ran))
            sums[slot] = before + cost, ran
        for slot, (cost, ran) in sums.items():
            found.add((slot, ALL), cost, ran)
        found.losses.add(loss)
        if (pair := classified(out, batch)) is not None:
            found.samples = found.samples or Samples()
            found.samples.add(*pair)

    def _weights(self, slot: str, entry: Tensor | int) -> Tensor:
        """A mask's entry as weights ``(n,)``."""
        if isinstance(entry, Tensor):
            return entry
        return torch.nn.functional.one_hot(torch.tensor(entry), self._sizes[slot]).to(self.ctx.device)

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        return {slot.id: slot.size for slot in self.ctx.slots}

    @cached_property
    def _slots(self) -> Mapping[str, str]:
        """The slot of every instance."""
        return {name: slot for (slot, _), name in activation_names(self.ctx.space.flat).items()}

    def _tables(self, found: Mapping[str, Found]) -> dict[str, Table]:
        labels = {slot.id: slot.labels for slot in self.ctx.slots}
        tables: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in TABLES}
        for split, one in found.items():
            for (slot, instance), running in one.costs.items():
                place, prefix = (slot, "") if instance == ALL else (instance, "cell_")
                rows = zip(labels[slot], running.count, running.mean, running.variance, strict=True)
                for label, count, mean, variance in rows:
                    if count:
                        tables[f"{prefix}cost"][split, place, label] = float(mean)
                        tables[f"{prefix}cost_variance"][split, place, label] = float(variance)
                edge = one.edges[slot, instance]
                tables[f"{prefix}edge"][place, split] = float(edge.mean)
                tables[f"{prefix}edge_variance"][place, split] = float(edge.variance)
            for (quantity, group), value in one.samples.rows().items() if one.samples else ():
                tables["samples"][quantity, split, group] = value
        return {name: table for name, table in tables.items() if table}

    def _presence(self, mask: Mapping[str, Any]) -> dict[str, Any]:
        """How many edges are kept, and by slot the probability of absent or none, where there is such a candidate."""
        chances: dict[tuple[str, ...], float] = {}
        told, kept = roles_by_slot(self.ctx.space.flat), 0
        for slot, known in told.items():
            nothing = [k for k, role in enumerate(known) if role in NOTHING]
            kept += int(mask[slot].argmax()) not in nothing
            if nothing:
                chances[(slot,)] = float(mask[slot][nothing].sum())
        return {"kept": kept, "edges": len(told), **({"absent": chances} if chances else {})}
