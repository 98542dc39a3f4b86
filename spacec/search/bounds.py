"""Bounds on costs as constraints of the space: what is drawn and bred under them keeps them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from random import Random

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.search.context import SearchContext
from spacec.search.objectives import parse_limits
from spacec.search.space_like import SpaceLike
from spacec.space.architecture import Architecture
from spacec.space.sample import RejectionWarning


def under(ctx: SearchContext, limits: Sequence[str]) -> SpaceLike:
    """The search's space under ``limits`` on costs (``macs<=330e6``), at the size of the training data.

    Raises :class:`SpacecError`: E0860 for what is no limit or no cost, E0511 where no architecture keeps them.
    """
    found = parse_limits(ctx, limits)
    if measured := next((limit.objective.name for limit in found if not limit.objective.cost), None):
        headline = f"'{measured}' is measured by a rating, and limits here are kept before anything is rated"
        raise SpacecError(Diagnostic("E0860", headline, notes=(f"costs: {', '.join(ctx.space.table.costs)}",)))
    signs = {"min": "<=", "max": ">="}
    parts = [comparison(ctx, m.objective.name, signs[m.objective.direction], m.bound) for m in found]
    return narrowed(ctx, parts)


def comparison(ctx: SearchContext, cost: str, sign: str, bound: float) -> str:
    """A condition of a ``where``: the cost at the size of the training data, compared with a number."""
    sizes = ", ".join(f"{name} = {size}" for name, size in ctx.sizes.items())
    number = Decimal(str(bound)) if bound % 1 else Decimal(int(bound))
    return f"{cost}{f'({sizes})' if sizes else ''} {sign} {number:f}"


def narrowed(ctx: SearchContext, parts: Sequence[str]) -> SpaceLike:
    """The search's space where all ``parts`` hold. Raises :class:`SpacecError` (E0511) where nothing is left."""
    if not parts:
        return ctx.space
    space = ctx.space.where(" and ".join(parts))
    drawn(space, Random(ctx.seed))
    return space


def drawn(space: SpaceLike, rng: Random) -> Architecture:
    """An architecture drawn uniformly: exactly where the space can be counted, else by trial, which is not told of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RejectionWarning)
        return space.sample(1, seed=rng.getrandbits(31))[0]
