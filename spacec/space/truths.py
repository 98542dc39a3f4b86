"""Conditions over many architectures at once.

Assumes codes as :class:`spacec.space.batch.Batch` has them; imports numpy, so it is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.ir.conditions import Cond
from spacec.space.activity import ConditionPool, Node
from spacec.space.decisions import DecisionTable


@dataclass(frozen=True)
class Conditions:
    """Some conditions on a table's decisions, compiled: ``roots`` are their places in the pool."""

    table: DecisionTable
    pool: ConditionPool
    roots: tuple[int, ...]
    columns: dict[str, int]

    @staticmethod
    def of(table: DecisionTable, conditions: Sequence[Cond]) -> Conditions:
        """Compile conditions; each distinct part of them is evaluated once."""
        pool = ConditionPool()
        roots = tuple(pool.add(c) for c in conditions)
        return Conditions(table, pool, roots, {d.id: i for i, d in enumerate(table.decisions)})

    def hold(self, codes: NDArray[Any]) -> list[NDArray[np.bool_]]:
        """Whether each condition holds in each row of ``codes``: arrays of shape [rows]."""
        truths: list[NDArray[np.bool_]] = []
        for node in self.pool.nodes:
            truths.append(self._truth(node, codes, truths))
        return [truths[root] for root in self.roots]

    def _truth(self, node: Node, codes: NDArray[Any], known: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
        match node.kind:
            case "is":
                column = self.columns[node.decision]
                wanted = np.zeros(self.table.decisions[column].cardinality + 1, dtype=bool)
                wanted[sorted(node.candidates)] = True  # the last place is that of -1, inactive
                return wanted[codes[:, column].astype(np.int64)]
            case "has":
                return has_element(codes[:, self.columns[node.decision]], node.element)
            case "all":
                truth = np.ones(len(codes), dtype=bool)
                for child in node.children:
                    truth &= known[child]
            case "any":
                truth = np.zeros(len(codes), dtype=bool)
                for child in node.children:
                    truth |= known[child]
        return truth


def has_element(masks: NDArray[Any], element: int) -> NDArray[np.bool_]:
    """Whether each code of a subset decision contains an element; an inactive one does not."""
    found: NDArray[np.bool_] = ((masks >> element) & 1).astype(bool) & (masks >= 0).astype(bool)
    return found
