"""Conditions over many architectures at once.

Assumes codes as :class:`spacec.space.batch.Batch` has them; imports numpy, so it is imported where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacec.ir.conditions import Cond
from spacec.space.activity import ConditionPool
from spacec.space.decisions import Decision, DecisionTable


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
        truths = truths_of(self.pool, self.table, lambda d: codes[:, self.columns[d.id]], len(codes))
        return [truths[root] for root in self.roots]


def truths_of(
    pool: ConditionPool, table: DecisionTable, column: Callable[[Decision], NDArray[Any]], rows: int
) -> list[NDArray[np.bool_]]:
    """Whether each condition of a pool holds in each row: arrays of shape [rows].

    ``column`` gives the codes of a decision; one that the table does not have is inactive.
    """
    truths: list[NDArray[np.bool_]] = []
    for node in pool.nodes:
        decision = table.by_id.get(node.decision)
        match node.kind:
            case "all" | "any":
                join = np.logical_and if node.kind == "all" else np.logical_or
                truth = np.full(rows, node.kind == "all")
                for child in node.children:
                    join(truth, truths[child], out=truth)
                truths.append(truth)
            case _ if decision is None or (decision.kind == "subset") != (node.kind == "has"):
                truths.append(np.zeros(rows, dtype=bool))
            case "is":
                truths.append(has_taken(column(decision), len(decision.labels), node.candidates))
            case "has":
                truths.append(has_element(column(decision), node.element))
    return truths


def has_taken(codes: NDArray[Any], size: int, candidates: Collection[int]) -> NDArray[np.bool_]:
    """Whether each code of a decision of ``size`` candidates is one of some of them; an inactive one is not."""
    wanted = [k in candidates for k in range(size)]
    return np.array([*wanted, False])[codes.astype(np.int64, copy=False)]  # the last entry is that of -1, inactive


def has_element(masks: NDArray[Any], element: int) -> NDArray[np.bool_]:
    """Whether each code of a subset decision contains an element; an inactive one does not."""
    found: NDArray[np.bool_] = ((masks >> element) & 1).astype(bool) & (masks >= 0).astype(bool)
    return found
