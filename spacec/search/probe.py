"""The Probe protocol: read-only measurements of a search, with any strategy.

A probe sees what a strategy sees, and the strategy; the runner calls it before the first step and after epochs, and
puts back whatever it moved (:mod:`spacec.search.untouched`), so a search with probes ends in the same bits as one
without. What it returns goes to the run record under its name, and :attr:`Probe.figures` says how a report draws it.
A whole probe::

    class Spread(Probe):
        name = "spread"
        help = "how decided the slots are"
        figures = (Figure("How decided the slots are", "largest probability", ("mean",)),)

        def on_epoch_end(self, epoch):
            top = {slot: float(p.max()) for slot, p in self.mask().items()}
            return {"mean": sum(top.values()) / len(top), "by_slot": {(slot,): p for slot, p in top.items()}}

A probe keeps nothing from one measurement to the next: a search that resumes measures on, in a new process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from spacec.search.figure import Figure, Table
from spacec.search.options import Options, option, parse_options
from spacec.search.space_like import SpaceLike
from spacec.search.task import Batch

if TYPE_CHECKING:  # they import the runner's other collaborators
    from spacec.search.context import SearchContext
    from spacec.search.strategy import Strategy

__all__ = ["INIT", "Figure", "Probe", "ProbeOptions", "Reading", "Table", "uniform_mask"]

INIT = -1
"""The epoch of the measurement before the first step."""

Reading = Mapping[str, "float | Table"]
"""What one measurement gives: a number is recorded as the metric ``PROBE.NAME``, a table as rows of the record."""


@dataclass(frozen=True)
class ProbeOptions(Options):
    """When a probe measures. Options of a probe subclass this."""

    every: int = option(1, "epochs between measurements", low=1)
    at_init: bool = option(True, "measure before the first step, too")


class Probe:
    """Base of probes; see the module. ``self.ctx`` and ``self.strategy`` are there from :meth:`setup` on."""

    name: ClassVar[str]
    help: ClassVar[str] = ""
    Options: ClassVar[type[ProbeOptions]] = ProbeOptions
    figures: ClassVar[tuple[Figure, ...]] = ()
    ctx: SearchContext
    strategy: Strategy

    def __init__(self, options: ProbeOptions | Mapping[str, object] | None = None) -> None:
        """``options``: a value of ``Options``, or texts by name, which are parsed and checked."""
        if not isinstance(options, ProbeOptions):
            options = parse_options(self.Options, options or {}, owner=f"probe '{self.name}'")
        self.options: Any = options

    def unsupported(self, space: SpaceLike, strategy: Strategy) -> str:
        """Why this probe cannot measure a search of ``space`` by ``strategy``; empty if it can."""
        return ""

    def setup(self, ctx: SearchContext, strategy: Strategy) -> None:
        """Called once, when supernet and strategy are ready (of a run that resumes: after their state is back)."""
        self.ctx, self.strategy = ctx, strategy

    def on_epoch_end(self, epoch: int) -> Reading:
        """Measure, after epoch ``epoch`` (from 0) or, where it is :data:`INIT`, before the first step.

        The supernet is in train mode; its statistics, gradients and weights may be moved, they are put back. Torch's
        global generator is at a stream of (seed, probe, epoch).
        """
        raise NotImplementedError(f"probe '{self.name}' has no on_epoch_end()")

    def mask(self) -> dict[str, Any]:
        """The mask in force: the strategy's probabilities ``(n,)`` by slot, uniform ones for a strategy without any.

        A slot that decides sizes has the index of its most probable candidate, as it has no mixture.
        """
        given = self.strategy.probabilities()
        if not given:
            return uniform_mask(self.ctx)
        mask: dict[str, Any] = {}
        for slot in self.ctx.slots:
            values = list(given[slot.id])
            mask[slot.id] = values.index(max(values)) if slot.sized else self._vector(values)
        return mask

    def batches(self, split: str, count: int, epoch: int) -> Iterator[Batch]:
        """``count`` training batches of a split (``weights`` or ``arch``), on the device.

        They are the same for every probe, and others in another ``epoch``; a probe that wants the same ones each time
        asks for those of :data:`INIT`.
        """
        config = self.ctx.config
        size = (config.arch_batch_size if split == "arch" else None) or self.ctx.batch_size
        stream = self.ctx.stream(split, f"probe {split}", steps=count, batch_size=size)
        for step in range(count):
            yield stream.batch(epoch - INIT, step).to(self.ctx.device)

    def describe(self) -> dict[str, Any]:
        """What the run record keeps: options, and the figures that a report draws."""
        figures = [figure.describe() for figure in self.figures]
        return {"help": self.help, "options": asdict(self.options), "figures": figures}

    def _vector(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=_kind(self.ctx), device=self.ctx.device)


def uniform_mask(ctx: SearchContext) -> dict[str, Any]:
    """Every candidate of every slot with the same weight ``(n,)``; the first one of a slot that decides sizes."""
    like = torch.ones((), dtype=_kind(ctx), device=ctx.device)
    return {slot.id: 0 if slot.sized else like.new_full((slot.size,), 1 / slot.size) for slot in ctx.slots}


def _kind(ctx: SearchContext) -> torch.dtype:
    """The number format of the supernet's weights."""
    weights = (p.dtype for p in ctx.supernet.parameters() if p.is_floating_point())
    return next(weights, torch.get_default_dtype())
