"""What an encoding is: how architectures become rows of numbers, and which numbers stand for what.

Everything here imports numpy, so it is imported by the functions that need it. An encoding assumes
valid architectures of its table; it guarantees that the order of its columns depends on the table
(and the space's graph) only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.space.activity import walk
from spacec.space.architecture import Architecture
from spacec.space.batch import Batch, mask_of
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import Value, is_value

CHUNK = 4096
"""Rows that are encoded at a time: what an encoding computes on the way stays in the caches."""

WIDEST = 1 << 28
"""Bytes that one architecture's row may take."""

Fill = Callable[[NDArray[Any], NDArray[Any]], None]
"""Writes the encodings of rows of codes into rows of zeros."""

Reader = Callable[[NDArray[Any]], Callable[[Decision], "Value | None"]]
"""What a row says of each decision; ``None`` where it says nothing that the decision can take."""


@dataclass(frozen=True)
class Encoding:
    """One scheme with its options, for one space.

    ``shape`` and ``dtype`` are those of one architecture's row; ``names`` makes the names of its columns
    (along the last axis). ``loses`` says what does not survive, and is empty of a lossless one, whose
    ``reader`` gives decisions back.
    """

    scheme: str
    table: DecisionTable = field(repr=False)
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    names: Callable[[], Iterable[str]] = field(repr=False, compare=False)
    fill: Fill = field(repr=False, compare=False)
    reader: Reader | None = field(default=None, repr=False, compare=False)
    loses: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lossless(self) -> bool:
        """Whether :meth:`decode` gives back what was encoded."""
        return self.reader is not None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What each place along the last axis stands for, in order."""
        return tuple(self.names())

    def encode(self, batch: Batch) -> NDArray[Any]:
        """Rows of shape [architectures, *shape]."""
        rows: NDArray[Any] = np.zeros((len(batch), *self.shape), dtype=self.dtype)
        for start in range(0, len(batch), CHUNK):
            self.fill(batch.codes[start : start + CHUNK], rows[start : start + CHUNK])
        return rows

    def decode(self, rows: NDArray[Any]) -> Batch:
        """The architectures of rows.

        Raises :class:`SpacecError`: E0621 where the encoding is not lossless, E0622 for an array of another
        shape, or for a row that is the encoding of no architecture.
        """
        if self.reader is None:
            raise SpacecError(Diagnostic("E0621", f"{self.scheme!r} cannot be decoded", notes=(self.loses,)))
        if rows.shape[1:] != self.shape:
            headline = f"an array of shape {list(rows.shape)} is not of {self.scheme!r} rows"
            raise SpacecError(Diagnostic("E0622", headline, notes=(f"rows have the shape {list(self.shape)}",)))
        found = Batch(self.table, self._codes(rows))
        wrong = np.nonzero((self.encode(found) != rows).reshape(len(rows), -1).any(axis=1))[0]
        if len(wrong):
            raise SpacecError(self._no_row(int(wrong[0])))
        return found

    def _codes(self, rows: NDArray[Any]) -> NDArray[Any]:
        places = {d.id: i for i, d in enumerate(self.table.decisions)}
        codes: list[list[int]] = []
        for index, row in enumerate(rows):
            codes.append([-1] * len(places))
            for name, value in walk(self.table, self._chooser(row, index)).items():
                codes[-1][places[name]] = mask_of(value) if isinstance(value, tuple) else value
        kind = Batch.of(self.table, ()).codes.dtype
        return np.array(codes, dtype=kind).reshape(len(rows), len(places))

    def _chooser(self, row: NDArray[Any], index: int) -> Callable[[Decision], Value]:
        assert self.reader is not None
        read = self.reader(row)

        def choose(decision: Decision) -> Value:
            value = read(decision)
            if value is None or not is_value(decision, value):
                raise SpacecError(self._no_row(index, decision))
            return value

        return choose

    def _no_row(self, index: int, decision: Decision | None = None) -> Diagnostic:
        note = () if decision is None else (f"it gives {decision.id} no value",)
        return Diagnostic("E0622", f"row {index} is the {self.scheme!r} encoding of no architecture", notes=note)


def candidate_names(decision: Decision) -> tuple[str, ...]:
    """What the one-hot columns of a decision stand for: its candidates, or the elements of a subset."""
    if decision.kind == "subset":
        return tuple(f"{decision.id} has {e}" for e in range(decision.size))
    return tuple(f"{decision.id} = {label}" for label in decision.labels)


def width_of(decision: Decision) -> int:
    """Its one-hot columns: one for each candidate, or for each element of a subset."""
    return decision.size if decision.kind == "subset" else len(decision.labels)


def one(columns: NDArray[Any]) -> int | None:
    """The place of the only 1 among zeros."""
    found = np.nonzero(columns)[0]
    return int(found[0]) if len(found) == 1 else None


def elements(columns: NDArray[Any]) -> tuple[int, ...]:
    """The places that are set."""
    return tuple(int(e) for e in np.nonzero(columns)[0])


def stack(architectures: Architecture | Iterable[Architecture], table: DecisionTable) -> tuple[Batch, bool]:
    """The batch, and whether it is one architecture given alone."""
    alone = isinstance(architectures, Architecture)
    return Batch.of(table, [architectures] if isinstance(architectures, Architecture) else architectures), alone


def unfit(scheme: str, what: str, mend: Sequence[str] = ()) -> SpacecError:
    """E0623."""
    return SpacecError(Diagnostic("E0623", f"{scheme!r} of this space has {what}", notes=tuple(mend)))
