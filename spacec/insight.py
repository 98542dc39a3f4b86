"""The shape of a space at a glance: how costs spread over its architectures, and how many say nothing of their own.

Everything is bounded in work. What is exact says so, and what is estimated from uniform samples says from how many,
with 95 % confidence intervals; what would take longer than a glance is ``None`` unless one looks ``deep``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from spacec.diagnostics.model import SpacecError
from spacec.facade import Space
from spacec.space.architecture import architecture_of
from spacec.space.cost import free_sizes
from spacec.space.diagram import LIMIT, TooManyStates
from spacec.space.estimates import Share, samples_of

SPREAD = ("params", "macs")
"""Costs of which a histogram is made."""


@dataclass(frozen=True)
class Effort:
    """What a look may cost."""

    bounded: int
    """Decisions and amounts of a cost up to which its least and largest are looked for."""
    spread: int
    """Decisions and amounts of a cost up to which a histogram is made and architectures are drawn."""
    work: int
    """Steps of an exact histogram, and of a least and largest."""
    samples: int
    """For a histogram that is estimated."""
    drawn: int
    """Architectures that are looked at for dead decisions."""
    listed: int
    """Architectures of a space that are all compared with each other, before anything cleverer is tried."""


GLANCE = Effort(bounded=5_000, spread=2_000, work=15_000, samples=200, drawn=100, listed=300)
DEEP = Effort(bounded=1_000_000, spread=1_000_000, work=LIMIT, samples=10_000, drawn=1_000, listed=300)


def extent(space: Space) -> int:
    """Decisions, and amounts of the number of weights: how large a space is to work with."""
    return len(space.decisions) + len(space.table.costs["params"])


def insight(space: Space, count: int | None, effort: Effort) -> dict[str, Any]:
    """``histograms`` by cost, the share that is ``dead``, and the number of ``distinct`` networks.

    ``count`` is the number of architectures, ``None`` where it is not known.
    """
    if not count or extent(space) > effort.spread:
        return {"histograms": dict.fromkeys(SPREAD), "dead": None, "distinct": None}
    return {
        "histograms": {cost: histogram(space, cost, effort) for cost in SPREAD},
        "dead": dead(space, count, effort),
        "distinct": distinct(space, count, effort),
    }


def histogram(space: Space, cost: str, effort: Effort, bins: int = 20) -> dict[str, Any] | None:
    """Shares of the architectures in bins of equal width; ``None`` where the cost depends on the size of an input."""
    if free_sizes(space.table, cost):
        return None
    try:
        found = space.distribution(cost, bins, samples=effort.samples, work=effort.work)
    except TooManyStates:
        return None
    median = found.quantile(Fraction(1, 2))
    return {
        "edges": [float(edge) for edge in found.edges],
        "shares": list(found.shares),
        "intervals": [list(interval) for interval in found.intervals],
        "mean": found.mean,
        "median": int(median) if median == int(median) else float(median),
        "exact": not found.estimated,
        "samples": found.samples,
    }


def dead(space: Space, count: int, effort: Effort) -> dict[str, Any] | None:
    """The share of the architectures in which some active decision is on no path from an input to an output."""
    exact = count <= effort.drawn
    try:
        drawn = [a.values for a in space.enumerate()] if exact else list(samples_of(space.table, effort.drawn))
    except TooManyStates:
        return None
    found = Share(sum(bool(space.dead(architecture_of(space.table, chosen))) for chosen in drawn), len(drawn))
    interval = [found.estimate] * 2 if exact else list(found.interval)
    return {"share": found.estimate, "interval": interval, "exact": exact, "samples": 0 if exact else found.samples}


def distinct(space: Space, count: int, effort: Effort) -> dict[str, Any] | None:
    """How many networks the architectures are, where they are few enough to compare them all, or where it is known."""
    if count <= effort.listed:
        networks = sum(1 for _ in space.distinct(space.enumerate()))
    elif effort is DEEP:
        try:
            networks = space.count(distinct=True)
        except SpacecError as error:
            if error.diagnostics[0].code != "E0514":
                raise
            return None
    else:
        return None
    return {"notion": "networks", "count": networks, "duplicates": 1 - networks / count, "exact": True}


def counted_kinds(space: Space) -> dict[str, int]:
    """How many decisions there are of each kind, the most frequent first."""
    kinds: dict[str, int] = {}
    for decision in space.decisions:
        kind = "elastic" if decision.elastic and decision.kind == "value" else decision.kind
        kinds[kind] = kinds.get(kind, 0) + 1
    return dict(sorted(kinds.items(), key=lambda item: -item[1]))
