"""What flows through a task: outputs of networks, batches, and the splits they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


class OutLike(Protocol):
    """What a network returned; ``spacec.lower.supernet.Out`` and :class:`Output` are of this shape.

    ``prediction`` is the first output; ``outputs`` all of them by name; ``taps`` the features asked for
    by name; ``losses`` auxiliary scalars that ops emit; ``gates`` the gate vectors by slot.
    """

    @property
    def prediction(self) -> Tensor: ...
    @property
    def outputs(self) -> Mapping[str, Tensor]: ...
    @property
    def taps(self) -> Mapping[str, Tensor]: ...
    @property
    def losses(self) -> Mapping[str, Tensor]: ...
    @property
    def gates(self) -> Mapping[str, Tensor]: ...


@dataclass(frozen=True)
class Output:
    """An :class:`OutLike` made outside a supernet (from a stand-alone network, or by a self-ensemble)."""

    prediction: Tensor
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    taps: Mapping[str, Tensor] = field(default_factory=dict)
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    gates: Mapping[str, Tensor] = field(default_factory=dict)


Forward = Callable[[Mapping[str, Tensor]], OutLike]
"""Inputs by name to an output; whatever mask, mode and weights are in force are inside it."""


@runtime_checkable
class Normaliser(Protocol):
    """An invertible scaling of an input or a target."""

    def encode(self, x: Tensor) -> Tensor: ...
    def decode(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Affine:
    """``encode(x) = (x - mean) / std``; ``mean`` and ``std`` broadcast against ``[B, *shape]``."""

    mean: Tensor
    std: Tensor

    @staticmethod
    def fit(x: Tensor, dims: Sequence[int]) -> Affine:
        """Statistics of ``x`` over ``dims`` (kept as size 1), a zero deviation replaced by one."""
        std, mean = torch.std_mean(x, dim=tuple(dims), keepdim=True, correction=0)
        return Affine(mean, torch.where(std > 0, std, torch.ones_like(std)))

    def encode(self, x: Tensor) -> Tensor:
        return (x - self.mean.to(x)) / self.std.to(x)

    def decode(self, x: Tensor) -> Tensor:
        return x * self.std.to(x) + self.mean.to(x)


def _moved(value: Any, device: torch.device | str) -> Any:
    """A tensor, or the parts of a graph, on ``device``."""
    if isinstance(value, tuple):
        return tuple(None if part is None else part.to(device, non_blocking=True) for part in value)
    return value.to(device, non_blocking=True)


@dataclass(frozen=True)
class Batch:
    """One batch. Every tensor has the batch axis first, of the same length.

    A graph among the inputs is a tuple (features, edges, each node's graph), see :mod:`spacec.lower.modules_graph`;
    its samples are its nodes where the network answers for each of them, else its graphs.

    ``inputs`` and ``targets`` by port name (targets are free-form: class indices ``[B]``, images
    ``[B, C, H, W]``, several horizons ``[B, T]``…). ``masks`` by target name, broadcastable to that target:
    0 where an element must not count (ignored pixels, padding, missing labels); a target without a mask
    counts fully. ``domain`` is ``[B]`` (int64) in batches that join several domains, else ``None``.
    ``normalisers`` by port name, for losses and metrics in natural units.
    """

    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    domain: Tensor | None = None
    normalisers: Mapping[str, Normaliser] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(next(iter((*self.targets.values(), *self.inputs.values()))).shape[0])

    @property
    def target(self) -> Tensor:
        """The first target."""
        return next(iter(self.targets.values()))

    def mask(self, name: str) -> Tensor | None:
        return self.masks.get(name)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``."""
        return self._map(lambda t: _moved(t, device))

    def slice(self, start: int, stop: int) -> Batch:
        """Samples ``start`` to ``stop``."""
        return self._map(lambda t: t[start:stop])

    def _map(self, f: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            inputs={k: f(v) for k, v in self.inputs.items()},
            targets={k: f(v) for k, v in self.targets.items()},
            masks={k: f(v) for k, v in self.masks.items()},
            domain=None if self.domain is None else f(self.domain),
        )


class Split(ABC):
    """A part of the data: indexable in batches, random only through the generator it is given."""

    eval_batch_size: int | None = None
    """Largest batch in evaluation; 1 for images of differing sizes, ``None`` for no limit."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples of one pass (for random crops: as many as one pass should draw)."""

    @abstractmethod
    def fetch(self, indices: Sequence[int], rng: torch.Generator, train: bool) -> Batch:
        """The batch of these samples (on the CPU).

        ``train``: with augmentation (crops, flips, fresh noise drawn from ``rng``); otherwise the fixed
        form that metrics are computed on, which must not depend on how samples are grouped: draw such
        randomness (the noise of a test image) from the sample's index, not from ``rng``.
        """


@dataclass(frozen=True)
class Splits:
    """The data of a run.

    ``weights`` trains the supernet's weights, ``arch`` the architecture parameters (or ranks architectures)
    and ``test`` is read only for the final report. A derived architecture is retrained on ``train`` and its
    epoch selected on ``valid`` (defaults: ``weights`` and ``arch``; a task that retrains on their union must
    give a ``valid`` of its own). None of them shares a sample with ``test``.
    """

    weights: Split
    arch: Split
    test: Split
    train_: Split | None = None
    valid_: Split | None = None

    @property
    def train(self) -> Split:
        return self.train_ or self.weights

    @property
    def valid(self) -> Split:
        return self.valid_ or self.arch

    def __getitem__(self, name: str) -> Split:
        """By name: ``weights``, ``arch``, ``train``, ``valid`` or ``test``."""
        if name not in SPLIT_NAMES:
            raise KeyError(name)
        split: Split = getattr(self, name)
        return split


SPLIT_NAMES = ("weights", "arch", "train", "valid", "test")
