"""The prioritised path board: the K best paths seen so far, best first.

A path x with score s(x), more is better, and cost c(x) enters a full board in the place of its last path y where

    s(x) > s(y) + margin      or      s(x) > s(y) and c(x) < c(y)

A path that is on the board already is rated anew: its entry is replaced, whatever the new score, since the weights that
the old one was read with are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from spacec.search.data import Batch


@dataclass(frozen=True)
class Entry:
    """A path. ``arch``: its text; ``step``: the weight step in which it was rated.

    ``inputs`` by name are the samples by which it is compared with other paths, ``outputs`` what is stored of them
    ``(samples, classes)``, probabilities.
    """

    arch: str
    score: float
    cost: float
    step: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    outputs: Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def rank(self) -> tuple[float, float, int, str]:
        """Entries in this order are best first: by score, then the cheaper, then the older one."""
        return (-self.score, self.cost, self.step, self.arch)

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def read(state: Mapping[str, Any], device: torch.device) -> Entry:
        """What :meth:`state_dict` gave."""
        inputs, outputs = Batch(state["inputs"], {}).to(device).inputs, state["outputs"]
        return Entry(**{**state, "inputs": inputs, "outputs": None if outputs is None else outputs.to(device)})


@dataclass(frozen=True)
class Board:
    """At most ``size`` entries of different paths, best first."""

    size: int
    margin: float
    entries: tuple[Entry, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def best(self) -> Entry | None:
        return self.entries[0] if self.entries else None

    def admits(self, new: Entry) -> bool:
        """Whether :meth:`offer` takes ``new``; a score that is no number is never taken."""
        if new.score != new.score:
            return False
        if len(self) < self.size or any(new.arch == e.arch for e in self):
            return True
        last = self.entries[-1]
        return new.score > last.score + self.margin or (new.score > last.score and new.cost < last.cost)

    def offer(self, new: Entry) -> Board:
        """The board with ``new``, where it is admitted; else this one."""
        if not self.admits(new):
            return self
        others = [e for e in self if e.arch != new.arch]
        kept = others[:-1] if len(others) == self.size else others
        return replace(self, entries=tuple(sorted([*kept, new], key=lambda e: e.rank)))
