"""What nothing reads is left out: nodes that no output and no kept name needs.

Assumes a flat graph. Guarantees that every node of the result, inputs apart, is needed. A layer that is left out keeps
its weights in the supernet: parameters belong to the space, not to the graph that runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spacec.ir.flat import FlatGraph
from spacec.passes.base import drop_dead, named


@dataclass(frozen=True)
class DropDead:
    """Leave out what no output needs."""

    name: ClassVar[str] = "drop_dead"

    def apply(self, flat: FlatGraph, keep: frozenset[str]) -> FlatGraph:
        """The graph with the nodes that outputs and ``keep`` need."""
        return drop_dead(flat, named(flat, keep))
