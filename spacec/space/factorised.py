"""Factorised distributions over architectures: what every decision does by itself.

An active decision takes candidate ``k`` with probability ``p[k]``. A subset decision flips a coin for
each element ``e``, which it picks with probability ``p[e]``, on the condition that its bounds are
met; so equal coins of 1/2 are uniform over its subsets, and a range without bounds is free coins. An
inactive decision does nothing. So the chance of an architecture is a product along its path in the
decision diagram. Numbers may be anything that has ``+ - * /`` with the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from numbers import Rational, Real
from typing import Any

from spacec.diagnostics.model import Diagnostic, SpacecError
from spacec.diagnostics.suggest import nearest
from spacec.space.decisions import Decision, DecisionTable
from spacec.space.schedule import IN, Step
from spacec.space.values import Value

Probabilities = Mapping[str, Sequence[Any]]
"""By decision: of its candidates in order, or of the elements of a subset. One that is not named is uniform."""


@dataclass(frozen=True)
class Factorised:
    """One vector for every decision of a table, and what the coins of a subset must be divided by."""

    vectors: Mapping[str, tuple[Any, ...]]
    bounded: Mapping[str, Any]
    """Per subset decision with bounds that coins may miss, the probability that they are met."""
    exact: bool
    """All numbers are rational."""
    plain: bool
    """All are real numbers, so that arrays hold them; else tensors or the like, which only pass through."""

    def weights(self, step: Step) -> tuple[Any, ...]:
        """What each outcome of a step multiplies the chance of an architecture with."""
        vector = self.vectors[step.decision]
        if step.element is None:
            return tuple(vector[value] if isinstance(value, int) else 1 for value in step.domain)  # else of no elements
        coin = vector[step.element]
        sides = (coin, 1 - coin) if IN == 0 else (1 - coin, coin)
        if step.element == 0 and step.decision in self.bounded:  # once on every path that asks the decision
            return tuple(side / self.bounded[step.decision] for side in sides)
        return sides


def factorised(table: DecisionTable, given: Probabilities | None = None, exact: bool = True) -> Factorised:
    """The distribution of these probabilities, which are taken to sum to one (coins apart).

    Whole numbers and fractions are kept ``exact``, if there is nothing else among them. Raises
    :class:`SpacecError` (E0607) for a name that is no decision, a vector of another length, a number
    that is no probability, or coins that cannot meet their bounds.
    """
    vectors = {name: _checked(table, name, vector) for name, vector in (given or {}).items()}
    numbers = [n for vector in vectors.values() for n in vector]
    exact = exact and all(isinstance(n, Rational) for n in numbers)
    plain = all(isinstance(n, Real) for n in numbers)
    full: dict[str, tuple[Any, ...]] = {}
    for d in table.decisions:
        found = vectors.get(d.id) or _uniform(d)
        if exact:
            full[d.id] = tuple(Fraction(int(n.numerator), int(n.denominator)) for n in found)
        else:
            full[d.id] = tuple(float(n) if isinstance(n, Real) else n for n in found)
    bounded = {d.id: _met(d, full[d.id]) for d in table.decisions if d.kind == "subset" and _binding(d)}
    return Factorised(full, bounded, exact, plain)


def factors(decision: Decision, value: Value, distribution: Factorised) -> list[Any]:
    """What an active decision that takes ``value`` multiplies the chance of an architecture with."""
    vector = distribution.vectors[decision.id]
    if not isinstance(value, tuple):
        return [vector[value]]
    coins = [p if e in value else 1 - p for e, p in enumerate(vector)]
    return [*coins, 1 / distribution.bounded.get(decision.id, 1)]


def own_chances(decision: Decision, distribution: Factorised) -> tuple[Any, ...]:
    """Per candidate or element, the probability that an active decision takes it, constraints apart."""
    vector = distribution.vectors[decision.id]
    if decision.id not in distribution.bounded:
        return vector
    before, after = _sizes(vector, decision.high), _sizes(vector[::-1], decision.high)[::-1]
    chances: list[Any] = []
    for element, coin in enumerate(vector):
        upto = [0, *accumulate(after[element + 1])]  # upto[j]: fewer than j of the later ones
        total: Any = 0
        for picked, chance in enumerate(before[element]):
            low, high = decision.low - 1 - picked, decision.high - 1 - picked
            if high >= 0:
                total = total + chance * (upto[min(high + 1, len(upto) - 1)] - upto[min(max(low, 0), len(upto) - 1)])
        chances.append(coin * total / distribution.bounded[decision.id])
    return tuple(chances)


def _binding(decision: Decision) -> bool:
    return decision.low > 0 or decision.high < decision.size


def _uniform(decision: Decision) -> tuple[Fraction, ...]:
    if decision.kind == "subset":
        return (Fraction(1, 2),) * decision.size
    return (Fraction(1, len(decision.labels)),) * len(decision.labels)


def _met(decision: Decision, coins: Sequence[Any]) -> Any:
    """The probability that independent coins meet the bounds of a subset."""
    sizes = _sizes(coins, decision.high)[-1]
    total: Any = 0
    for chance in sizes[decision.low :]:
        total = total + chance
    if isinstance(total, Real) and not float(total) > 0:
        raise SpacecError(Diagnostic("E0607", f"these probabilities leave {decision.id} no subset within its bounds"))
    return total


def _sizes(coins: Sequence[Any], high: int) -> list[list[Any]]:
    """After each element, how probable every number of picked ones is, up to ``high``."""
    rows: list[list[Any]] = [[1]]
    for coin in coins:
        last = rows[-1]
        kept = [chance * (1 - coin) for chance in last]
        more = [chance * coin for chance in last]
        row = [a + b for a, b in zip(kept[1:], more, strict=False)]
        rows.append([kept[0], *row, more[-1]][: high + 1])
    return rows


def _checked(table: DecisionTable, name: str, vector: Sequence[Any]) -> tuple[Any, ...]:
    decision = table.by_id.get(name)
    if decision is None:
        close = nearest(name, table.by_id)
        hint = f"did you mean {close!r}?" if close else ""
        raise SpacecError(Diagnostic("E0607", f"probabilities for {name!r}, which is no decision", help=hint))
    numbers = tuple(vector[k] for k in range(len(vector)))
    size = decision.size if decision.kind == "subset" else len(decision.labels)
    if len(numbers) != size:
        what = "elements" if decision.kind == "subset" else "candidates"
        headline = f"{len(numbers)} probabilities for {name}, which has {size} {what}"
        raise SpacecError(Diagnostic("E0607", headline))
    for n in numbers:
        if isinstance(n, Real) and not 0 <= float(n) <= 1:
            raise SpacecError(Diagnostic("E0607", f"{n} among the probabilities for {name} is none"))
    return numbers
