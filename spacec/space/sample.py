"""Random architectures: uniform over architectures, or by weight.

Everything depends on the table and the seed alone: not on hash seeds, on the version of Python or numpy, or on how
many are drawn at a time. A seed has one meaning: the first of ``sample(table, n, seed)``, of
``sample_batch(table, n, seed)`` and of ``sampler(table, seed)`` are the same architectures, whatever ``n``.

Where the constraints couple too much for a decision diagram (E0510), or are no sums (E0513), architectures are drawn
from a wider set (:mod:`spacec.space.wide`) and those that violate a constraint are rejected: slower, and of the same
distribution. That is never silent: :class:`RejectionWarning` says at which rate.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from spacec.diagnostics.model import Diagnostic, DiagnosticWarning, SpacecError
from spacec.memory import no_collection
from spacec.space.algebra import BLOCK, Algebra, algebra
from spacec.space.architecture import Architecture, architecture_of
from spacec.space.constraints import all_satisfied
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.values import Value, value_at
from spacec.space.wide import wide

if TYPE_CHECKING:
    from spacec.space.batch import Batch
    from spacec.space.draws import Draws

TRIES = 10_000
"""Assignments that sampling by rejection draws, per architecture that it returns, before it gives up."""

FEW = 32
"""Up to so many architectures are drawn one by one, which needs no numpy."""

FIRST = 16
"""Architectures that a sampler draws ahead at first; it doubles them while they have at most ``BLOCK`` codes."""

UNCOUNTED = ("E0510", "E0513")
"""Codes of the reasons why valid architectures cannot be counted."""

Draw = Callable[[], dict[str, Value]]


@dataclass(frozen=True)
class Law:
    """What is drawn from.

    ``weighted``: by the product of the decisions' probabilities, conditioned on validity, instead of uniformly; with
    ``priors`` a candidate's probability is its share of the prior weights, else all candidates of a decision have
    the same; a subset decision takes every subset alike. ``distinct``: without replacement.
    """

    weighted: bool = False
    priors: bool = True
    distinct: bool = False


UNIFORM = Law()


class RejectionWarning(DiagnosticWarning):
    """Architectures were drawn by rejection; ``diagnostic`` (W0520) says why and at which rate."""


@dataclass
class Rejection:
    """How many assignments were drawn and how many of them were valid, and the error that made it necessary."""

    reason: SpacecError
    drawn: int = 0
    accepted: int = 0

    @property
    def rate(self) -> float:
        """Share of the drawn assignments that were valid."""
        return self.accepted / self.drawn if self.drawn else 0.0

    def diagnostic(self) -> Diagnostic:
        """W0520."""
        why = self.reason.diagnostics[0]
        share = f"{100 * self.rate:.3g} %"
        headline = (
            f"sampled by rejection: {self.accepted:,} of {self.drawn:,} random architectures were valid ({share})"
        )
        return Diagnostic("W0520", headline, why.span, notes=(why.headline,), severity="warning")

    def warn(self) -> None:
        if self.drawn:
            warnings.warn(RejectionWarning(self.diagnostic()), stacklevel=4)


def sample(table: DecisionTable, n: int = 1, seed: int = 0, law: Law = UNIFORM) -> list[Architecture]:
    """``n`` valid architectures; independent and uniform, unless ``law`` says otherwise.

    Raises :class:`SpacecError`: E0511 where there is no valid architecture, or where rejection finds none; E0521
    where there are fewer than ``n`` distinct ones. Warns (:class:`RejectionWarning`) where it draws by rejection.
    """
    if n > FEW or n < 0 or law != UNIFORM:
        found = sample_batch(table, n, seed, law)
        with no_collection():
            return list(found)
    compiled, reason = compiled_for(table)
    rng = Random(seed)
    if reason is None:
        return [architecture_of(table, uniform(compiled, rng)) for _ in range(n)]
    tally = Rejection(reason)
    kept = [architecture_of(table, accepted(table, lambda: uniform(compiled, rng), tally)) for _ in range(n)]
    tally.warn()
    return kept


def sample_batch(table: DecisionTable, n: int, seed: int = 0, law: Law = UNIFORM) -> Batch:
    """The architectures of :func:`sample` as one array of codes."""
    if n < 0:
        raise ValueError(f"{n} architectures cannot be drawn")
    source = draws(table, seed, law)
    found = source.take(n)
    if source.rejection is not None:
        source.rejection.warn()
    return found


def sampler(table: DecisionTable, seed: int = 0, law: Law = UNIFORM) -> Iterator[Architecture]:
    """The architectures of :func:`sample`, one after the other, without end; drawn ahead in growing blocks.

    Without replacement it ends with the space, so that it is a random order of all architectures. Rejection is warned
    of once, with the rate of the first block.
    """
    source = draws(table, seed, law)
    size, most = FIRST, max(1, BLOCK // max(1, len(table.decisions)))
    while block := source.take(size, exactly=False):
        if source.rejection is not None and size == FIRST:
            source.rejection.warn()
        yield from block
        size = min(2 * size, most)


def draws(table: DecisionTable, seed: int, law: Law) -> Draws:
    """The source of a sequence of architectures."""
    from spacec.space.draws import make_draws  # numpy is not needed to draw a few

    return make_draws(table, seed, law)


def compiled_for(table: DecisionTable) -> tuple[Algebra, SpacecError | None]:
    """The algebra under the constraints; or of somewhat more than these leave, and why theirs cannot be had.

    Raises E0511 where it is known that there is no valid architecture.
    """
    reason = None
    try:
        compiled = algebra(table)
    except SpacecError as error:
        if error.diagnostics[0].code not in UNCOUNTED or not table.constraints:
            raise
        compiled, reason = wide(table), error
    if compiled.total == 0:
        raise SpacecError(no_architecture(table, "no architecture satisfies the constraints"))
    return compiled, reason


def uniform(compiled: Algebra, rng: Random) -> dict[str, Value]:
    """One assignment, uniformly; there must be one."""
    return compiled.assignment(rng.randrange(compiled.total))


def draw_value(decision: Decision, rng: Random) -> Value:
    """A value of one decision, uniformly."""
    return value_at(decision, rng.randrange(decision.cardinality))


def accepted(table: DecisionTable, draw: Draw, tally: Rejection | None = None) -> dict[str, Value]:
    """The first drawn assignment that satisfies the constraints; E0511 after :data:`TRIES`."""
    for _ in range(TRIES):
        chosen = draw()
        valid = all_satisfied(table, chosen)
        if tally is not None:
            tally.drawn += 1
            tally.accepted += valid
        if valid:
            return chosen
    raise SpacecError(none_accepted(table))


def none_accepted(table: DecisionTable) -> Diagnostic:
    """E0511 where trial finds nothing."""
    return no_architecture(table, f"none of {TRIES:,} random architectures satisfies the constraints")


def no_architecture(table: DecisionTable, headline: str) -> Diagnostic:
    """E0511, pointing at the first constraint."""
    span = table.constraints[0].span if table.constraints and table.constraints[0].text else None
    return Diagnostic("E0511", headline, span)


def too_few(table: DecisionTable, headline: str) -> Diagnostic:
    """E0521: fewer distinct architectures than asked for."""
    return replace(no_architecture(table, headline), code="E0521")
