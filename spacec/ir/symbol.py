"""The atoms of sizes: named numbers that an input or a decision settles."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Symbol:
    """A named size. ``domain`` is ``None`` for a free input size, else the values a decision may give.

    ``ref`` identifies the decision (opaque here); two symbols are equal iff name, ref and part are.
    With a ``part`` it is a *presence*: 1 where the decision takes that candidate, or where its
    subset has that element, else 0. ``limits`` are then how many parts the decision has, and how many of
    them hold at least and at most. ``order`` is the place of the decision among all.
    """

    name: str
    domain: tuple[int, ...] | None = field(default=None, compare=False)
    ref: object = None
    part: int | None = None
    limits: tuple[int, int, int] = field(default=(1, 0, 1), compare=False)
    order: int = field(default=0, compare=False)

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.ref, self.part))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def key(self) -> str:
        """What names its value in an assignment of numbers: a presence has a name apart from its decision's number."""
        return self.name if self.part is None else f"{self.name}#{self.part}"

    def __str__(self) -> str:
        return self.name if self.part is None else f"({self.part} in {self.name})"
