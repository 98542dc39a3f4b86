"""Distances between architectures, decision by decision.

Every decision is a coordinate, whose values are its own and *inactive*: distances are weighted Hamming
distances over all of them, so they are metrics where every weight is positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log2
from typing import TYPE_CHECKING, Any, Literal

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.space.architecture import Architecture
from spacec.space.decisions import DecisionTable
from spacec.space.values import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spacec.space.batch import Batch

Weights = Literal["candidates"] | Mapping[str, float] | None
"""Of decisions: by id or by owner (others weigh nothing), by how many values they can take, or 1 each."""

CELLS = 1 << 22
"""Numbers that are compared at a time in distances of batches."""


def distance(
    table: DecisionTable, a: Architecture, b: Architecture, weights: Weights = None, elements: bool = False
) -> float:
    """How many decisions differ: in what they take, or in whether they are active. A whole number without weights.

    ``elements`` counts the elements in which a pick differs instead of the pick: all of them where it is active in one
    only. ``weights="candidates"``: a decision weighs the bits that it holds, the logarithm to base 2 of its number of
    values. Raises :class:`SpacecError` (E0603) for a weight of no decision and no owner.
    """
    weigh = weights_of(table, weights)
    total: float = 0
    for decision in table.decisions:
        x, y = a.get(decision.id), b.get(decision.id)
        if x == y:
            continue
        total += weigh[decision.id] * (_elements(x, y, decision.size) if elements and decision.kind == "subset" else 1)
    return total


def _elements(x: Value | None, y: Value | None, size: int) -> int:
    return len(set(x) ^ set(y)) if isinstance(x, tuple) and isinstance(y, tuple) else size


def weights_of(table: DecisionTable, weights: Weights) -> dict[str, float]:
    """The weight of each decision."""
    if weights is None:
        return dict.fromkeys(table.by_id, 1)
    if isinstance(weights, str):
        return {d.id: log2(d.cardinality) if d.cardinality > 1 else 0.0 for d in table.decisions}
    known = {*table.by_id, *table.owners}
    for name in weights:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else ""
            raise SpacecError(Diagnostic("E0603", f"{table.space} has no decision or owner {name!r}", help=hint))
    return {d.id: weights.get(d.id, weights.get(d.owner, 0)) for d in table.decisions}


def distances(a: Batch, b: Batch, weights: Weights = None, elements: bool = False) -> NDArray[Any]:
    """All distances between two batches of one table, [architectures of a, architectures of b], float64."""
    import numpy as np

    columns, scale = _coordinates(a, weights, elements)
    right, _ = _coordinates(b, weights, elements)
    found = np.zeros((len(a), len(b)))
    step = max(1, CELLS // max(1, right.size))
    for start in range(0, len(a), step):
        differ = columns[start : start + step, None, :] != right[None, :, :]
        found[start : start + step] = differ.astype(np.float64) @ scale
    return found


def _coordinates(batch: Batch, weights: Weights, elements: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """The columns that are compared, and their weights."""
    import numpy as np

    from spacec.space.truths import has_element

    weigh = weights_of(batch.table, weights)
    columns, scale = [], []
    for place, decision in enumerate(batch.table.decisions):
        own = batch.codes[:, place]
        if elements and decision.kind == "subset":
            inactive = (own < 0).astype(bool)
            columns += [np.where(inactive, -1, has_element(own, e)) for e in range(decision.size)]
            scale += [weigh[decision.id]] * decision.size
        else:
            columns.append(own)
            scale.append(weigh[decision.id])
    if not columns:
        return np.zeros((len(batch), 0)), np.zeros(0)
    return np.stack(columns, axis=1), np.array(scale, dtype=np.float64)
