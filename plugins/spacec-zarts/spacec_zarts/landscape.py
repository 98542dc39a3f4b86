"""The loss around a search's path: a plane through the logits, and L on a grid of it.

A path is what the record has of a search: probabilities of every slot at the end of each epoch. A slot whose values
sum to one is a softmax: its logits are their logarithms, up to a constant that a mean of zero fixes. Of values that do
not (edges of a pick with weights of their own) the logarithms are kept as they are. A candidate that was given up
counts as one of probability :data:`SMALLEST`.

The plane goes through the path's end e along two directions d1 and d2::

    random   normal draws, d2 made orthogonal to d1, each block then scaled to the length of its part of e
    pca      the two directions of greatest variance of the path, of length one

and the picture shows L(e + x d1 + y d2). The released landscape script draws its random directions so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Literal

import torch
from torch import Tensor

from spacec.space.decisions import Slot
from spacec_zarts.estimators import Blocks

SMALLEST = 1e-6
MARGIN = 0.35
"""Of the path's extent along a direction, on both sides of it."""
NARROWEST = 0.15
"""Smallest extent of one axis, in shares of the other's."""

Method = Literal["pca", "random"]


@dataclass(frozen=True)
class Path:
    """Points ``(T, d)`` at the ends of ``epochs``, in the logits of ``slots``; ``sums`` says which are softmaxes."""

    epochs: tuple[int, ...]
    points: Tensor
    slots: tuple[Slot, ...]
    sums: tuple[bool, ...]

    @staticmethod
    def of(slots: Sequence[Slot], recorded: Mapping[int, Mapping[str, Sequence[float]]]) -> Path:
        """The path of a record; epochs that lack a slot are left out."""
        epochs = tuple(e for e in sorted(recorded) if all(s.id in recorded[e] for s in slots))
        values = [[torch.tensor(recorded[e][s.id], dtype=torch.float64) for s in slots] for e in epochs]
        sums = tuple(all(abs(float(row[k].sum()) - 1) < 1e-4 for row in values) for k in range(len(slots)))
        points = [torch.cat([_logits(v, one) for v, one in zip(row, sums, strict=True)]) for row in values]
        width = sum(s.size for s in slots)
        return Path(epochs, torch.stack(points) if points else torch.zeros(0, width), tuple(slots), sums)

    @property
    def end(self) -> Tensor:
        return self.points[-1]

    def mask(self, at: Tensor, like: Tensor) -> dict[str, Tensor]:
        """The soft mask of a point ``(d,)``, of ``like``'s dtype and device."""
        parts = torch.split(at, [s.size for s in self.slots])
        weights = (p.softmax(0) if one else p.exp() for p, one in zip(parts, self.sums, strict=True))
        return {slot.id: w.to(like) for slot, w in zip(self.slots, weights, strict=True)}


@dataclass(frozen=True)
class Plane:
    """``at(x, y)`` = origin + x d1 + y d2; ``titles`` name the axes."""

    origin: Tensor
    directions: Tensor
    titles: tuple[str, str]

    def at(self, x: float, y: float) -> Tensor:
        return self.origin + x * self.directions[0] + y * self.directions[1]

    def project(self, points: Tensor) -> Tensor:
        """Coordinates ``(T, 2)`` of the nearest points of the plane."""
        found: Tensor = (points - self.origin) @ torch.linalg.pinv(self.directions)
        return found


@dataclass(frozen=True)
class Grid:
    """Where L is computed: ``xs`` along the first direction, ``ys`` along the second."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    @cached_property
    def cells(self) -> tuple[tuple[float, float], ...]:
        """All points, row by row from the lowest y."""
        return tuple((x, y) for y in self.ys for x in self.xs)


def plane_of(path: Path, method: Method, blocks: Blocks, rng: torch.Generator) -> Plane:
    """The plane of a path. A path without two directions of its own (PCA) gets random ones beside them."""
    random = _random_directions(path, blocks, rng)
    if method == "random":
        return Plane(path.end, random, ("first random direction", "second random direction"))
    centred = path.points - path.points.mean(0)
    _, spread, axes = torch.linalg.svd(centred, full_matrices=False)
    total = float(spread.square().sum())
    total = total if total > 1e-18 else 0.0
    found, titles = [], []
    for k, name in enumerate(("first", "second")):
        share = float(spread[k]) ** 2 / total if total > 0 and k < len(spread) else 0.0
        if share > 1e-9:
            found.append(axes[k] * axes[k][axes[k].abs().argmax()].sign())  # a decomposition leaves the sign open
            titles.append(f"{name} principal direction ({100 * share:.3g} % of the path's variance)")
            continue
        other = random[k]
        for taken in found:
            other = other - (other @ taken) * taken
        found.append(other / other.norm())
        titles.append(f"{name} direction, random: the path has no {name} direction of its own")
    return Plane(path.end, torch.stack(found), (titles[0], titles[1]))


def grid_of(path: Path, plane: Plane, points: int) -> Grid:
    """A grid of ``points`` by ``points`` around the path's shadow on the plane; -1..1 around a path that rests."""
    shadow = plane.project(path.points)
    low, high = shadow.min(0).values, shadow.max(0).values
    extent = high - low
    widest = float(extent.max())
    if widest < 1e-9:
        low, high, extent, widest = low - 1 / (1 + 2 * MARGIN), high + 1 / (1 + 2 * MARGIN), extent + 1, 1.0
    lines = []
    for k in range(2):
        centre, half = float(low[k] + high[k]) / 2, float(high[k] - low[k]) / 2
        half = max(half, NARROWEST * widest / 2) + MARGIN * max(float(extent[k]), NARROWEST * widest)
        step = 2 * half / (points - 1)
        lines.append(tuple(centre - half + i * step for i in range(points)))
    return Grid(*lines)


def _random_directions(path: Path, blocks: Blocks, rng: torch.Generator) -> Tensor:
    """Two directions ``(2, d)``, orthogonal before every block takes the length that it has at the path's end."""
    d = torch.randn(2, path.end.numel(), generator=rng, dtype=torch.float64)
    d[1] -= (d[0] @ d[1]) / d[0].square().sum() * d[0]
    for block in blocks:
        at = list(block)
        length = float(path.end[at].norm()) or 1.0
        for k in range(2):
            d[k, at] *= length / float(d[k, at].norm())
    return d


def _logits(values: Tensor, softmax: bool) -> Tensor:
    logs = values.clamp(min=SMALLEST).log()
    return logs - logs.mean() if softmax else logs


def log_scale(losses: Sequence[float]) -> bool:
    """Whether losses span so much that their logarithms are told apart better."""
    return bool(losses) and min(losses) > 0 and log(max(losses) / min(losses)) > log(20)
