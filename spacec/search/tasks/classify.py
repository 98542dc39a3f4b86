"""Classification: what its tasks share, from a pool of labelled samples to splits, loss and accuracy.

A sample pool is held in memory. It is cut once, by the seed of the run and class by class, into test, valid,
weights and arch; a derived architecture is retrained on weights and arch together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spacec.ir.types import TensorType, Type
from spacec.search.options import Options, option
from spacec.search.seeds import generator
from spacec.search.task import Batch, Metric, OutLike, Port, Split, Splits, Task, check_ports
from spacec.search.tasks.resize import fit_images

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class ClassifyOptions(Options):
    """How a pool of samples is divided; the rest is halved into weights and arch."""

    test: float = option(0.2, "share of the samples kept for the final report", low=0.01, high=0.9)
    valid: float = option(0.1, "share of the samples that select the epoch of a retraining", low=0.01, high=0.9)
    augment: bool = option(True, "shift training images by up to a tenth of their side")


@dataclass(frozen=True)
class Pool:
    """Samples ``x`` ``[N, *shape]`` with class indices ``y`` ``[N]`` (int64).

    ``x`` is float32; before :meth:`Classification.prepare` it may be bytes (uint8), which take a quarter of the room.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: Tensor) -> Pool:
        return Pool(self.x[indices], self.y[indices])


class PoolSplit(Split):
    """A pool as a split; ``augment`` changes training inputs only."""

    def __init__(self, pool: Pool, names: tuple[str, str], augment: Augment | None = None) -> None:
        """``names``: of the input and of the target."""
        self.pool = pool
        self.names = names
        self.augment = augment

    def __len__(self) -> int:
        return len(self.pool)

    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        chosen = torch.tensor(list(indices), dtype=torch.long)
        x = self.pool.x[chosen]
        if train and self.augment is not None:
            x = self.augment(x, rng)
        return Batch({self.names[0]: x}, {self.names[1]: self.pool.y[chosen]})


class Classification(Task):
    """Base of the tasks with one class per sample: cross-entropy, accuracy."""

    metrics: tuple[Metric, ...] = (
        Metric("accuracy", "max", "share of samples whose class is found", bounds=(0.0, 1.0)),
    )
    Options = ClassifyOptions
    options: ClassifyOptions
    label_smoothing = True

    @abstractmethod
    def pool(self) -> Pool:
        """All samples, not yet normalised."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """How many classes there are."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        return (Port("logits", (self.classes,)),)

    def header(self) -> dict[str, int | float | str]:
        return {"classes": self.classes}

    def prepare(self, pool: Pool, fitted_on: Tensor) -> Pool:
        """The pool as the network sees it; statistics come from the samples ``fitted_on`` (indices) only."""
        return Pool(standardise(pool.x, fitted_on, dims=None), pool.y)

    def augmentation(self) -> Augment | None:
        """What is done to a batch of training inputs."""
        return None

    def parts(self, seed: int) -> tuple[Pool, dict[str, Tensor]]:
        """The samples, and indices of ``test``, ``valid``, ``weights`` and ``arch``. Override it for a test set."""
        pool = self.pool()
        return pool, divide(pool.y, self.options.test, self.options.valid, seed)

    def splits(self, seed: int) -> Splits:
        pool, parts = self.parts(seed)
        ready = self.prepare(pool, torch.cat((parts["weights"], parts["arch"])))
        augment = self.augmentation() if self.options.augment else None
        names = (self.inputs[0].name, "class")

        def split(*which: str) -> PoolSplit:
            return PoolSplit(ready.take(torch.cat([parts[w] for w in which])), names, augment)

        return Splits(split("weights"), split("arch"), split("test"), split("weights", "arch"), split("valid"))

    def loss_terms(self, out: OutLike, batch: Batch, smoothing: float = 0.0) -> dict[str, Tensor]:
        loss = torch.nn.functional.cross_entropy(out.prediction, batch.target, label_smoothing=smoothing)
        return {"cross_entropy": loss}

    def measure(self, out: OutLike, batch: Batch) -> dict[str, Tensor]:
        return {"accuracy": (out.prediction.argmax(1) == batch.target).double()}


class ImageClassification(Classification):
    """Images, brought to the size and channels that a space asks for."""

    def __init__(self, options: Options | Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        self.wanted: tuple[int, int, int] | None = None

    @property
    @abstractmethod
    def native(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of the data as they come."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        return (Port("image", self.wanted or self.native),)

    def header(self) -> dict[str, int | float | str]:
        return {**super().header(), "channels": self.inputs[0].shape[0] or 1}

    def adapt(self, inputs: Mapping[str, Type], outputs: Mapping[str, Type]) -> Task:
        """A copy whose images are enlarged by a whole factor, padded, shrunk or repeated to fit the space."""
        adapted = self.renew()
        adapted.wanted = self._wanted(tuple(inputs.values()))
        check_ports(adapted, inputs, outputs)
        return adapted

    def renew(self) -> ImageClassification:
        """A fresh task of the same data and options; to be overridden where the constructor takes more."""
        return type(self)(self.options)

    def _wanted(self, types: tuple[Type, ...]) -> tuple[int, int, int] | None:
        if len(types) != 1 or not isinstance(types[0], TensorType) or types[0].rank != 2:
            return None
        c, h, w = (dim if isinstance(dim, int) else mine for dim, mine in zip(types[0].dims, self.native, strict=True))
        return (c, h, w) if self.native[0] in (1, c) or c == 1 else None

    def prepare(self, pool: Pool, fitted_on: Tensor) -> Pool:
        ready = super().prepare(pool, fitted_on)
        return ready if self.wanted is None else Pool(fit_images(ready.x, self.wanted), ready.y)

    def augmentation(self) -> Augment | None:
        return shift


def standardise(x: Tensor, fitted_on: Tensor, dims: tuple[int, ...] | None) -> Tensor:
    """``x`` less the mean, over the deviation, of the samples ``fitted_on``; over all axes, or over ``dims``."""
    x = x.float()
    std, mean = torch.std_mean(x[fitted_on], dim=dims, keepdim=True, correction=0)
    return (x - mean) / torch.where(std > 0, std, torch.ones_like(std))


def shift(x: Tensor, rng: torch.Generator) -> Tensor:
    """Every image ``[C, H, W]`` of a batch moved by up to a tenth of its side along each axis, borders repeated."""
    reach = max(1, x.shape[-1] // 10)
    offsets = torch.randint(2 * reach + 1, (len(x), 2), generator=rng).tolist()
    padded = torch.nn.functional.pad(x, (reach,) * 4, mode="replicate")
    height, width = x.shape[-2:]
    moved = zip(padded, offsets, strict=True)
    return torch.stack([image[:, top : top + height, left : left + width] for image, (top, left) in moved])


def divide(y: Tensor, test: float, valid: float, seed: int) -> dict[str, Tensor]:
    """Indices of ``test``, ``valid``, ``weights`` and ``arch``: disjoint, together all, with every class in proportion.

    A class is cut by largest remainders in its own random order; the rest after test and valid is halved.
    """
    rest = max(0.0, 1 - test - valid)
    ends = torch.tensor([test, test + valid, test + valid + rest / 2])
    found: dict[str, list[Tensor]] = {"test": [], "valid": [], "weights": [], "arch": []}
    for label in torch.unique(y).tolist():
        members = torch.nonzero(y == label).flatten()
        shuffled = members[torch.randperm(len(members), generator=generator("divide", seed, label))]
        cuts = (ends * len(members)).round().long().tolist()
        for name, part in zip(found, torch.tensor_split(shuffled, cuts), strict=True):
            found[name].append(part)
    return {name: torch.cat(parts).sort().values for name, parts in found.items()}
