"""The values one decision can take: a candidate index, or for a subset a sorted tuple of element indices.

Values have a fixed order: candidates as written; subsets by size, then lexicographically.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

from spacec.space.decisions import Decision

Value = int | tuple[int, ...]
Number = int | Fraction


def values(decision: Decision) -> Iterator[Value]:
    """Every value, in order; lazy, since a subset decision may have very many."""
    if decision.kind != "subset":
        yield from range(len(decision.labels))
        return
    for size in range(decision.low, decision.high + 1):
        yield from combinations(range(decision.size), size)


def value_at(decision: Decision, index: int) -> Value:
    """The value at a place in the order of :func:`values`."""
    if decision.kind != "subset":
        return index
    for size in range(decision.low, decision.high + 1):
        count = comb(decision.size, size)
        if index < count:
            return _combination(decision.size, size, index)
        index -= count
    raise IndexError(index)


def position_of(decision: Decision, value: Value) -> int:
    """The place of a value in the order of :func:`values`."""
    if isinstance(value, int):
        return value
    index = sum(comb(decision.size, k) for k in range(decision.low, len(value)))
    previous = -1
    for place, element in enumerate(value):
        left = len(value) - place - 1
        index += sum(comb(decision.size - e - 1, left) for e in range(previous + 1, element))
        previous = element
    return index


def is_value(decision: Decision, value: Value) -> bool:
    """Whether the decision can take it."""
    if decision.kind != "subset":
        return isinstance(value, int) and 0 <= value < len(decision.labels)
    return (
        isinstance(value, tuple)
        and decision.low <= len(value) <= decision.high
        and all(0 <= e < decision.size for e in value)
        and all(a < b for a, b in pairwise(value))
    )


def number(decision: Decision, value: Value) -> Number:
    """What a value contributes to arithmetic: the candidate's number, or how many elements a subset has.

    Raises ``ValueError`` where the candidate is no number: the front end admits no such symbol.
    """
    if isinstance(value, tuple):
        return len(value)
    given = decision.values[value] if value < len(decision.values) else None
    if isinstance(given, int):
        return int(given)
    if isinstance(given, float):
        return Fraction(str(given))  # the decimal number as written, not its nearest binary fraction
    raise ValueError(f"{decision.id} has no number for {decision.labels[value]!r}")


def symbol_number(decision: Decision, value: Value | None, part: int | None) -> Number:
    """What a symbol of a decision is: its number, or with a ``part`` whether that is taken; inactive takes nothing.

    Raises ``ValueError`` for the number of an inactive decision.
    """
    if part is not None:
        return int(part in value if isinstance(value, tuple) else part == value)
    if value is None:
        raise ValueError(f"{decision.id} is inactive")
    return number(decision, value)


def _combination(size: int, chosen: int, index: int) -> tuple[int, ...]:
    """The ``index``-th of the ``chosen``-element subsets of ``range(size)``, lexicographically."""
    elements: list[int] = []
    for element in range(size):
        if len(elements) == chosen:
            break
        count = comb(size - element - 1, chosen - len(elements) - 1)
        if index < count:
            elements.append(element)
        else:
            index -= count
    return tuple(elements)
