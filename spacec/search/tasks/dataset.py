"""A torch ``Dataset`` of the user's own as a task.

Items are pairs ``(x, y)``. ``x`` is a tensor or array without batch axis. A whole number ``y`` makes a
classification, a real number or an array of reals a regression by mean squared error. Items are fetched when
they are needed. A dataset that augments by torch's global generator does so reproducibly: the generator is seeded
for each item from the stream of the batch, or in evaluation from the item's index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.options import Options as OptionsBase
from spacec.search.options import option
from spacec.search.seeds import generator, stable_seed
from spacec.search.task import Batch, Metric, OutLike, Port, Split, Splits, Task


class Items(Protocol):
    """What is asked of a dataset: a length, and pairs by index."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class DatasetOptions(OptionsBase):
    """How the samples are divided; the rest is halved into weights and arch."""

    test: float = option(0.2, "share kept for the final report, unless there is a test set", low=0.0, high=0.9)
    valid: float = option(0.1, "share that selects the epoch of a retraining", low=0.01, high=0.9)
    classes: int = option(0, "number of classes; 0: one more than the largest label, which reads every item", low=0)


class DatasetSplit(Split):
    """Some items of a dataset."""

    def __init__(self, items: Items, indices: Sequence[int]) -> None:
        self.items = items
        self.indices = tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        """``x`` ``[B, *shape]`` and ``y`` ``[B]`` or ``[B, *shape]``."""
        pairs = []
        with torch.random.fork_rng(devices=[]):
            for i in indices:
                number = self.indices[i]
                drawn = int(torch.randint(2**62, (), generator=rng)) if train else stable_seed("item", number)
                torch.manual_seed(drawn)
                pairs.append(item(self.items, number))
        return Batch({"x": torch.stack([x for x, _ in pairs])}, {"y": torch.stack([y for _, y in pairs])})


class DatasetTask(Task):
    """Base of the two kinds: what is common is the division into splits."""

    Options = DatasetOptions
    options: DatasetOptions

    def __init__(
        self, items: Items, test: Items | None = None, options: OptionsBase | Mapping[str, object] | None = None
    ) -> None:
        """``test``: items of a given test set; without it a share of ``items`` is kept.

        Raises :class:`SpacecError` (E0722) where fewer than ten items, or none of the expected form, are found.
        """
        super().__init__(options)
        if len(items) < 10:
            raise SpacecError(Diagnostic("E0722", f"the data set has {len(items)} items, at least 10 are needed"))
        self.items, self.test_items = items, test
        x, self._y = item(items, 0)
        self._shape = tuple(x.shape)

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (Port("x", self._shape),)

    def splits(self, seed: int) -> Splits:
        n = len(self.items)
        order = torch.randperm(n, generator=generator("divide", seed)).tolist()
        test = 0 if self.test_items is not None else max(1, round(n * self.options.test))
        valid = max(1, round(n * self.options.valid))
        half = (n - test - valid) // 2
        cuts = (0, test, test + valid, test + valid + half, n)
        kept, valid_, weights, arch = (sorted(order[a:b]) for a, b in pairwise(cuts))
        held = DatasetSplit(self.items, kept)
        if self.test_items is not None:
            held = DatasetSplit(self.test_items, range(len(self.test_items)))
        return Splits(
            DatasetSplit(self.items, weights),
            DatasetSplit(self.items, arch),
            held,
            DatasetSplit(self.items, sorted(weights + arch)),
            DatasetSplit(self.items, valid_),
        )

    def replace_options(self, **changes: Any) -> Task:
        return type(self)(self.items, self.test_items, {**self.options.describe(), **changes})


class DatasetClassification(DatasetTask):
    """Items with a class index each: cross-entropy, accuracy."""

    name = "dataset"
    metrics = (Metric("accuracy", "max", "share of samples whose class is found", bounds=(0.0, 1.0)),)
    label_smoothing = True

    def __init__(
        self, items: Items, test: Items | None = None, options: OptionsBase | Mapping[str, object] | None = None
    ) -> None:
        super().__init__(items, test, options)
        self.classes = self.options.classes or 1 + max(_label(items, i) for i in range(len(items)))

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port("logits", (self.classes,)),)

    def header(self) -> dict[str, int | float | str]:
        return {"classes": self.classes}

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        loss = torch.nn.functional.cross_entropy(out.prediction, batch.target, label_smoothing=smoothing)
        return {"cross_entropy": loss}

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        return {"accuracy": (out.prediction.argmax(1) == batch.target).double()}


class DatasetRegression(DatasetTask):
    """Items with real targets: mean squared error."""

    name = "dataset"
    metrics = (Metric("mse", "min", "mean squared error"),)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port("y", tuple(self._y.shape)),)

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        return {"mse": torch.nn.functional.mse_loss(out.prediction, batch.target)}

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        return {"mse": (out.prediction - batch.target).double().square().flatten(1).mean(1)}


def dataset_task(
    items: Items, test: Items | None = None, options: OptionsBase | Mapping[str, object] | None = None
) -> DatasetTask:
    """The task of the kind that the first item's target asks for."""
    if len(items) == 0:
        raise SpacecError(Diagnostic("E0722", "the data set has no items"))
    _, y = item(items, 0)
    kind = DatasetRegression if y.is_floating_point() else DatasetClassification
    return kind(items, test, options)


def item(items: Items, index: int) -> tuple[Tensor, Tensor]:
    """One pair: ``x`` as float32, ``y`` as int64 without axes, or as float32 with at least one axis.

    Raises :class:`SpacecError` (E0722) for anything else, naming what was found.
    """
    found = items[index]
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise _unusable(index, f"is of type {type(found).__name__}, not a pair (x, y)")
    x, y = (_tensor(part) for part in found)
    if x is None or y is None:
        side, part = ("x", found[0]) if x is None else ("y", found[1])
        raise _unusable(index, f"has a {side} of type {type(part).__name__}, not a tensor, an array or a number")
    if y.is_floating_point():
        return x.float(), y.float().reshape(y.shape or (1,))
    if y.numel() != 1:
        raise _unusable(index, f"has whole numbers of shape {list(y.shape)} as y; one class index is expected")
    return x.float(), y.long().reshape(())


def _label(items: Items, index: int) -> int:
    y = item(items, index)[1]
    if y.is_floating_point() or int(y) < 0:
        raise _unusable(index, f"has y = {y.tolist()}, not a class index like the items before it")
    return int(y)


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "__array__") or isinstance(value, int | float | bool):
        return torch.as_tensor(value)
    return None


def _unusable(index: int, what: str) -> SpacecError:
    return SpacecError(Diagnostic("E0722", f"item {index} of the data set {what}"))
