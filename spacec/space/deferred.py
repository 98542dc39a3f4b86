"""Costs by name, of which some are made when they are first asked for.

Most uses of a table read none of its costs, or one; making all of them would take longer than the rest of
the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from spacec.memory import no_collection
from spacec.space.decisions import CostTerm

Terms = tuple[CostTerm, ...]
Maker = Callable[[], Mapping[str, Terms]]
"""Makes the terms of one cost, and of those that come with it, by name."""


class Deferred(Mapping[str, Terms]):
    """Costs that are there, ``made``, and ``makers`` of the others by name; a maker is called at most once."""

    def __init__(self, made: Mapping[str, Terms], makers: Mapping[str, Maker]) -> None:
        self._made = dict(made)
        self._makers = dict(makers)
        self._names = tuple({**made, **makers})

    @staticmethod
    def over(costs: Mapping[str, Terms], more: Mapping[str, Terms]) -> Deferred:
        """``costs`` with ``more``, which come before others of their name; nothing is made by this."""
        if not isinstance(costs, Deferred):
            return Deferred({**costs, **more}, {})
        return Deferred({**costs._made, **more}, {n: m for n, m in costs._makers.items() if n not in more})

    def later(self, makers: Mapping[str, Maker]) -> Deferred:
        """These costs with others that are made when asked for."""
        return Deferred(self._made, {**self._makers, **makers})

    def __getitem__(self, name: str) -> Terms:
        if name not in self._made:
            maker = self._makers[name]
            with no_collection():
                found = maker()
            for other in [n for n, m in self._makers.items() if m is maker]:
                del self._makers[other]
                self._made.setdefault(other, found[other])
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
