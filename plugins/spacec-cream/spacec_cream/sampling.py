"""Paths drawn by given probabilities: every decision by itself, among the valid architectures."""

from __future__ import annotations

from collections.abc import Sequence

from spacec.search.context import SearchContext
from spacec.space.architecture import Architecture
from spacec.space.chances import Chances
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.factorised import factorised

Rates = dict[str, list[float]]
"""By decision, of its candidates or of the coins of a subset's elements; a decision that is left out is uniform."""


def favoured(table: DecisionTable, prior: Sequence[float]) -> Rates:
    """``prior`` for each choice between as many candidates; others are uniform."""
    total = sum(prior)
    rates = [p / total for p in prior]
    return {d.id: rates for d in table.decisions if d.kind != "subset" and len(d.labels) == len(rates)}


def on_board(table: DecisionTable, archs: Sequence[Architecture]) -> Rates:
    """How often each candidate is on the board, among the paths that ask its decision."""
    found = {d.id: _frequencies(d, archs) for d in table.decisions}
    return {name: rates for name, rates in found.items() if rates}


def _frequencies(decision: Decision, archs: Sequence[Architecture]) -> list[float]:
    values = [value for arch in archs if (value := arch.get(decision.id)) is not None]
    if not values:
        return []
    taken = [set(value) if isinstance(value, tuple) else {value} for value in values]
    count = decision.size if decision.kind == "subset" else len(decision.labels)
    return [sum(k in each for each in taken) / len(taken) for k in range(count)]


def drawn_by(ctx: SearchContext, rates: Rates) -> Architecture:
    """A valid architecture whose decisions are drawn by ``rates``, from :attr:`SearchContext.rng`."""
    chances = Chances(ctx.space.table, factorised(ctx.space.table, rates, exact=False))
    return chances.sample(1, ctx.rng.getrandbits(31))[0]
