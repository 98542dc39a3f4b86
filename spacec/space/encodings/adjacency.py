"""``adjacency``: who reads whom, and what each vertex is (White et al., A Study on Encodings for NAS, NeurIPS 2020).

Per owner (a cell, say) the wires that can be there, one column each, by target and then source; then one
column per candidate of each choice, zero where the vertex is absent; then one-hot columns of the decisions
that no vertex and no wire shows. Lossless where wires and vertices give every decision back: not
where a pick may take what is absent itself, which leaves no wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.ir.conditions import Cond, Has, both, conjuncts
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.encodings.model import Encoding, candidate_names, one
from spacec.space.encodings.onehot import Blocks
from spacec.space.encodings.presence import Presence
from spacec.space.encodings.wiring import Wiring, wirings
from spacec.space.subject import Subject
from spacec.space.values import Value


def adjacency(subject: Subject) -> Encoding:
    """Wires, operations and the rest: uint8, shape [columns]. Raises E0623 for a space of too many vertices."""
    table = subject.table
    layout = _Layout(table, wirings(table, subject.graph, "adjacency"))
    lossless = all(d.id in layout.readers for d in table.decisions)
    lost = [d.id for d in table.decisions if d.id not in layout.readers]
    return Encoding(
        "adjacency",
        table,
        (layout.rest.end,),
        np.dtype(np.uint8),
        layout.names,
        layout.fill,
        layout.reader if lossless else None,
        "" if lossless else f"what is absent leaves no wire, so that {lost[0]} cannot always be told",
    )


class _Layout:
    """Which column is what, and for each decision how to read it."""

    def __init__(self, table: DecisionTable, found: tuple[Wiring, ...]) -> None:
        self.table, self.wirings = table, found
        self.presence = Presence(table, found)
        self.places = {d.id: i for i, d in enumerate(table.decisions)}
        self.readers: dict[str, Callable[[NDArray[Any]], Value | None]] = {}
        self.blocks: list[tuple[int, int, int, int]] = []
        """First column, wiring, vertex and decision of each choice's columns."""
        self.wire_columns: list[tuple[int, int, int]] = []
        column = 0
        for number, wiring in enumerate(found):
            order = sorted(range(len(wiring.wires)), key=lambda i: (wiring.wires[i].target, wiring.wires[i].source))
            self.wire_columns += [(column + k, number, i) for k, i in enumerate(order)]
            column += len(order)
            for index, vertex in enumerate(wiring.vertices):
                if vertex.decision is not None:
                    self.blocks.append((column, number, index, self.places[vertex.decision]))
                    column += len(vertex.labels)
        self._find_readers()
        shown = self.readers.keys() | {name for wiring in found for name in gating(table, wiring)}
        self.rest = Blocks(table, (i for i, d in enumerate(table.decisions) if d.id not in shown), column)
        for place in self.rest.places:
            decision = table.decisions[place]
            self.readers[decision.id] = partial(self.rest.read, decision=decision)

    def _find_readers(self) -> None:
        elements: dict[str, dict[int, slice]] = {}
        for column, number, index, _place in self.blocks:
            wiring = self.wirings[number]
            vertex = wiring.vertices[index]
            assert vertex.decision is not None
            if vertex.shows:
                own = slice(column, column + len(vertex.labels))
                self.readers[vertex.decision] = _candidate(own)
                self._note(elements, wiring, vertex.guard, own)
        for column, number, index in self.wire_columns:
            wiring = self.wirings[number]
            self._note(elements, wiring, wiring.wires[index].when, slice(column, column + 1))
        for name, known in elements.items():
            if len(known) == self.table.by_id[name].size:
                told = [known[e] for e in range(len(known))]
                self.readers[name] = _elements(told)

    @staticmethod
    def _note(elements: dict[str, dict[int, slice]], wiring: Wiring, when: Cond, own: slice) -> None:
        """Columns that are set exactly where an element is picked."""
        for name, active in wiring.picks.items():
            known = elements.setdefault(name, {})
            for part in conjuncts(when):
                if isinstance(part, Has) and part.decision == name and when in (part, both(active, part)):
                    known.setdefault(part.element, own)

    def names(self) -> Iterable[str]:
        told: dict[int, str] = {}
        for column, number, index in self.wire_columns:
            wiring = self.wirings[number]
            wire = wiring.wires[index]
            told[column] = f"{wiring.vertices[wire.source].name} -> {wiring.vertices[wire.target].name}"
        for column, number, index, place in self.blocks:
            vertex = self.wirings[number].vertices[index]
            for k, label in enumerate(self.table.decisions[place].labels):
                told[column + k] = f"{vertex.name} = {label}"
        yield from (told[column] for column in sorted(told))
        taken = set(told.values())
        for place in self.rest.places:
            names = candidate_names(self.table.decisions[place])  # a vertex of this decision may be absent at times
            yield from (f"{name} (decided)" if name in taken else name for name in names)

    def fill(self, codes: NDArray[Any], rows: NDArray[Any]) -> None:
        there = self.presence.of(codes)
        for column, number, index in self.wire_columns:
            rows[:, column] = there.wires[number][index]
        for column, number, index, place in self.blocks:
            at = np.nonzero(there.vertices[number][index])[0]
            rows[at, column + codes[at, place].astype(np.int64, copy=False)] = 1
        self.rest.fill(codes, rows)

    def reader(self, row: NDArray[Any]) -> Callable[[Decision], Value | None]:
        return lambda decision: self.readers[decision.id](row)


def _candidate(own: slice) -> Callable[[NDArray[Any]], Value | None]:
    return lambda row: one(row[own])


def _elements(told: list[slice]) -> Callable[[NDArray[Any]], Value | None]:
    return lambda row: tuple(e for e, own in enumerate(told) if row[own].any())


def gating(table: DecisionTable, wiring: Wiring) -> set[str]:
    """Picks each of whose elements some wire or choice asks for, whatever else it asks for."""
    asked: dict[str, set[int]] = {}
    for when in (*(w.when for w in wiring.wires), *(v.guard for v in wiring.vertices if v.decision)):
        for part in conjuncts(when):
            if isinstance(part, Has):
                asked.setdefault(str(part.decision), set()).add(part.element)
    return {name for name in wiring.picks if len(asked.get(name, ())) == table.by_id[name].size}
