"""A space as what reads its wiring sees it: its decisions, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from spacec.ir.graph import SpaceGraph
from spacec.space.decisions import DecisionTable


@dataclass(frozen=True)
class Subject:
    """What encodings and formats are bound to: a table, and the graph that says where its decisions stand."""

    table: DecisionTable
    graph: SpaceGraph
