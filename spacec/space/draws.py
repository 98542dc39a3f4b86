"""Sequences of random architectures as arrays: where the rows come from, and which of them are kept.

Guarantees what :mod:`spacec.space.sample` promises: a sequence does not depend on how many are taken at a time.
Imports numpy.
"""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spacec.diagnostics.model import SpacecError
from spacec.space.activity import walk
from spacec.space.algebra import BLOCK
from spacec.space.architecture import architecture_of
from spacec.space.batch import Batch, code_type
from spacec.space.constraints import LinearLimit, linear_limit, needed, satisfied
from spacec.space.cost_batch import satisfying
from spacec.space.decisions import DecisionTable, Limit
from spacec.space.diagram import TooManyStates
from spacec.space.rest import LISTED, Rest, row_key
from spacec.space.sample import TRIES, Law, Rejection, compiled_for, none_accepted, too_few
from spacec.space.streams import DistinctStream, RankStream, Stream
from spacec.space.unrank import Unranker, unranker
from spacec.space.weighted import WeightedRows, of_priors, weighted_value

_Rows = NDArray[Any]

MOST_ROWS = 1 << 31
"""Rows beyond which no array is tried: they would not fit, and numbers of rows would overflow."""


class Source(Protocol):
    """Rows of codes, one sequence however many are asked for at a time; fewer than asked for at its end."""

    def rows(self, count: int) -> _Rows: ...


class RankedRows:
    """The rows of a stream of ranks."""

    def __init__(self, unrank: Unranker, stream: Stream) -> None:
        self.unrank, self.stream = unrank, stream

    def rows(self, count: int) -> _Rows:
        return self.unrank.codes(self.stream.take(count))


class WalkedRows:
    """Rows whose active decisions are drawn one by one, in order: for tables of which no diagram can be made."""

    def __init__(self, table: DecisionTable, seed: int, priors: bool) -> None:
        self.table, self.rng, self.priors = table, Random(seed), priors

    def rows(self, count: int) -> _Rows:
        drawn = (walk(self.table, lambda d: weighted_value(d, self.rng, self.priors)) for _ in range(count))
        return Batch.of(self.table, [architecture_of(self.table, chosen) for chosen in drawn]).codes


def make_draws(table: DecisionTable, seed: int, law: Law) -> Draws:
    """The sequence of a law. Raises E0511 where it is known that there is nothing to draw, E0510 as counting does."""
    try:
        compiled, reason = compiled_for(table)
    except TooManyStates as error:
        if not law.weighted:
            raise
        return Draws(table, WalkedRows(table, seed, law.priors), error, law.distinct)
    if law.weighted:
        chances = of_priors(table, law.priors)
        listed = law.distinct and reason is None and compiled.total <= LISTED
        rest = Rest(table, compiled, chances, seed) if listed else None
        return Draws(table, WeightedRows(table, compiled, seed, chances), reason, law.distinct, rest)
    exactly_new = law.distinct and reason is None
    stream = DistinctStream(compiled.total, seed) if exactly_new else RankStream(compiled.total, seed)
    return Draws(table, RankedRows(unranker(table, compiled), stream), reason, law.distinct and not exactly_new)


class Draws:
    """The rows of a source; with a ``reason`` for rejection only valid ones; with ``new`` each only once."""

    def __init__(
        self, table: DecisionTable, source: Source, reason: SpacecError | None, new: bool, rest: Rest | None = None
    ) -> None:
        self.table = table
        self.source = source
        self.rejection = None if reason is None else Rejection(reason)
        self.seen: set[bytes] | None = set() if new else None
        self.waiting = np.zeros((0, len(table.decisions)), dtype=code_type(table))
        self.rest = rest
        """What goes on where :data:`TRIES` rows on end bring nothing new; ``None`` where that is the end."""
        self.failures = 0
        """Rows since the last one that was kept."""

    def take(self, count: int, exactly: bool = True) -> Batch:
        """The next architectures; fewer than ``count`` only at the end of all distinct ones, and not ``exactly``.

        Raises E0511 where :data:`TRIES` rows on end violate the constraints, E0521 where there are too few.
        """
        if count > MOST_ROWS:
            raise MemoryError(f"{count:,} architectures at a time")
        found = self._kept(count) if self.rejection or self.seen is not None else self.source.rows(count)
        if len(found) < count and (exactly or len(found) == 0):
            self._short(count, len(found), exactly)
        return Batch(self.table, found)

    def _short(self, count: int, found: int, exactly: bool) -> None:
        if self.rejection is not None and (self.seen is None or self.rejection.accepted == 0):
            raise SpacecError(none_accepted(self.table))
        if exactly:
            tried = "" if self.seen is None or self.rest is not None else f" in {TRIES:,} further tries"
            headline = f"{count:,} distinct architectures of {self.table.space} were asked for; {found:,} were found"
            raise SpacecError(too_few(self.table, headline + tried))

    def _kept(self, count: int) -> _Rows:
        """The next rows that are kept, up to :data:`TRIES` rows on end that are not."""
        most = max(1, BLOCK // max(1, len(self.table.decisions)))
        parts, have = [self.waiting], len(self.waiting)
        while have < count and self.failures < TRIES:
            size = min(max(16, self._needed(count - have)), most, TRIES - self.failures)
            rows = self.source.rows(size)
            parts.append(rows[self._mask(rows)])
            have += len(parts[-1])
        if have < count and self.rest is not None and self.seen is not None:
            parts.append(self.rest.rows(count - have, self.seen))
        found = np.concatenate(parts)
        self.waiting = found[count:]
        return found[:count]

    def _needed(self, wanted: int) -> int:
        """How many rows are likely to hold so many valid ones."""
        if self.rejection is None:
            return wanted
        return int(1.1 * wanted / self.rejection.rate) + 1 if self.rejection.accepted else 2 * self.rejection.drawn

    def _mask(self, rows: _Rows) -> NDArray[np.bool_]:
        """Which rows to keep."""
        keep = np.ones(len(rows), dtype=bool)
        if self.rejection is not None:
            keep = valid_rows(Batch(self.table, rows))
            self.rejection.drawn += len(rows)
            self.rejection.accepted += int(keep.sum())
        if self.seen is not None:
            for place in np.flatnonzero(keep).tolist():
                key = row_key(rows[place])
                keep[place] = key not in self.seen
                self.seen.add(key)
        kept = np.flatnonzero(keep)
        self.failures = len(rows) - 1 - int(kept[-1]) if len(kept) else self.failures + len(rows)
        return keep


def valid_rows(batch: Batch) -> NDArray[np.bool_]:
    """Which architectures satisfy the constraints, and have every output; those that are no sums one by one."""
    table = batch.table
    sums: list[LinearLimit] = [needed(need) for need in table.needs]
    others: list[Limit] = []
    for limit in table.constraints:
        try:
            sums.append(linear_limit(table, limit))
        except SpacecError as error:
            if error.diagnostics[0].code != "E0513":
                raise
            others.append(limit)
    keep = satisfying(batch, sums)
    for place in np.flatnonzero(keep).tolist() if others else ():
        chosen = batch[place].values
        keep[place] = all(satisfied(table, limit, chosen) for limit in others)
    return keep
