"""A task that fits any space: made-up samples with something to learn, for tests of strategies and spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spacec.ir.dims import Dim
from spacec.ir.sizes import evaluate
from spacec.ir.types import TensorType, Type
from spacec.lower.examples import rings
from spacec.search.options import Options, option
from spacec.search.seeds import generator
from spacec.search.task import Batch, Metric, OutLike, Port, Split, Splits, Task

NODES = 4
"""Of a graph: a ring, one for each sample."""


@dataclass(frozen=True)
class SyntheticOptions(Options):
    samples: int = option(48, "samples of each split", low=1)
    size: int = option(2, "value of every free size of an input", low=1)
    noise: float = option(0.1, "deviation of the noise on training inputs", low=0)


class SyntheticSplit(Split):
    """Standard normal inputs; the target is a fixed random linear map of them (its largest entry, for a classifier)."""

    def __init__(self, task: Synthetic, name: str, seed: int) -> None:
        self.task = task
        n, rng = task.options.samples, generator("synthetic", name, seed)
        self.inputs = {port.name: _draw(port, n, rng) for port in task.inputs}
        (out,) = task.outputs
        by_node = out.kind == "graph"
        rows = n * NODES if by_node else n
        numbers = torch.cat([x.to(torch.get_default_dtype()).reshape(rows, -1) for x in self.inputs.values()], 1)
        mix = torch.randn(numbers.shape[1], prod(_sizes(out)), generator=generator("synthetic map"))
        y = (numbers @ mix / numbers.shape[1] ** 0.5).reshape(rows, *_sizes(out))
        target = y.argmax(1) if task.classifies else y
        self.target = target.unflatten(0, (n, NODES)) if by_node else target

    def __len__(self) -> int:
        return self.task.options.samples

    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        at = torch.as_tensor(list(indices))
        inputs = {name: x[at] for name, x in self.inputs.items()}
        if train:
            inputs = {name: self._noisy(x, rng) for name, x in inputs.items()}
        given: dict[str, Any] = dict(inputs)
        for port in self.task.inputs:
            if port.kind == "graph":
                given[port.name] = rings(inputs[port.name].flatten(0, 1), NODES)
        target = self.target[at]
        return Batch(given, {"target": target.flatten(0, 1) if self.task.outputs[0].kind == "graph" else target})

    def _noisy(self, x: Tensor, rng: torch.Generator) -> Tensor:
        if not x.is_floating_point():
            return x
        return x + self.task.options.noise * torch.randn(x.shape, generator=rng)


class Synthetic(Task):
    """Takes the form of the space it is used with: :meth:`adapt` reads the ports.

    A vector of several numbers as the first output is a classifier's; anything else is regressed. ``score`` is the
    accuracy, or minus the mean squared error. Further outputs are auxiliary heads.
    """

    name = "synthetic"
    help = "made-up samples that fit any space, for tests"
    metrics = (Metric("score", "max", "accuracy, or minus the mean squared error"),)
    Options = SyntheticOptions
    options: SyntheticOptions
    label_smoothing = True
    batch_size = 8
    _ports: tuple[tuple[Port, ...], tuple[Port, ...]] = ((Port("x", (4,)),), (Port("y", (3,)),))

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self._ports[0]

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self._ports[1]

    @property
    def classifies(self) -> bool:
        """Whether the output is a vector of several numbers."""
        sizes = _sizes(self.outputs[0])
        return len(sizes) == 1 and sizes[0] > 1

    def adapt(self, inputs: Mapping[str, Type], outputs: Mapping[str, Type]) -> Synthetic:
        task = Synthetic(self.options)
        first = next(iter(outputs.items()))
        ports = tuple(task._port(name, t) for name, t in inputs.items())
        task._ports = (ports, (task._port(*first),))
        return task

    def splits(self, seed: int) -> Splits:
        return Splits(*(SyntheticSplit(self, name, seed) for name in ("weights", "arch", "test")))

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        if self.classifies:
            return {"cross_entropy": F.cross_entropy(out.prediction, batch.target, label_smoothing=smoothing)}
        return {"mse": F.mse_loss(out.prediction, batch.target)}

    def distillation(self, student: OutLike, teacher: OutLike) -> Tensor:
        if self.classifies:
            return super().distillation(student, teacher)
        return F.mse_loss(student.prediction, teacher.prediction.detach())

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        if self.classifies:
            return {"score": (out.prediction.argmax(1) == batch.target).float()}
        return {"score": -(out.prediction - batch.target).square().flatten(1).mean(1)}

    def _port(self, name: str, type_: Type) -> Port:
        if not isinstance(type_, TensorType):
            raise ValueError(f"made-up samples are tensors, tokens or graphs; '{name}' is {type_}")
        return Port(name, tuple(self._number(dim) for dim in type_.dims), type_.kind)

    def _number(self, dim: Dim) -> int:
        return int(evaluate(dim, lambda symbol: self.options.size))


def _sizes(port: Port) -> tuple[int, ...]:
    return tuple(n for n in port.shape if n is not None)


def _draw(port: Port, n: int, rng: torch.Generator) -> Tensor:
    sizes = _sizes(port)
    if port.kind == "tokens":
        return torch.randint(sizes[0], (n, *sizes[1:]), generator=rng)
    if port.kind == "graph":
        return torch.randn(n, NODES, *sizes, generator=rng)
    return torch.randn(n, *sizes, generator=rng)
