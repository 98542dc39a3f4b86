"""The Task protocol: data, loss and metrics, independent of any space and any strategy.

A task delivers *batches* (named inputs, named targets, masks of what counts), turns the output of a
network into a loss, and measures it. It may bind header parameters of a space (``classes = 10``).

How to write one: subclass :class:`Task`, set ``name`` and ``metrics``, and write ``inputs``, ``outputs``,
``splits``, ``loss_terms`` and ``measure``; everything else has a default. Options of a task are a frozen
dataclass, exactly as for strategies (see :mod:`spacec.search.options`)::

    @dataclass(frozen=True)
    class DigitsOptions(Options):
        holdout: float = option(0.2, "share of the images kept for the test")

    class Digits(Task):
        name = "digits"
        metrics = (Metric("accuracy", "max"),)
        Options = DigitsOptions
        options: DigitsOptions
        ...

Guarantees asked of an implementation: ``splits(seed)`` gives the same data for the same seed; ``Split.fetch``
draws randomness from the generator it is handed and from nothing else, which makes batches the same under any
number of loader workers (see :mod:`spacec.search.loader`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.types import TensorType, Type, type_text
from spacec.search.data import SPLIT_NAMES, Affine, Batch, Forward, Normaliser, OutLike, Output, Split, Splits
from spacec.search.distil import distillation
from spacec.search.options import Options as OptionsBase
from spacec.search.options import parse_options

__all__ = [
    "SPLIT_NAMES",
    "Affine",
    "Batch",
    "Direction",
    "Forward",
    "HeaderValue",
    "Meter",
    "Metric",
    "Normaliser",
    "OutLike",
    "Output",
    "Port",
    "Split",
    "Splits",
    "Task",
    "bind_header",
    "check_ports",
    "match_ports",
]

Direction = Literal["max", "min"]
HeaderValue = int | float | str


@dataclass(frozen=True)
class Metric:
    """A measured quantity; ``direction`` is what is better, ``unit`` and ``digits`` are for people.

    ``bounds`` are the least and the largest value that it can take, where it has such: (0, 1) for an accuracy.
    """

    name: str
    direction: Direction
    help: str = ""
    unit: str = ""
    digits: int = 4
    bounds: tuple[float, float] | None = None

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is better than ``b``; a NaN is never better."""
        if a != a:
            return False
        return b != b or (a > b if self.direction == "max" else a < b)

    def text(self, value: float) -> str:
        """``value`` for people, with its unit."""
        return f"{value:.{self.digits}f}" + (f" {self.unit}" if self.unit else "")

    @property
    def worst(self) -> float:
        return float("-inf") if self.direction == "max" else float("inf")

    def share(self, value: float) -> float | None:
        """How far ``value`` is from the worst of its bounds (0) to the best (1); ``None`` where it has no bounds."""
        if self.bounds is None:
            return None
        worst, best = self.bounds if self.direction == "max" else reversed(self.bounds)
        return (value - worst) / (best - worst)


@dataclass(frozen=True)
class Baseline:
    """What a network has to beat: the task's first metric on the test split, in the mean and by sample.

    ``name`` is its subject in the run record, ``title`` what people read; ``parameters`` were chosen on training data.
    """

    name: str
    title: str
    mean: float
    per_sample: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Port:
    """A named input or output of a task: ``shape`` without the batch axis, ``None`` where any size will do.

    ``shape`` is ``(C, *space)``; ``kind`` is that of :class:`spacec.ir.types.TensorType`.
    """

    name: str
    shape: tuple[int | None, ...]
    kind: Literal["dense", "tokens", "graph"] = "dense"

    def accepts(self, type_: Type) -> bool:
        """Whether a tensor of this port can have ``type_``; free symbols in ``type_`` match any size."""
        if not isinstance(type_, TensorType) or type_.kind != self.kind or len(type_.dims) != len(self.shape):
            return False
        return all(
            mine is None or not isinstance(dim, int) or mine == dim
            for mine, dim in zip(self.shape, type_.dims, strict=True)
        )

    def __str__(self) -> str:
        return f"{self.name}: [{', '.join('any' if n is None else str(n) for n in self.shape)}]"


class Meter:
    """Accumulates metrics over batches. Subclass it for metrics of a whole set (AUROC, macro F1)."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._sums: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    def update(self, out: OutLike, batch: Batch) -> None:
        for name, values in self.task.measure(out, batch).items():
            values = values.detach().double()
            valid = ~torch.isnan(values) if self.task.skip_nan else torch.ones_like(values, dtype=torch.bool)
            self._sums[name] = self._sums.get(name, 0.0) + float(values[valid].sum())
            self._counts[name] = self._counts.get(name, 0.0) + int(valid.sum())

    def result(self) -> dict[str, float]:
        return {name: total / n if (n := self._counts[name]) else float("nan") for name, total in self._sums.items()}


class Task(ABC):
    """Base of tasks. ``metrics[0]`` is the one that selects; see the module docstring for what to write."""

    name: str
    help: ClassVar[str] = ""
    metrics: tuple[Metric, ...]
    Options: ClassVar[type[OptionsBase]] = OptionsBase
    taps: ClassVar[tuple[str, ...]] = ()
    """Names of features that the loss reads from ``out.taps``."""
    label_smoothing: ClassVar[bool] = False
    """Whether ``loss_terms`` honours its ``smoothing`` argument."""
    skip_nan: ClassVar[bool] = False
    """Whether samples whose measure is NaN are left out of the mean (instead of making it NaN)."""
    batch_size: ClassVar[int] = 64
    """What search and training use unless told."""

    def __init__(self, options: OptionsBase | Mapping[str, object] | None = None) -> None:
        """``options``: a value of ``Options``, or texts by name (``-o`` of the command line), parsed and checked."""
        if not isinstance(options, OptionsBase):
            options = parse_options(self.Options, options or {}, owner=f"task '{self.name}'")
        self.options: Any = options

    @property
    @abstractmethod
    def inputs(self) -> tuple[Port, ...]:
        """What the network is given, in order."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[Port, ...]:
        """What the network must give, in order; an output of the space not named here is an auxiliary head."""

    def header(self) -> dict[str, HeaderValue]:
        """Header parameters this task binds where a space declares them: ``{"classes": 10, "channels": 1}``."""
        return {}

    def adapt(self, inputs: Mapping[str, Type], outputs: Mapping[str, Type]) -> Task:
        """This task in the form that fits a space's input and output types, or a diagnostic (E0707).

        The default accepts what the ports accept. A task that can resize, pad or repeat channels overrides it
        and returns a copy whose batches have the asked shape.
        """
        check_ports(self, inputs, outputs)
        return self

    @abstractmethod
    def splits(self, seed: int) -> Splits:
        """The data; which sample falls into which split depends on ``seed`` only."""

    @abstractmethod
    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        """Named scalar terms, weighted, whose sum is the loss: one per output, per horizon, per domain…

        Each is a mean over the samples (or elements) that ``batch.masks`` let count.
        """

    def loss(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> Tensor:
        """The sum of :meth:`loss_terms`: a scalar."""
        return torch.stack(tuple(self.loss_terms(out, batch, smoothing).values())).sum()

    def distillation(self, student: OutLike, teacher: OutLike) -> Tensor:
        """How far a prediction is from a teacher's, whose gradient is not taken: a scalar.

        Where the loss knows label smoothing, the first output is of classes, and this is the cross entropy against the
        teacher's softmax (Hinton et al., 2015, at temperature 1); elsewhere the mean squared difference.
        """
        if self.label_smoothing:
            return distillation(student, teacher)
        return torch.nn.functional.mse_loss(student.prediction, teacher.prediction.detach())

    @abstractmethod
    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        """Metric name to one value per sample ``[B]``; metrics that are no mean over samples need :meth:`meter`."""

    def meter(self) -> Meter:
        """A fresh accumulator."""
        return Meter(self)

    def predict(self, forward: Forward, batch: Batch, final: bool) -> OutLike:
        """How a batch is answered in evaluation; ``final`` is true for the last report of a retrained network.

        Override it for self-ensembles or tiled inference; :class:`Output` carries a combined prediction.
        """
        return forward(batch.inputs)

    def baselines(self) -> Sequence[Baseline]:
        """What the report compares networks with, besides each other. None by default."""
        return ()

    def per_sample(self, forward: Forward, splits: Splits) -> dict[str, float]:
        """The first metric of single test samples by name, where they are few and have names. None by default."""
        return {}

    def pictures(self, forward: Forward, splits: Splits) -> dict[str, Tensor]:
        """Pictures for the report: file stem to ``[C, H, W]`` in 0..1. None by default."""
        return {}

    def replace_options(self, **changes: Any) -> Task:
        """A task with some options changed."""
        return type(self)(replace(self.options, **changes))

    def describe(self) -> dict[str, Any]:
        """What the run record keeps: name, options and what is measured."""
        options = {f.name: getattr(self.options, f.name) for f in fields(self.options)}
        return {"name": self.name, "options": options, "metrics": [asdict(m) for m in self.metrics]}


def match_ports(ports: Sequence[Port], names: Sequence[str]) -> dict[str, str]:
    """Port name to the space's name: equal names first, the rest in order."""
    equal = {p.name: p.name for p in ports if p.name in names}
    free = [n for n in names if n not in equal]
    rest = [p.name for p in ports if p.name not in equal]
    return {**equal, **dict(zip(rest, free, strict=False))}


def check_ports(task: Task, inputs: Mapping[str, Type], outputs: Mapping[str, Type]) -> None:
    """Raise E0707 where a space's inputs or outputs do not fit ``task``; extra outputs are auxiliary heads."""
    found: list[Diagnostic] = []
    for what, ports, types in (("input", task.inputs, inputs), ("output", task.outputs, outputs)):
        if len(types) < len(ports) or (what == "input" and len(types) > len(ports)):
            count = f"{len(types)} {what}{'' if len(types) == 1 else 's'}"
            found.append(_misfit(f"the space has {count}, task '{task.name}' has {len(ports)}", ports, types))
            continue
        names = match_ports(ports, tuple(types))
        for port in ports:
            if not port.accepts(types[names[port.name]]):
                shape = type_text(types[names[port.name]])
                text = f"{what} '{names[port.name]}' of the space is {shape}, task '{task.name}' has {port}"
                found.append(_misfit(text, ports, types))
    if found:
        raise SpacecError(found)


def _misfit(headline: str, ports: Iterable[Port], types: Mapping[str, Type]) -> Diagnostic:
    notes = (
        "the space: " + ", ".join(f"{name}: {type_text(t)}" for name, t in types.items()),
        "the task: " + ", ".join(map(str, ports)),
    )
    return Diagnostic("E0707", headline, notes=notes)


def bind_header(task: Task, declared: Iterable[str], given: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    """Header parameters to load a space with: those given, and those the task binds and the space declares.

    Raises E0502 where both state one and differ.
    """
    bound = {name: value for name, value in task.header().items() if name in set(declared)}
    found = [
        Diagnostic(
            "E0502",
            f"parameter '{name}' is {given[name]}, but task '{task.name}' needs {name} = {value}",
            notes=(f"a task binds the parameters that its data fix; leave out -p {name}={given[name]}",),
        )
        for name, value in bound.items()
        if name in given and given[name] != value
    ]
    if found:
        raise SpacecError(found)
    return {**bound, **given}
