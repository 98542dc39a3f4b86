"""The phases of progressive shrinking (Cai et al., ICLR 2020) for the decisions of any space.

The largest network trains first. Then more and more decisions may differ from its: kernels and operations; depths,
first half way down, then to the least; widths likewise. In a phase each decision that may differ takes any of its
candidates that are allowed, with the same chance, by itself (a subset: any of its subsets), on the condition that the
architecture is valid; the others are as in the largest network. A decision that the largest network does not ask, and
that is still fixed where another makes it active, takes its largest number, or where it is no number any candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from spacec.search.dimensions import Dimension, dimensions
from spacec.search.space_like import SpaceLike
from spacec.space.architecture import Architecture
from spacec.space.chances import Chances
from spacec.space.decisions import Decision
from spacec.space.values import number

NAMES = ("largest", "kernel", "depth 1", "depth 2", "width 1", "width 2")
"""All phases, in order."""
FREED: Mapping[str, tuple[Dimension, ...]] = {
    "kernel": ("operation", "kernel"), "depth 1": ("depth",), "depth 2": ("depth",), "width 1": ("width",),
    "width 2": ("width",),
}  # fmt: skip
HALF = ("depth 1", "width 1")
"""Phases that go half way down, and are left out where that is all the way."""


@dataclass(frozen=True)
class Phase:
    """``paths``: networks of a step; ``length``, and ``rate`` of the weights, are relative to those of other phases.

    ``chances``: what is drawn from; ``None`` while only the largest network trains.
    """

    name: str
    paths: int
    length: float
    rate: float
    chances: Chances | None


def phases(
    space: SpaceLike, largest: Architecture, lengths: Sequence[float], rates: Sequence[float], paths: Sequence[int]
) -> tuple[Phase, ...]:
    """Those phases of :data:`NAMES` in which something is new, with their share of the other arguments.

    One without length is left out, and what it frees is free from the next one on.
    """
    kinds = dimensions(space.flat, space.decisions)
    found = [Phase(NAMES[0], paths[0], lengths[0], rates[0], None)]
    allowed: dict[str, tuple[int, ...]] = {}
    fresh = False
    for k, name in enumerate(NAMES[1:], 1):
        freed = [d for d in space.decisions if kinds[d.id] in FREED[name]]
        new = {d.id: _candidates(d, largest, name in HALF) for d in freed}
        if name in HALF and all(len(now) == len(space.table.by_id[i].labels) for i, now in new.items()):
            continue
        fresh = fresh or any(allowed.get(i) != now and len(now) != 1 for i, now in new.items())
        allowed |= new
        if fresh and lengths[k] > 0:
            fresh = False
            rows = {d.id: _row(d, largest, allowed.get(d.id)) for d in space.decisions}
            chances = Chances(space.table, {i: row for i, row in rows.items() if row is not None})
            found.append(Phase(name, paths[k], lengths[k], rates[k], chances))
    return tuple(found)


def _candidates(decision: Decision, largest: Architecture, half: bool) -> tuple[int, ...]:
    """The candidates that a phase allows, the largest network's first; of a subset none, which stands for all."""
    if decision.kind == "subset":
        return ()
    every = range(len(decision.labels))
    if not half:
        return tuple(every)
    own = float(number(decision, _top(decision, largest)))
    ordered = sorted(every, key=lambda k: abs(float(number(decision, k)) - own))
    return tuple(sorted(ordered[: 1 + ceil((len(ordered) - 1) / 2)]))


def _row(decision: Decision, largest: Architecture, allowed: tuple[int, ...] | None) -> tuple[float, ...] | None:
    """Probabilities of the candidates, or of the elements of a subset; ``None`` for all alike."""
    own = largest.get(decision.id)
    if decision.kind == "subset":
        if allowed is not None or not isinstance(own, tuple):
            return None
        return tuple(float(e in own) for e in range(decision.size))
    if allowed is None and own is None and decision.kind != "depth" and not decision.elastic:
        return None
    kept = (_top(decision, largest),) if allowed is None else allowed
    return tuple(float(k in kept) / len(kept) for k in range(len(decision.labels)))


def _top(decision: Decision, largest: Architecture) -> int:
    """The largest network's candidate of a decision of numbers; where it does not ask it, the largest."""
    own = largest.get(decision.id)
    if isinstance(own, int):
        return own
    sign = -1 if decision.grows is False else 1
    return max(range(len(decision.labels)), key=lambda k: sign * number(decision, k))
