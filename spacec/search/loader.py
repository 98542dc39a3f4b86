"""Batches by (seed, stream, epoch, step): the same ones in any process, under any number of workers.

Order and randomness of batch ``step`` depend on nothing that happened before it, so a run that resumes in the
middle sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch.utils.data import DataLoader, Dataset

from spacec.search.seeds import generator, stable_seed
from spacec.search.task import Batch, Split


@dataclass
class Stream:
    """A named, endless source of training batches of one split.

    A pass is a permutation of the split; an epoch of ``steps`` batches starts a new pass and, if it is longer
    than the split, goes on with further ones. ``name`` separates streams that read the same split.
    """

    split: Split
    name: str
    seed: int
    batch_size: int
    steps: int
    workers: int = 0
    _order: tuple[int, list[int]] = field(default=(-1, []), init=False, repr=False)

    def indices(self, epoch: int, step: int) -> list[int]:
        """Samples of one batch."""
        n, size = len(self.split), self._size
        out: list[int] = []
        position = step * size
        while len(out) < size:
            number, offset = divmod(position, n)
            taken = self._pass(epoch, number)[offset : offset + size - len(out)]
            out.extend(taken)
            position += len(taken)
        return out

    def batch(self, epoch: int, step: int) -> Batch:
        """One batch, by position."""
        return self.split.fetch(self.indices(epoch, step), self._rng(epoch, step), True)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step ``start``, loaded by ``workers`` processes if there are any."""
        steps = range(start, self.steps)
        if self.workers == 0:
            yield from (self.batch(epoch, step) for step in steps)
            return
        loader = DataLoader(
            _Positions(self),
            batch_size=None,
            sampler=[(epoch, step) for step in steps],
            num_workers=self.workers,
            generator=torch.Generator(),  # else the loader draws from the global stream, which the network uses
        )
        yield from loader

    @property
    def _size(self) -> int:
        return min(self.batch_size, len(self.split))

    def _rng(self, epoch: int, step: int) -> torch.Generator:
        return generator(self.seed, self.name, "draw", epoch, step)

    def _pass(self, epoch: int, number: int) -> list[int]:
        key = stable_seed(self.seed, self.name, "order", epoch, number)
        if self._order[0] != key:
            rng = torch.Generator().manual_seed(key)
            self._order = (key, torch.randperm(len(self.split), generator=rng).tolist())
        return self._order[1]


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Whole batches in a pass; at least one."""
    return max(1, len(split) // batch_size)


def ordered(split: Split, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
    """The evaluation form of a split, in order, every sample once.

    ``limit`` is the most batches, of samples spread evenly over the split: the first of a sorted split are of few
    classes.
    """
    size = min(batch_size, split.eval_batch_size or batch_size)
    total = len(split)
    count = total if limit is None else min(total, limit * size)
    for start in range(0, count, size):
        chosen = [k * total // count for k in range(start, min(start + size, count))]
        yield split.fetch(chosen, generator("evaluation", start), False)


class _Positions(Dataset[Batch]):
    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __getitem__(self, position: tuple[int, int]) -> Batch:
        return self.stream.batch(*position)
