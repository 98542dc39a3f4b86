"""``onehot``: one column per candidate, or per element of a subset decision; lossless.

The columns of a decision that is not active are all zero. Decisions stand in the table's order,
candidates in theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.space.decisions import Decision, DecisionTable
from spacec.space.encodings.model import Encoding, candidate_names, elements, one, width_of
from spacec.space.subject import Subject
from spacec.space.truths import has_element
from spacec.space.values import Value


class Blocks:
    """One-hot columns of some decisions (places in the table), from column ``start`` to ``end``."""

    def __init__(self, table: DecisionTable, places: Iterable[int], start: int = 0) -> None:
        self.table = table
        self.places = tuple(places)
        decisions = [table.decisions[p] for p in self.places]
        starts = list(accumulate(map(width_of, decisions), initial=start))
        self.end = starts.pop()
        self.starts = {d.id: s for d, s in zip(decisions, starts, strict=True)}
        both = list(zip(self.places, starts, strict=True))
        chosen = [(p, s) for p, s in both if table.decisions[p].kind != "subset"]
        self.chosen = np.array([p for p, _ in chosen], dtype=np.int64)
        self.bases = np.array([s for _, s in chosen], dtype=np.int64)
        self.subsets = [(p, s) for p, s in both if table.decisions[p].kind == "subset"]

    def fill(self, codes: NDArray[Any], rows: NDArray[Any]) -> None:
        """Set the columns of what is chosen."""
        own = codes[:, self.chosen].astype(np.int64, copy=False)
        at, which = np.nonzero(own >= 0)
        rows[at, self.bases[which] + own[at, which]] = 1
        for place, start in self.subsets:
            masks = codes[:, place]
            for element in range(self.table.decisions[place].size):
                rows[:, start + element] = has_element(masks, element)

    def names(self) -> Iterable[str]:
        for place in self.places:
            yield from candidate_names(self.table.decisions[place])

    def read(self, row: NDArray[Any], decision: Decision) -> Value | None:
        """What its columns say of one of these decisions."""
        start = self.starts[decision.id]
        own = row[start : start + width_of(decision)]
        return elements(own) if decision.kind == "subset" else one(own)


def onehot(subject: Subject) -> Encoding:
    """One-hot columns of every decision: uint8, shape [columns]."""
    blocks = Blocks(subject.table, range(len(subject.table.decisions)))

    def reader(row: NDArray[Any]) -> Callable[[Decision], Value | None]:
        return lambda decision: blocks.read(row, decision)

    return Encoding("onehot", subject.table, (blocks.end,), np.dtype(np.uint8), blocks.names, blocks.fill, reader)
