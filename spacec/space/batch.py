"""Many architectures of one space as one array of numbers.

Assumes architectures of one table; guarantees that ``Batch.of(table, archs)`` gives them all back.
This module imports numpy, so it is imported by the functions that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from spacec.space.adapt import adapt
from spacec.space.architecture import Architecture, owner_digests, spelling_of
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.validate import validate
from spacec.space.values import Value, is_value

INACTIVE = -1
"""Code of a decision that an architecture does not decide."""

WIDEST = 62
"""Elements of a subset whose mask an int64 holds, :data:`INACTIVE` apart."""

_KEPT = 1 << 12
"""Subsets of one decision that are remembered as values, so that memory stays bounded."""

_ROWS = 1024
"""Rows that iteration turns into plain numbers at a time."""

_NARROW = 256
"""Decisions beyond which only the active ones of a row become plain numbers."""

_Pair = tuple[str, Value]


class Batch(Sequence[Architecture]):
    """Architectures of one table as an array, cheap to slice, join and compute with.

    ``codes``: shape [architectures, decisions], columns in the table's order. An entry is -1 where the
    decision is inactive, else the candidate's index; of a subset decision the sum of ``2**e`` over its
    picked elements ``e``. The dtype is int64, or object (Python integers) where a subset has more than
    :data:`WIDEST` elements. The array is not to be changed. What it says is taken on trust: use
    :meth:`of` for architectures from elsewhere.
    """

    __slots__ = ("codes", "table")

    def __init__(self, table: DecisionTable, codes: NDArray[Any]) -> None:
        """Raises ``ValueError`` where ``codes`` has not two axes, or not one column per decision."""
        if codes.ndim != 2 or codes.shape[1] != len(table.decisions):
            raise ValueError(f"codes of shape {codes.shape}: expected [architectures, {len(table.decisions)}]")
        self.table = table
        self.codes = codes.astype(code_type(table), copy=False)

    @classmethod
    def of(cls, table: DecisionTable, archs: Iterable[Architecture]) -> Batch:
        """The batch of these architectures, in their order.

        One of another form with the same owners is adapted. Raises :class:`SpacecError` (E0602 to E0605)
        for one that is not of this space.
        """
        if isinstance(archs, Batch) and archs.table is table:
            return archs
        coder = _coder(table)
        rows = [coder.row(arch) for arch in archs]
        codes = np.array(rows, dtype=code_type(table)).reshape(len(rows), len(table.decisions))
        return cls(table, codes)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> Architecture: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any] | list[int]) -> Batch: ...
    def __getitem__(self, index: int | slice | NDArray[Any] | list[int]) -> Architecture | Batch:
        """One architecture, or the batch that a slice, an array of places or a boolean mask selects."""
        if isinstance(index, int | np.integer):
            return _coder(self.table).sparse_architecture(self.codes[index])
        return Batch(self.table, self.codes[index])

    def __iter__(self) -> Iterator[Architecture]:
        coder = _coder(self.table)
        make = coder.architecture if len(coder.pairs) <= _NARROW else coder.sparse_architecture
        for start in range(0, len(self), _ROWS):
            rows = self.codes[start : start + _ROWS]
            yield from map(make, rows.tolist() if len(coder.pairs) <= _NARROW else rows)

    def __add__(self, other: Batch) -> Batch:
        """Both batches, one after the other; ``ValueError`` where they are of different spaces."""
        return concatenate([self, other])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Batch):
            return NotImplemented
        return self.table.digest == other.table.digest and np.array_equal(self.codes, other.codes)

    __hash__ = None  # type: ignore[assignment]  # compared by an array that could be changed

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} architectures of {self.table.space} {self.table.digest}>"


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Batches one after the other. Raises ``ValueError`` for none, or for batches of different spaces."""
    if len({b.table.digest for b in batches}) != 1:
        raise ValueError("only batches of one space can be joined")
    return Batch(batches[0].table, np.concatenate([b.codes for b in batches]))


def code_type(table: DecisionTable) -> np.dtype[Any]:
    """The dtype of a table's codes."""
    widest = max((d.size for d in table.decisions if d.kind == "subset"), default=0)
    return np.dtype(object if widest > WIDEST else np.int64)


def mask_of(elements: Iterable[int]) -> int:
    """The code of a subset."""
    return sum(1 << e for e in elements)


def elements_of(mask: int) -> tuple[int, ...]:
    """The subset of a code."""
    return tuple(e for e in range(mask.bit_length()) if mask >> e & 1)


class _Coder:
    """Rows of codes to architectures and back, with what a table lets be prepared."""

    def __init__(self, table: DecisionTable) -> None:
        self.table = table
        self.places = {d.id: i for i, d in enumerate(table.decisions)}
        self.pairs = [_pairs(d) for d in table.decisions]
        self.rest = (owner_digests(table), spelling_of(table))

    def architecture(self, row: Sequence[int]) -> Architecture:
        choices = tuple([pair(code) for pair, code in zip(self.pairs, row, strict=True) if code >= 0])
        return Architecture(self.table.space, self.table.digest, choices, *self.rest)

    def sparse_architecture(self, row: NDArray[Any]) -> Architecture:
        """Of a long row, of which few decisions are active."""
        places = np.flatnonzero(row >= 0)
        pairs = zip(places.tolist(), row[places].tolist(), strict=True)
        return Architecture(
            self.table.space, self.table.digest, tuple([self.pairs[p](code) for p, code in pairs]), *self.rest
        )

    def row(self, arch: Architecture) -> list[int]:
        if arch.digest != self.table.digest:
            arch = adapt(self.table, arch)
        row = [INACTIVE] * len(self.pairs)
        for name, value in arch.choices:
            place = self.places.get(name)
            if place is None or not is_value(self.table.decisions[place], value):
                validate(self.table, arch, where=False)  # names what is wrong
                raise AssertionError(f"{name} is in order after all")
            row[place] = mask_of(value) if isinstance(value, tuple) else value
        return row


def _coder(table: DecisionTable) -> _Coder:
    found: _Coder | None = table.memo.get("coder")
    if found is None:
        found = table.memo["coder"] = _Coder(table)
    return found


def _pairs(decision: Decision) -> Callable[[int], _Pair]:
    """The id and value of a decision by code; each is made once, so architectures share them."""
    if decision.kind != "subset":
        return [(decision.id, k) for k in range(len(decision.labels))].__getitem__
    return _Subsets(decision.id).__getitem__


class _Subsets(dict[int, _Pair]):
    """Pairs of a subset decision, made when first asked for."""

    def __init__(self, decision: str) -> None:
        self.decision = decision

    def __missing__(self, mask: int) -> _Pair:
        pair = (self.decision, elements_of(mask))
        if len(self) < _KEPT:
            self[mask] = pair
        return pair
