r"""The Rayleigh quotient of training: how much of the loss's slope reaches the weights (Robin, Scaman & Lelarge,
*Convergence beyond the over-parameterized regime using Rayleigh quotients*, NeurIPS 2022).

A network with weights theta gives outputs z_i for samples i = 1…B; L is a mean over them. With J = dz/dtheta and the
tangent kernel K = J J^T / B, gradient flow decreases the loss by

    -dL/dt = |dL/dtheta|^2 = R |g|^2,     |g|^2 = B sum_i |dL/dz_i|^2,     lambda_min(K) <= R <= lambda_max(K)

    R = |dL/dtheta|^2 / ( B sum_i |dL/dz_i|^2 )

g is the gradient of the loss in function space (for cross entropy the residual p - y of each sample). The numerator is
a sum over weights, so R is a sum of shares by cell, edge and operation. Reported are

* ``quotient``: R over the batches measured, and its shares;
* ``unbiased``: with the numerator <dL_1/dtheta, dL_2/dtheta> of disjoint batches, whose expectation is the squared
  norm of the expected gradient; the plain numerator has the variance of the gradient on top. It may be negative;
* ``trace``: tr K / (B k), the mean eigenvalue of K (k numbers of output per sample), by Hutchinson's estimate
  E |J^T v|^2 = tr J J^T for random signs v; ``rho`` = R / trace is free of the scale of the weights' units;
* ``half_life``, for a squared loss only: ln 2 / (c R) with c = |g|^2 / L, which is ln 2 / 2R for
  L = mean |f - y|^2 / 2: the time of gradient flow in which the loss would halve while R stays.

L is the task's loss: weight decay and auxiliary losses of ops are not in it. R depends on the parametrisation (norms,
widths, units of the rate): compare it within one. In train mode batch statistics make z_i depend on the whole batch;
R is then that of the whole batch's map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum, log
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spacec.search.figure import Figure
from spacec.search.options import option
from spacec.search.owners import Owner, owners
from spacec.search.probe import INIT, Probe, ProbeOptions, Reading
from spacec.search.task import Batch, OutLike, Output, Task

SQUARED = 1e-6
"""What may be left, of a squared loss, of the loss where it vanishes: rounding."""


@dataclass(frozen=True)
class RayleighOptions(ProbeOptions):
    """What is measured."""

    batches: int = option(2, "disjoint batches measured", low=2)
    probes: int = option(4, "random vectors of the trace; 0 for no trace", low=0)
    split: Literal["weights", "arch"] = option("weights", "split of the batches")
    mode: Literal["train", "eval"] = option("train", "mode of the supernet")


@dataclass(frozen=True)
class Measured:
    """One batch: gradient by weight, |g|^2, the loss, how many samples, and whether the loss is a squared one."""

    gradient: Mapping[str, Tensor]
    functional: float
    loss: float
    samples: int
    squared: bool


class Rayleigh(Probe):
    """See the module."""

    name = "rayleigh"
    help = "Rayleigh quotient of the tangent kernel along the loss, in total and by cell, edge and op"
    Options = RayleighOptions
    options: RayleighOptions
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("Rayleigh quotient", "R", ("quotient", "unbiased", "trace")),
        Figure("Rayleigh quotient against the loss", "R", ("quotient",), x="loss", x_label="loss", log=True),
        Figure("Rayleigh quotient without scale", "R over the mean eigenvalue", ("rho",)),
        Figure("Rayleigh quotient by cell", "R", (), "cells"),
        Figure("Rayleigh quotient by operation", "R", (), "ops"),
    )

    def on_epoch_end(self, epoch: int) -> Reading:
        mask, weights = self.mask(), self._weights()
        with self.ctx.mode(self.options.mode == "train"):
            found, trace = self._measured(epoch, mask, weights)
        functional = fsum(m.functional for m in found) / len(found)
        if functional == 0.0:
            return {"loss": fsum(m.loss for m in found) / len(found)}
        squares = {n: fsum(norm(m.gradient[n]) for m in found) / len(found) for n in weights}
        quotient = fsum(squares.values()) / functional
        reading: dict[str, Any] = {"loss": fsum(m.loss for m in found) / len(found), "quotient": quotient}
        if self._disjoint:
            reading["unbiased"] = inner([m.gradient for m in found]) / functional
        if trace > 0:
            reading |= {"trace": trace, "rho": quotient / trace}
        if all(m.squared for m in found) and quotient > 0:
            reading["half_life"] = log(2) * reading["loss"] / (functional * quotient)
        return reading | shares({n: s / functional for n, s in squares.items()}, self._owners(weights))

    @property
    def _disjoint(self) -> bool:
        """Whether the split has a sample for every batch."""
        return len(self.ctx.splits[self.options.split]) >= self.options.batches

    def _weights(self) -> dict[str, Tensor]:
        return {n: p for n, p in self.ctx.supernet.named_parameters() if p.requires_grad}

    def _owners(self, names: Mapping[str, Tensor]) -> dict[str, Owner]:
        return owners(self.ctx.space.flat, self.ctx.slots, names)

    def _measured(self, epoch: int, mask: Any, weights: Mapping[str, Tensor]) -> tuple[list[Measured], float]:
        """Every batch, and the mean eigenvalue of the first one's kernel (0 for none)."""
        ctx, given = self.ctx, self.options
        size = max(1, min(ctx.batch_size, len(ctx.splits[given.split]) // given.batches))
        stream = ctx.stream(given.split, "probe rayleigh", steps=given.batches, batch_size=size)
        found: list[Measured] = []
        trace = 0.0
        for step in range(given.batches):
            batch = stream.batch(epoch - INIT, step).to(ctx.device)
            out = ctx.forward(batch, mask)
            found.append(measure(ctx.task, out, batch, weights))
            if step == 0 and given.probes:
                trace = mean_eigenvalue(out, batch.size, weights, given.probes)
        return found, trace


def measure(task: Task, out: OutLike, batch: Batch, weights: Mapping[str, Tensor]) -> Measured:
    """The gradients of the task's loss in the weights and in the outputs ``out``; the graph is kept."""
    loss, outputs = task.loss(out, batch), list(out.outputs.values())
    found = torch.autograd.grad(loss, [*outputs, *weights.values()], retain_graph=True, allow_unused=True)
    slopes = [torch.zeros_like(z) if g is None else g for z, g in zip(outputs, found, strict=False)]
    zeros = zip(weights.items(), found[len(outputs) :], strict=True)
    gradient = {name: torch.zeros_like(w) if g is None else g for (name, w), g in zeros}
    functional = batch.size * fsum(map(norm, slopes))
    value = float(loss.detach())
    return Measured(gradient, functional, value, batch.size, _squared(task, out, batch, slopes, value))


def _squared(task: Task, out: OutLike, batch: Batch, slopes: Sequence[Tensor], loss: float) -> bool:
    """Whether the loss is a |z - y|^2: it then vanishes at z - 2 L G / |G|^2, G = dL/dz, and no other loss does."""
    total = fsum(map(norm, slopes))
    if total == 0.0:
        return False
    with torch.no_grad():
        steps = zip(out.outputs.items(), slopes, strict=True)
        moved = {name: z.detach() - 2 * loss / total * g for (name, z), g in steps}
        first = next(name for name, z in out.outputs.items() if z is out.prediction)
        return abs(float(task.loss(Output(moved[first], moved), batch))) <= SQUARED * abs(loss)


def mean_eigenvalue(out: OutLike, samples: int, weights: Mapping[str, Tensor], probes: int) -> float:
    """tr K / (B k) of K = J J^T / B by Hutchinson's estimate, with signs drawn from torch's generator of the CPU."""
    outputs, leaves = [z for z in out.outputs.values() if z.requires_grad], list(weights.values())
    if not outputs:
        return 0.0
    total = 0.0
    for _ in range(probes):
        signs = [(2.0 * torch.randint(2, z.shape) - 1).to(z) for z in outputs]
        total += squared_pull(outputs, leaves, signs)
    return total / probes / samples / sum(z.numel() for z in outputs)


def squared_pull(outputs: Sequence[Tensor], leaves: Sequence[Tensor], vectors: Sequence[Tensor]) -> float:
    """|J^T v|^2; the graph is kept."""
    found = torch.autograd.grad(outputs, leaves, vectors, retain_graph=True, allow_unused=True)
    return fsum(norm(g) for g in found if g is not None)


def norm(g: Tensor) -> float:
    """The squared norm, added up in double precision."""
    return float(g.detach().double().square().sum())


def inner(gradients: Sequence[Mapping[str, Tensor]]) -> float:
    """The mean inner product over the pairs of batches."""
    pairs = list(combinations(gradients, 2))
    return fsum(float((a[n].double() * b[n].double()).sum()) for a, b in pairs for n in a) / len(pairs)


def shares(by_weight: Mapping[str, float], places: Mapping[str, Owner]) -> dict[str, dict[tuple[str, ...], float]]:
    """What the weights of each place add up to: by cell, by edge of a cell, by op on an edge, and by op."""
    groups: dict[str, dict[tuple[str, ...], list[float]]] = {"cells": {}, "edges": {}, "places": {}, "ops": {}}
    for name, value in by_weight.items():
        at = places[name]
        keys = {"cells": (at.cell,), "edges": (at.cell, at.edge), "places": (at.cell, at.edge, at.op), "ops": (at.op,)}
        for table, key in keys.items():
            groups[table].setdefault(key, []).append(value)
    return {table: {key: fsum(values) for key, values in rows.items()} for table, rows in groups.items()}
