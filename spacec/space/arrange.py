"""The order in which a decision diagram asks decisions that constraints couple.

Decisions whose conditions or products mention each other form a cluster; a constraint couples
clusters only by adding up what each contributes. A diagram under a limit is small where the clusters
that move the sum most come first: what is left then settles most partial sums at once. Guarantees an
order in which a decision comes after those that its condition mentions, and that depends on the table alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from spacec.space.components import Component, components
from spacec.space.constraints import Linear, linear_parts
from spacec.space.decisions import CostTerm, Decision
from spacec.space.diagram import Meter, TooManyStates
from spacec.space.explore import explore
from spacec.space.extent import path_extent
from spacec.space.planner import plan, told_apart
from spacec.space.values import Number

LARGEST = 2_000
"""Decisions and amounts for which an order is looked for."""
SEARCHED = 60_000
"""Steps of work that it may take; beyond either the order of the table is kept."""


def arranged(decisions: Sequence[Decision], sums: Sequence[Linear]) -> Sequence[Decision]:
    """The decisions, those that move the sums most first; decisions that share conditions or products stay together."""
    if not sums or len(decisions) + sum(len(each.terms) for each in sums) > LARGEST:
        return decisions
    known = {d.id: d for d in decisions}
    columns: dict[int, int] = {}
    """Which sum a term belongs to, by its identity as a limit."""
    terms: list[Linear] = []
    for j, each in enumerate(sums):
        for when, amount in (part for t in each.terms for part in told_apart(t.when, t.amount, known)):
            terms.append(Linear("<=", (CostTerm(when, amount),), frozenset()))
            columns[id(terms[-1])] = j
    clusters = [c for c in components(decisions, terms) if c[0]]
    if len(clusters) < 2:
        return decisions
    meter = Meter(SEARCHED)
    try:
        spans = [[_span(cluster, j, columns, meter) for j in range(len(sums))] for cluster in clusters]
    except TooManyStates:
        return decisions
    wholes = [sum(column) or 1 for column in zip(*spans, strict=True)]
    shares = [max(span / whole for span, whole in zip(row, wholes, strict=True)) for row in spans]
    order = sorted(range(len(clusters)), key=lambda k: (-shares[k], k))
    return [d for k in order for d in clusters[k][0]]


def _span(cluster: Component, column: int, columns: dict[int, int], meter: Meter) -> Number:
    """How far one sum moves with the decisions of a cluster."""
    decisions, limits = cluster
    own = [t for each in limits if columns[id(each)] == column for part in linear_parts(each) for t in part.terms]
    if not own:
        return 0
    low, high = path_extent(explore(plan(decisions, [Linear("<=", tuple(own), frozenset())]), meter))
    return high - low
