"""Stratified sampling by cost: the architectures in parts by what they cost, and random ones of each part.

A part is the space under two further constraints, so its architectures are counted and drawn as those of any space are:
exactly and without rejection where a decision diagram can be made, else by rejection, with its size unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Literal

from spacec.diagnostics.model import SpacecError
from spacec.ir.dims import Dim, Poly, Symbol, poly
from spacec.space.algebra import algebra
from spacec.space.constraints import COST
from spacec.space.cost import evaluate_cost
from spacec.space.decisions import Constraint, DecisionTable
from spacec.space.deferred import Deferred
from spacec.space.extremes import extremes
from spacec.space.measures import at_sizes
from spacec.space.sample import UNCOUNTED, UNIFORM, Law, Rejection, draws, sample
from spacec.space.values import Number

if TYPE_CHECKING:
    from spacec.space.batch import Batch

MOST = 1_000
"""Strata that a number may ask for."""

PILOT = 1_000
"""Random architectures whose costs place the bounds, where the extremes of a cost cannot be found or do not say."""


@dataclass(frozen=True)
class Stratum:
    """The architectures with ``low <= cost < high``, and some of them; ``None`` is no bound.

    ``size`` is how many there are, exactly; ``None`` where they cannot be counted, and then ``rejection`` says how many
    tries the drawn ones took.
    """

    low: Number | None
    high: Number | None
    size: int | None
    drawn: Batch
    rejection: Rejection | None = None


def sample_stratified(
    table: DecisionTable,
    n: int,
    cost: str,
    cuts: Sequence[Number] | None = None,
    bins: int = 0,
    quantiles: int = 0,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    law: Law = UNIFORM,
) -> tuple[Stratum, ...]:
    """``n`` random architectures of each part of the space by ``cost``, in order of cost.

    ``cuts`` are the bounds between parts; or there are ``bins`` parts equally wide between the least and the largest
    cost; or about ``quantiles`` parts of about the same size, by the costs of :data:`PILOT` random architectures (and
    so are bins, where the extremes take too long to find). Without replacement a smaller part gives all it has. Raises
    :class:`SpacecError`: E0511, and E0512 for an unknown cost or a missing size; ``ValueError`` unless one
    of the three is given, and for more than :data:`MOST` strata.
    """
    if (cuts is not None) + (bins > 0) + (quantiles > 0) != 1:
        raise ValueError("strata are given by cuts, by a number of bins, or by a number of quantiles")
    if max(bins, quantiles) > MOST:
        raise ValueError(f"at most {MOST:,} strata, each of which is counted by itself")
    if cost in table.costs and sizes:
        table = replace(table, costs=Deferred.over(table.costs, {cost: at_sizes(table.costs[cost], sizes)}))
    inner = sorted(set(cuts)) if cuts is not None else _cuts(table, cost, bins, quantiles, seed)
    bounds = [None, *inner, None]
    rng = Random(seed)
    return tuple(_stratum(table, cost, pair, n, rng.getrandbits(63), law) for pair in pairwise(bounds))


def _cuts(table: DecisionTable, cost: str, bins: int, quantiles: int, seed: int) -> list[Number]:
    """Bounds between parts; equal ones are one."""
    ends = extremes(table, cost) if bins else None
    if ends is None:
        costs = sorted(evaluate_cost(table, cost, arch.values) for arch in sample(table, PILOT, seed))
        if quantiles:
            found = {costs[k * len(costs) // quantiles] for k in range(1, quantiles)}
            return sorted(found - {costs[0]})
        ends = costs[0], costs[-1]
    low, high = ends
    exact = {low + Fraction(k, bins) * (high - low) for k in range(1, bins)}
    whole = isinstance(low, int) and isinstance(high, int)
    return sorted({ceil(cut) for cut in exact} if whole else exact)


def _stratum(
    table: DecisionTable, cost: str, bounds: tuple[Number | None, Number | None], n: int, seed: int, law: Law
) -> Stratum:
    from spacec.space.batch import Batch  # numpy is needed once there is something to draw

    limits = [] if bounds[0] is None else [_limit(cost, ">=", bounds[0])]
    limits += [] if bounds[1] is None else [_limit(cost, "<", bounds[1])]
    part = replace(table, constraints=(*table.constraints, *limits))
    try:
        size = algebra(part).total
    except SpacecError as error:
        if error.diagnostics[0].code not in UNCOUNTED:
            raise
        size = None
    if size == 0:
        return Stratum(*bounds, 0, Batch.of(table, []))
    try:
        source = draws(part, seed, law)
    except SpacecError as error:  # a part that cannot be counted, in a wider set that has nothing
        if error.diagnostics[0].code != "E0511":
            raise
        return Stratum(*bounds, 0, Batch.of(table, []))
    try:
        drawn = source.take(n, exactly=False)
    except SpacecError as error:
        if size is not None or error.diagnostics[0].code != "E0511":
            raise
        drawn = Batch.of(part, [])
    return Stratum(*bounds, size, Batch(table, drawn.codes), source.rejection)


def _limit(cost: str, op: Literal[">=", "<"], bound: Number) -> Constraint:
    right: Dim = bound if isinstance(bound, int) else Poly((((), bound),))
    return Constraint(poly(Symbol(cost, None, COST)), op, right, f"{cost} {op} {bound}")
