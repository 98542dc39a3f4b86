"""The least and the largest sum over the paths of a decision diagram."""

from __future__ import annotations

from math import inf

from spacec.space.diagram import DEAD, Diagram
from spacec.space.values import Number


def path_extent(diagram: Diagram) -> tuple[Number, Number]:
    """Least and largest sum of the one column that is left, over the paths to the end; there must be one."""
    sums: list[tuple[Number, Number] | None] = [(0, 0)]
    for children, deltas in zip(diagram.children[1:], diagram.deltas[1:], strict=True):
        low: Number | float = inf
        high: Number | float = -inf
        for child, (more,) in zip(children, deltas, strict=True):
            if child == DEAD or (rest := sums[child]) is None:
                continue
            assert more is not None, "a cost names no decision itself, so it is never void"
            low, high = min(low, rest[0] + more), max(high, rest[1] + more)
        sums.append(None if isinstance(low, float) or isinstance(high, float) else (low, high))
    found, (start,) = sums[diagram.root], diagram.offset
    assert found is not None
    assert start is not None
    return found[0] + start, found[1] + start
