"""What is left of a space when nearly all of it has been drawn by weight, without replacement.

Drawing again what was drawn already is exact but ends nowhere where little weight is left; there the rest is listed.
Imports numpy.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, islice
from math import lcm, prod
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.space.algebra import Algebra
from spacec.space.batch import Batch, code_type
from spacec.space.decisions import DecisionTable
from spacec.space.factorised import Factorised, factors
from spacec.space.unrank import unranker

LISTED = 20_000
"""Architectures of a space whose rest is listed."""


def row_key(row: NDArray[Any]) -> bytes:
    """What is equal for equal rows of codes."""
    return row.tobytes() if row.dtype != object else repr(row.tolist()).encode()


class Rest:
    """The rows of a space that are not among the seen ones, each next one by its weight among those left."""

    def __init__(self, table: DecisionTable, compiled: Algebra, law: Factorised, seed: int) -> None:
        """``law`` is exact; ``compiled`` has at most :data:`LISTED` architectures, all of them valid."""
        self.table, self.compiled, self.law = table, compiled, law
        self.rng = Random(f"rest {seed}")
        self.left: list[tuple[NDArray[Any], int]] | None = None
        """Rows, and whole numbers that their weights are proportional to."""
        self.drawn: dict[int, None] = {}
        """Places of those that were drawn, in order."""
        self.upto: list[int] = []
        """The weights added up, without some of the drawn ones; empty where they are to be added anew."""

    def rows(self, count: int, seen: set[bytes]) -> NDArray[Any]:
        """The next rows, fewer at the end; the ``seen`` ones are those of the first call."""
        if self.left is None:
            self.left = self._unseen(seen)
        first = len(self.drawn)
        while len(self.drawn) < min(first + count, len(self.left)):
            if not self.upto:
                self.upto = list(accumulate(0 if k in self.drawn else w for k, (_, w) in enumerate(self.left)))
            place = bisect_right(self.upto, self.rng.randrange(self.upto[-1]))
            if place in self.drawn:
                self.upto = []  # what is left has changed
                continue
            self.drawn[place] = None
        found = [self.left[k][0] for k in islice(self.drawn, first, None)]
        return np.array(found, dtype=code_type(self.table)).reshape(len(found), len(self.table.decisions))

    def _unseen(self, seen: set[bytes]) -> list[tuple[NDArray[Any], int]]:
        codes = unranker(self.table, self.compiled).codes(np.arange(self.compiled.total))
        batch = Batch(self.table, codes)
        new = [k for k in range(len(codes)) if row_key(codes[k]) not in seen]
        decide = self.table.by_id
        weights = [prod(f for d, v in batch[k].values.items() for f in factors(decide[d], v, self.law)) for k in new]
        whole = lcm(*(w.denominator for w in weights))
        pairs = zip(new, (int(w * whole) for w in weights), strict=True)
        return [(codes[k], w) for k, w in pairs if w]
