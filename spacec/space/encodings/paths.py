"""``path``: which paths lead from an input to an output, told by the operations on them.

White et al.: BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search (AAAI 2021).
A column is an owner, one of its inputs, one of its outputs, and the operations on the way; it is set where
some path has them. Columns are ordered by the number of operations, then owner, input and output, then
by the operations, in the order in which the owner's choices name them. Zeros are operations like others,
as in the authors' code; elastic values are none. ``length`` keeps paths of at most so many operations;
``keep`` the columns that are set most often in ``samples`` architectures drawn uniformly with ``seed``, an
estimate of the most probable ones; ``hashed`` folds all columns into so many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.ir.conditions import both
from spacec.space.batch import Batch
from spacec.space.encodings.model import CHUNK, Encoding, unfit
from spacec.space.encodings.wiring import Wire, Wiring, wirings
from spacec.space.sample import sample
from spacec.space.subject import Subject
from spacec.space.truths import Conditions

COLUMNS = 1 << 18
"""Columns of an encoding that is neither truncated nor hashed."""

ROUTES = 50_000
"""Ways through the wirings, whatever operations stand on them."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd multiplier (the golden ratio's fraction): folding mixes every operation into all bits."""


@dataclass(frozen=True)
class Route:
    """One way from an input to an output: the choices on it. ``group``: owner, input, output."""

    group: tuple[int, int, int]
    choices: tuple[int, ...]
    wires: tuple[Wire, ...]


@dataclass(frozen=True)
class Group:
    """Columns of one owner, input, output and length, from ``start`` on: every sequence of ``words``."""

    name: str
    words: tuple[str, ...]
    length: int
    start: int

    @property
    def columns(self) -> int:
        return int(len(self.words) ** self.length)

    def names(self) -> Iterator[str]:
        for told in product(self.words, repeat=self.length):
            yield f"{self.name}: {', '.join(told) or 'direct'}"


def path(
    subject: Subject,
    length: int | None = None,
    keep: int | None = None,
    hashed: int | None = None,
    samples: int = 10_000,
    seed: int = 0,
) -> Encoding:
    """Presence of paths: uint8, shape [columns].

    Raises :class:`SpacecError`: E0620 for ``keep`` with ``hashed`` or a number below 1, E0623 where there are too
    many routes, or more than :data:`COLUMNS` columns and neither ``keep`` nor ``hashed``.
    """
    for name, given in (("length", length), ("keep", keep), ("hashed", hashed), ("samples", samples)):
        if given is not None and (type(given) is not int or not 1 <= given <= COLUMNS):
            headline = f"the option {name!r} of 'path' is {given!r}, which is no number from 1 to {COLUMNS:,}"
            raise SpacecError(Diagnostic("E0620", headline))
    if keep is not None and hashed is not None:
        raise SpacecError(Diagnostic("E0620", "the options 'keep' and 'hashed' of 'path' exclude each other"))
    layout = _Layout(subject, length)
    options = {"length": length, "keep": keep, "hashed": hashed}
    if hashed is not None:
        return layout.encoding(hashed, layout.folded(hashed), lambda: (f"fold {i}" for i in range(hashed)), options)
    if keep is not None:
        kept = layout.likeliest(keep, samples, seed)
        places = {int(column): i for i, column in enumerate(kept)}
        names = layout.named(places)
        return layout.encoding(
            len(kept), layout.chosen(kept), lambda: names, {**options, "samples": samples, "seed": seed}
        )
    if layout.columns > COLUMNS:
        mend = ("give `length` (operations on a path), `keep` (columns, the most frequent) or `hashed` (columns)",)
        raise unfit("path", f"{layout.columns:,} columns", mend)
    return layout.encoding(layout.columns, layout.plain, layout.names, options)


class _Layout:
    """Routes, the groups of columns that they lead to, and what is needed to tell a column from codes."""

    def __init__(self, subject: Subject, length: int | None) -> None:
        self.table = subject.table
        self.wirings = wirings(self.table, subject.graph, "path", values=False)
        self.routes = list(islice(self._routes(length), ROUTES + 1))
        if len(self.routes) > ROUTES:
            mend = ("give `length`, which keeps paths of at most so many operations",)
            raise unfit("path", f"more than {ROUTES:,} routes from an input to an output", mend)
        self.words = [
            tuple(dict.fromkeys(x for v in w.vertices if v.kind == "choice" for x in v.labels)) for w in self.wirings
        ]
        if not any(route.choices for route in self.routes):
            raise unfit("path", "no choice between operations on any path")
        self.groups = self._groups()
        self.columns = sum(g.columns for g in self.groups.values())
        self.conditions = Conditions.of(self.table, [both(*(w.when for w in r.wires)) for r in self.routes])
        self.places = {d.id: i for i, d in enumerate(self.table.decisions)}
        self.numbers = [self._numbers(route) for route in self.routes]

    def _routes(self, length: int | None) -> Iterator[Route]:
        for number, wiring in enumerate(self.wirings):
            out: dict[int, list[Wire]] = {}
            for wire in sorted(wiring.wires, key=lambda w: w.target):
                out.setdefault(wire.source, []).append(wire)
            for source, vertex in enumerate(wiring.vertices):
                if vertex.kind == "input":
                    yield from self._onward(number, wiring, out, source, length)

    @staticmethod
    def _onward(
        number: int, wiring: Wiring, out: dict[int, list[Wire]], source: int, length: int | None
    ) -> Iterator[Route]:
        stack: list[tuple[Wire, ...]] = [(wire,) for wire in reversed(out.get(source, []))]
        while stack:
            wires = stack.pop()
            at = wires[-1].target
            if wiring.vertices[at].kind == "output":
                yield Route((number, source, at), tuple(w.target for w in wires[:-1]), wires)
            elif length is None or len(wires) <= length:
                stack.extend((*wires, wire) for wire in reversed(out.get(at, [])))

    def _groups(self) -> dict[tuple[int, tuple[int, int, int]], Group]:
        keys = sorted({(len(r.choices), r.group) for r in self.routes})
        found: dict[tuple[int, tuple[int, int, int]], Group] = {}
        start = 0
        for length, group in keys:
            number, source, target = group
            vertices = self.wirings[number].vertices
            made = Group(f"{vertices[source].name} -> {vertices[target].name}", self.words[number], length, start)
            found[length, group] = made
            start += made.columns
        return found

    def _numbers(self, route: Route) -> list[tuple[int, NDArray[np.int64]]]:
        """Per choice on the route: its column of codes, and the number of each candidate among the owner's words."""
        told = []
        number = {word: i for i, word in enumerate(self.words[route.group[0]])}
        for vertex in (self.wirings[route.group[0]].vertices[v] for v in route.choices):
            assert vertex.decision is not None
            told.append(
                (self.places[vertex.decision], np.array([number[x] for x in (*vertex.labels, vertex.labels[0])]))
            )
        return told

    def encoding(self, width: int, fill: Any, names: Any, options: dict[str, Any]) -> Encoding:
        lost = "a set of paths does not say which vertices they go through, nor what stands on none"
        return Encoding("path", self.table, (width,), np.dtype(np.uint8), names, fill, None, lost, options)

    def names(self) -> Iterable[str]:
        for group in self.groups.values():
            yield from group.names()

    def named(self, places: dict[int, int]) -> tuple[str, ...]:
        """The names of some columns, in the order of their places."""
        told = [""] * len(places)
        for group in self.groups.values():
            for column, place in places.items():
                if group.start <= column < group.start + group.columns:
                    index, words = column - group.start, []
                    for _ in range(group.length):
                        index, word = divmod(index, len(group.words))
                        words.append(group.words[word])
                    told[place] = f"{group.name}: {', '.join(reversed(words)) or 'direct'}"
        return tuple(told)

    def plain(self, codes: NDArray[Any], rows: NDArray[Any]) -> None:
        for at, column in self._columns(codes):
            rows[at, column] = 1

    def chosen(self, kept: NDArray[np.int64]) -> Any:
        """Sets columns that are kept (sorted), leaves out the others."""

        def fill(codes: NDArray[Any], rows: NDArray[Any]) -> None:
            for at, column in self._columns(codes):
                place = np.minimum(np.searchsorted(kept, column), len(kept) - 1)
                found = kept[place] == column
                rows[at[found], place[found]] = 1

        return fill

    def folded(self, width: int) -> Any:
        def fill(codes: NDArray[Any], rows: NDArray[Any]) -> None:
            for route, numbers, there in zip(self.routes, self.numbers, self.conditions.hold(codes), strict=True):
                at = np.nonzero(there)[0]
                mixed = np.full(len(at), self._seed(route), dtype=np.uint64)
                for place, number in numbers:
                    mixed = (mixed + number[codes[at, place].astype(np.int64, copy=False)].astype(np.uint64)) * _MIX
                    mixed ^= mixed >> np.uint64(29)
                rows[at, (mixed % np.uint64(width)).astype(np.int64)] = 1

        return fill

    def _seed(self, route: Route) -> int:
        order = list(self.groups)
        return order.index((len(route.choices), route.group)) * int(_MIX) % (1 << 64)

    def likeliest(self, keep: int, samples: int, seed: int) -> NDArray[np.int64]:
        """The columns set most often in architectures drawn uniformly, at most ``keep``, in column order."""
        if self.columns >= 1 << 62:
            raise unfit("path", "more columns than can be numbered", ("`hashed` folds them without numbers",))
        codes = Batch.of(self.table, sample(self.table, samples, seed)).codes
        seen: dict[int, int] = {}
        for start in range(0, len(codes), CHUNK):
            rows = [np.array([at, column]) for at, column in self._columns(codes[start : start + CHUNK])]
            once = np.unique(np.concatenate(rows, axis=1), axis=1)[1] if rows else np.zeros(0, dtype=np.int64)
            for column, count in zip(*np.unique(once, return_counts=True), strict=True):
                seen[int(column)] = seen.get(int(column), 0) + int(count)
        best = sorted(seen, key=lambda column: (-seen[column], column))[:keep]
        return np.array(sorted(best), dtype=np.int64)

    def _columns(self, codes: NDArray[Any]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Per route: the rows that have it, and the column that it is in each."""
        for route, numbers, there in zip(self.routes, self.numbers, self.conditions.hold(codes), strict=True):
            group = self.groups[len(route.choices), route.group]
            at = np.nonzero(there)[0]
            column = np.zeros(len(at), dtype=np.int64)
            for place, number in numbers:
                column = column * len(group.words) + number[codes[at, place].astype(np.int64, copy=False)]
            yield at, column + group.start
