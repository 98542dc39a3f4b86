"""Counting what a search keeps alive: tensors, and nodes of autograd graphs that they hold.

Moments of optimisers, gradients, tensors of modules and an elastic layer's views of them are left out: they appear when
a candidate (or a size) is first drawn, and then stay.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from spacec.lower.fitted import Fitted

ENOUGH = 100_000
"""Nodes at which counting a graph ends."""


@dataclass
class Census:
    """Numbers of tensors and of graph nodes made since it began, one of each for every :meth:`count`."""

    tensors: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)

    def count(self, but: Iterable[Tensor] = ()) -> None:
        """Count now, leaving out ``but`` and what hangs on it."""
        gc.collect()
        alive = gc.get_objects()
        tensors = [o for o in alive if issubclass(type(o), Tensor)]
        out = {id(t) for t in but} | _kept_by_right(alive) | {id(t.grad) for t in tensors if t.is_leaf}
        mine = [t for t in tensors if id(t) not in out]
        self.tensors.append(len(mine))
        self.nodes.append(_graph_size([t.grad_fn for t in mine if t.grad_fn is not None]))

    def growth(self) -> str | None:
        """What grew at each of the later steps, in words; the first third is warm-up."""
        for name, counts in (("tensors", self.tensors), ("nodes of autograd graphs", self.nodes)):
            late = counts[max(1, len(counts) // 3) :]
            if len(late) >= 3 and all(a < b for a, b in pairwise(late)):
                return f"the {name} that are alive grow by every step: {', '.join(map(str, counts))}"
        return None


@contextmanager
def census() -> Iterator[Census]:
    """A census of what is made in the body: objects that exist already are set aside for it."""
    gc.collect()
    gc.freeze()
    try:
        yield Census()
    finally:
        gc.unfreeze()


def _kept_by_right(alive: list[Any]) -> set[int]:
    """Ids of optimisers' moments, of modules' parameters and buffers, and of views that last."""
    out: set[int] = set()
    for o in alive:
        if issubclass(type(o), Optimizer):
            out.update(id(t) for state in o.state.values() for t in state.values())
        elif issubclass(type(o), nn.Module):
            out.update(id(t) for t in (*o._parameters.values(), *o._buffers.values()))
        elif type(o) is Fitted:
            out.update(id(part) for *_, part in o.views or ())
    return out


def _graph_size(roots: list[Any]) -> int:
    """Distinct nodes reachable from the roots, up to :data:`ENOUGH`."""
    seen: set[Any] = set(roots)
    stack = list(seen)
    while stack and len(seen) < ENOUGH:
        for node, _ in stack.pop().next_functions:
            if node is not None and node not in seen:
                seen.add(node)
                stack.append(node)
    return len(seen)
