"""Which vertices and wires are there, in many architectures at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.ir.conditions import ALWAYS
from spacec.ir.naming import ROOT_OWNER
from spacec.space.decisions import DecisionTable
from spacec.space.encodings.wiring import Wiring
from spacec.space.truths import Conditions

Truths = list[list[NDArray[np.bool_]]]
"""By wiring, then by vertex or wire: an array of shape [rows]."""


@dataclass(frozen=True)
class There:
    """What is there in each row. Arrays may be shared: they are not to be changed."""

    vertices: Truths
    wires: Truths


class Presence:
    """The conditions of some wirings, compiled once."""

    def __init__(self, table: DecisionTable, wirings: tuple[Wiring, ...]) -> None:
        self.wirings = wirings
        guards = [v.guard for w in wirings for v in w.vertices]
        self.conditions = Conditions.of(table, [*guards, *(wire.when for w in wirings for wire in w.wires)])
        self.own: list[NDArray[np.int64] | None] = []
        """Per wiring the decisions of its owner, one of which is active where it is used; ``None``: always used."""
        self.places = {d.id: i for i, d in enumerate(table.decisions)}
        for wiring in wirings:
            shown = {v.decision for v in wiring.vertices}
            own = [d for d in table.decisions if d.owner == wiring.owner] or [
                d for d in table.decisions if d.id in shown
            ]
            always = wiring.owner == ROOT_OWNER or any(d.active == ALWAYS for d in own)
            self.own.append(None if always else np.array([self.places[d.id] for d in own], dtype=np.int64))

    def of(self, codes: NDArray[Any]) -> There:
        """What is there under each row of codes."""
        truths = iter(self.conditions.hold(codes))
        vertices = [[next(truths) for _ in wiring.vertices] for wiring in self.wirings]
        wires = [[next(truths) for _ in wiring.wires] for wiring in self.wirings]
        for number, own in enumerate(self.own):
            if own is not None:
                used = (codes[:, own] >= 0).any(axis=1)
                vertices[number] = [used & truth for truth in vertices[number]]
                wires[number] = [used & truth for truth in wires[number]]
                for index, vertex in enumerate(self.wirings[number].vertices):
                    if vertex.decision is not None:
                        vertices[number][index] &= codes[:, self.places[vertex.decision]] >= 0
        return There(vertices, wires)
